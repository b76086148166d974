"""What a session has around it: other sessions, tasks, its application."""

import pytest

from supervisor.errors import DeadlockError
from supervisor.testing import Told, hand_driven

from .ticker import Call, Quote, Slowly, Threaded, Unknown, ticker


async def test_what_other_sessions_are_sent_is_noted(session):
    other = session.neighbour("b")
    assert session.neighbour("b") is other
    other.answer(Quote, lambda quote: quote.price * 2)
    answers = []

    async def talk(doc):
        app_context = doc.session_context.application
        (neighbour,) = [each for each in app_context.sessions if each is not doc.session_context]
        await neighbour.tell(Quote("ACME", 1.0))
        answers.append(await neighbour.ask(Quote("ACME", 2.0)))
        report = await app_context.broadcast(Quote("ACME", 3.0))
        answers.append(len(report.accepted))

    await session.receive_async(Slowly(talk))
    assert session.told == [
        Told(to="b", message=Quote("ACME", 1.0), how="tell"),
        Told(to="b", message=Quote("ACME", 2.0), how="ask"),
        Told(to=None, message=Quote("ACME", 3.0), how="broadcast"),
    ]
    assert answers == [4.0, 2]
    assert [quote.price for quote in other.received] == [1.0, 2.0, 3.0]
    assert session.queued == ["message Quote"]  # a broadcast is for itself too
    session.advance(0)
    assert session.data == {"prices": {"ACME": 3.0}}


async def test_a_neighbour_that_is_destroyed_is_none_of_the_sessions(session):
    other, another = session.neighbour("b"), session.neighbour("c")
    app_context = session.context.application
    assert list(app_context.sessions) == [session.context, other, another]
    other.destroy(reason="enough")
    assert app_context.destroy_session("c")
    assert not app_context.destroy_session("c")
    assert list(app_context.sessions) == [session.context]
    await app_context.broadcast(Quote("ACME", 1.0))
    assert (other.received, another.received) == ([], [])
    with pytest.raises(ValueError, match="the session itself"):
        session.neighbour("hand-driven")


async def test_a_broadcast_of_an_unknown_type_is_refused(session):
    with pytest.raises(TypeError, match="no handler for Unknown"):
        await session.context.application.broadcast(Unknown())
    assert session.told == []


async def test_an_update_of_all_sessions_is_a_circle_in_a_handler_and_refused_elsewhere(session):
    app_context = session.context.application

    async def update(doc):
        await app_context.update_sessions(lambda doc: None)

    with pytest.raises(DeadlockError):
        await session.receive_async(Slowly(update))
    with pytest.raises(RuntimeError, match="use supervise"):
        await app_context.update_sessions(lambda doc: None)


async def test_background_tasks_are_noted_and_not_run(session):
    ran = []

    async def work(number):
        ran.append(number)

    session.receive(Call(lambda doc: doc.session_context.start_soon(work, 1)))
    (started,) = session.started
    assert started.name.endswith("work")
    assert ran == []
    await started.func(*started.args)
    assert ran == [1]


async def test_producers_of_the_application_never_run(autojump_clock):
    async def produce():
        raise AssertionError

    def load(app_context):
        app_context.state.loaded = True
        app_context.add_callback(produce)
        app_context.add_periodic_callback(produce, seconds=1)

    unloaded = []
    app = ticker(on_application_load=load, on_application_unload=lambda app_context: unloaded.append(True))
    async with hand_driven(app) as session:
        await session.advance_async(10)
        statistics = session.context.application.statistics()
        assert (statistics.producers, statistics.status, statistics.sessions.sessions) == (1, "serving", 1)
        assert session.context.application.state.loaded
    assert unloaded == [True]


async def test_a_thread_calls_the_application(session):
    def change(doc):
        doc.data["sessions"] = doc.session_context.application.call_from_thread(
            lambda: len(doc.session_context.application.sessions)
        )

    await session.receive_async(Threaded(change))
    assert session.data["sessions"] == 1

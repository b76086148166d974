"""Its beginning and its end."""

import pytest
import trio

from supervisor.application.options import ApplicationOptions
from supervisor.errors import ApplicationError, SessionGone, SessionRefused
from supervisor.server_options import ServerOptions
from supervisor.session.request import Request
from supervisor.testing import hand_driven

from .ticker import Call, Quote, Slowly, ticker


async def test_hooks_run_on_entering_and_leaving(autojump_clock):
    heard = []

    async def created(session_context):
        await trio.lowlevel.checkpoint()
        heard.append(("created", session_context.id, session_context.request.path))
        session_context.document.data["from hook"] = 1

    async def destroyed(session_context):
        await trio.lowlevel.checkpoint()
        heard.append(("destroyed", dict(session_context.document.data)))

    app = ticker(on_session_created=created, on_session_destroyed=destroyed)
    async with hand_driven(app, id="s1", request=Request(path="/x")) as session:
        assert heard == [("created", "s1", "/x")]
        assert session.context.application.name == "ticker"
        assert session.ending is None
    assert heard[1:] == [("destroyed", {"from hook": 1, "prices": {}})]
    assert session.context.destroyed
    await session.context.wait_destroyed()


@pytest.mark.parametrize("how", ["destroy", "raise"])
async def test_a_refused_session_is_raised_and_its_destroyed_hooks_are_due_as_in_a_server(autojump_clock, how):
    heard = []

    def created(session_context):
        if how == "raise":
            raise SessionRefused("not you")
        session_context.destroy(reason="not you")

    app = ticker(on_session_created=created, on_session_destroyed=lambda session_context: heard.append("destroyed"))
    with pytest.raises(SessionRefused, match="not you"):
        async with hand_driven(app):
            raise AssertionError
    assert heard == []


@pytest.mark.parametrize("hook", ["on_application_load", "on_session_created", "modify_document"])
async def test_what_a_hook_raises_on_entering_is_raised(autojump_clock, hook):
    def fail(context):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        async with hand_driven(ticker(**{hook: fail})):
            raise AssertionError
    assert not hasattr(caught.value, "__notes__")


async def test_what_a_hook_raises_on_leaving_is_raised(autojump_clock):
    def fail(context):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with hand_driven(ticker(on_session_destroyed=fail)):
            pass
    with pytest.raises(ZeroDivisionError) as caught:
        async with hand_driven(ticker(on_session_destroyed=fail)):
            1 / 0
    assert caught.value.__notes__ == ["on_session_destroyed failed meanwhile: ValueError('broken')"]


async def test_a_session_destroyed_by_its_handler_keeps_what_that_changed_and_does_no_more(autojump_clock):
    last = []

    def destroy(doc):
        doc.session_context.destroy(reason="done")
        doc.data["kept"] = True
        return "answer"

    app = ticker(on_session_destroyed=lambda session_context: last.append(dict(session_context.document.data)))
    async with hand_driven(app) as session:
        session.context.document.add_periodic_callback(last.append, "never", seconds=1)
        assert session.receive(Call(destroy)) == "answer"
        assert (session.ending.kind, session.ending.reason) == ("destroyed", "done")
        assert session.scheduled == []
        await trio.sleep(1)  # the test itself is not cancelled
        for call in (
            lambda: session.receive(Quote("ACME", 1.0)),
            lambda: session.receive_from_client("Quote", {"symbol": "ACME", "price": 1.0}),
            lambda: session.advance(1),
        ):
            with pytest.raises(SessionGone, match="has ended"):
                call()
        with pytest.raises(SessionGone):
            await session.receive_async(Quote("ACME", 1.0))
        assert last == []
    assert last == [{"kept": True, "prices": {}}]
    with pytest.raises(SessionGone):
        session.receive(Quote("ACME", 1.0))


async def test_a_session_destroyed_by_others_while_a_handler_waits(session, autojump_clock):
    async def hang(doc):
        doc.data["lost"] = True
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def destroy():
            await trio.sleep(1)
            session.context.destroy(reason="enough")

        with pytest.raises(SessionGone):
            await session.receive_async(Slowly(hang))
    await trio.sleep(1)
    assert session.ending.reason == "enough"
    assert session.data == {"prices": {}}


async def test_it_ends_when_nobody_attaches_if_its_options_say_so(autojump_clock):
    async with hand_driven(ticker(), options=ApplicationOptions(linger=15, first_attach=15)) as session:
        session.advance(14)
        assert session.ending is None
        session.advance(10)
        assert session.ending.reason == "nobody attached"


async def test_a_message_that_comes_as_its_time_is_over_finds_it_ended(autojump_clock):
    async with hand_driven(ticker(), options=ApplicationOptions(linger=15, first_attach=15)) as session:
        await trio.sleep(20)
        with pytest.raises(SessionGone):
            session.receive(Quote("ACME", 1.0))
        assert session.ending.reason == "nobody attached"


async def test_unload_hooks_run_if_the_app_was_loaded_and_also_in_a_block_that_is_cancelled(autojump_clock):
    heard = []

    def load(app_context):
        if heard:
            raise ValueError("broken")

    async def unload(app_context):
        await trio.sleep(1)
        heard.append("unloaded")

    app = ticker(on_application_load=load, on_application_unload=unload)
    with trio.move_on_after(1):
        async with hand_driven(app):
            await trio.sleep_forever()
    assert heard == ["unloaded"]
    with pytest.raises(ValueError, match="broken"):
        async with hand_driven(app):
            raise AssertionError
    assert heard == ["unloaded"]


async def test_an_app_that_cannot_be_loaded_says_why(tmp_path):
    with pytest.raises(ApplicationError):
        async with hand_driven(tmp_path / "nothing"):
            raise AssertionError


def test_outside_of_a_trio_run_it_is_refused():
    opening = hand_driven(ticker()).__aenter__()
    with pytest.raises(RuntimeError, match=r"inside a trio run.*pytest-trio"):
        opening.send(None)


async def test_the_options_of_a_server_are_not_an_applications():
    with pytest.raises(TypeError, match=r"as in ApplicationOptions\(linger=60\.0\), not ServerOptions$"):
        async with hand_driven(ticker(), options=ServerOptions()):
            pass


async def test_a_thread_may_not_drive_it(session):
    with pytest.raises(RuntimeError, match=r"session\.receive\(\) works only inside the trio run"):
        await trio.to_thread.run_sync(session.receive, Quote("ACME", 1.0))


async def test_nothing_is_left_of_it(autojump_clock, all_tasks):
    before = all_tasks()
    async with hand_driven(ticker()) as session:
        await session.connect("ada")
        session.receive(Call(lambda doc: doc.add_periodic_callback(print, seconds=1) and None))
        assert all_tasks() == before
    surroundings = session._surroundings
    assert len(surroundings.runtime.timers) == 0
    assert surroundings.runtime.holds._by_task == {}
    assert surroundings.registry.statistics().sessions == 0


async def test_it_tells_its_state(session):
    assert repr(session) == "<HandDrivenSession hand-driven at revision 1, 0 queued>"
    session.context.destroy()
    assert repr(session) == "<HandDrivenSession hand-driven ended, 0 queued>"


async def test_the_classes_of_messages_are_there_by_name(session):
    assert session.messages.Quote is Quote

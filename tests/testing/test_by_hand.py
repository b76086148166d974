"""One session without a server: what the test tells it to do is what it does, and nothing else."""

import contextlib
import inspect

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor.in_thread import in_thread
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import (
    ApplicationError,
    DeadlockError,
    DocumentNotHeld,
    HandlerFailed,
    MailboxFull,
    Rejected,
    SendConflict,
    SendInvalid,
    SessionGone,
    SessionRefused,
    Unawaited,
)
from supervisor.session.receivers import receives
from supervisor.session.request import Request
from supervisor.testing import Scheduled, Told, hand_driven
from supervisor.testing.by_hand import FOR_EVER
from supervisor.testing.faults import Faults, InjectedFault


@attrs.frozen
class Quote:
    symbol: str
    price: float


@attrs.frozen
class Call:
    """Calls a function with the document."""

    func: object


@attrs.frozen
class Slowly:
    func: object


@attrs.frozen
class Threaded:
    func: object


@attrs.frozen
class Unknown:
    pass


@receives(Quote, from_client=True)
def on_quote(doc, quote):
    if quote.price < 0:
        doc.data["prices"][quote.symbol] = "?"
        raise ValueError(quote.price)
    if quote.price == 0:
        raise Rejected("free")
    doc.data["prices"][quote.symbol] = quote.price
    return (quote.symbol, len(doc.data["prices"]))


@receives(Call)
def on_call(doc, call):
    return call.func(doc)


@receives(Slowly)
async def on_slowly(doc, message):
    return await message.func(doc)


@receives(Threaded)
@in_thread
def on_threaded(doc, message):
    return message.func(doc)


def modify_document(doc):
    doc.data["prices"] = {}


def ticker(failure_policy=None, **hooks):
    receivers = {each.__name__: each for each in (on_quote, on_call, on_slowly, on_threaded)}
    namespace = {"modify_document": modify_document, **receivers, **hooks}
    return Application(NamespaceHandler(namespace, where="ticker"), name="ticker", failure_policy=failure_policy)


@pytest.fixture
async def session():
    async with hand_driven(ticker()) as session:
        yield session


async def test_a_plain_handler_is_called_at_once_and_its_answer_returned(session):
    assert session.receive(Quote("ACME", 12.5)) == ("ACME", 1)
    assert session.data == {"prices": {"ACME": 12.5}}


async def test_nothing_else_has_a_turn_meanwhile(session):
    turns = []

    async def neighbour():
        turns.append("neighbour")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbour)
        session.receive(Quote("ACME", 12.5))
        session.advance(3600)
        assert turns == []


async def test_what_the_handler_raised_is_raised_and_rolled_back(session):
    session.receive(Quote("ACME", 12.5))
    with pytest.raises(ValueError, match="-1"):
        session.receive(Quote("ACME", -1))
    assert session.data == {"prices": {"ACME": 12.5}}
    assert session.incidents[0].what == "message Quote"
    assert session.incidents[0].decision == "resumed"
    assert session.ending is None


async def test_a_rejection_is_raised_and_is_no_incident(session):
    with pytest.raises(Rejected, match="free"):
        session.receive(Quote("ACME", 0))
    assert session.incidents == []


async def test_what_would_end_the_test_is_raised_as_an_asker_gets_it(session):
    def leave(doc):
        raise SystemExit(3)

    with pytest.raises(HandlerFailed, match="SystemExit"):
        session.receive(Call(leave))


async def test_the_patches_of_each_kept_transaction(session):
    session.receive(Quote("ACME", 12.5))
    with pytest.raises(Rejected):
        session.receive(Quote("ACME", 0))
    session.receive(Call(lambda doc: None))

    def twice(doc):
        doc.data["a"] = 1
        doc.commit()
        doc.data["b"] = 2

    session.receive(Call(twice))
    assert session.patches == [
        [{"op": "add", "path": "/prices", "value": {}}],
        [{"op": "add", "path": "/prices/ACME", "value": 12.5}],
        [{"op": "add", "path": "/a", "value": 1}],
        [{"op": "add", "path": "/b", "value": 2}],
    ]
    assert session.revision == len(session.patches)


async def test_its_data_is_a_copy_and_nobody_else_holds_the_document(session):
    session.data["prices"]["ACME"] = 1
    assert session.data == {"prices": {}}
    with pytest.raises(DocumentNotHeld):
        session.context.document.data


async def test_an_async_handler_is_refused_before_it_runs_and_the_error_names_the_way_out(session):
    ran = []

    async def change(doc):
        ran.append(True)

    with pytest.raises(TypeError, match=r"message Slowly is asynchronous.*await session\.receive_async"):
        session.receive(Slowly(change))
    assert (ran, session.incidents) == ([], [])
    await session.receive_async(Slowly(change))
    assert ran == [True]


async def test_a_plain_handler_that_returns_something_to_await_is_rolled_back(session):
    async def later():
        pass

    def change(doc):
        doc.data["changed"] = True
        return later()

    with pytest.raises(TypeError, match="receive_async"):
        session.receive(Call(change))
    assert "changed" not in session.data


async def test_what_had_no_turn_because_of_a_refusal_is_not_done_later(session):
    """A plain call is refused for what waited before its own message.

    1. An `async` listener waits in the mailbox, and is refused as the plain call comes to it.
    2. The call's message was queued behind it, and its caller has an error: no later call may handle it.
    """

    async def listen(doc, change):
        pass

    session.receive(Call(lambda doc: doc.on_change("/prices", listen) and None))
    session.receive(Quote("ACME", 1.0))
    with pytest.raises(TypeError, match=r"listener callback .*listen is asynchronous"):
        session.receive(Quote("ACME", 2.0))
    assert session.queued == []
    assert session.receive(Call(lambda doc: doc.data["prices"]["ACME"])) == 1.0


async def test_an_async_handler_is_awaited_by_receive_async(session, autojump_clock):
    async def change(doc):
        await trio.sleep(5)
        doc.data["changed"] = True
        return "done"

    assert await session.receive_async(Slowly(change)) == "done"
    assert trio.current_time() == 5
    assert session.data["changed"]


async def test_receive_async_takes_plain_handlers_too(session):
    assert await session.receive_async(Quote("ACME", 12.5)) == ("ACME", 1)


async def test_cancelled_it_rolls_the_handler_back_and_the_session_goes_on(session, autojump_clock):
    async def hang(doc):
        doc.data["changed"] = True
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await session.receive_async(Slowly(hang))
    assert scope.cancelled_caught
    assert session.data == {"prices": {}}
    assert session.receive(Quote("ACME", 12.5)) == ("ACME", 1)


async def test_a_handler_in_a_thread_is_lent_the_document(session):
    def change(doc):
        doc.data["changed"] = True

    with pytest.raises(TypeError, match="receive_async"):
        session.receive(Threaded(change))
    await session.receive_async(Threaded(change))
    assert session.data["changed"]


async def test_an_unknown_type_of_message_is_refused(session):
    with pytest.raises(TypeError, match=r"no handler for Unknown; write one and mark it @receives\(Unknown\)"):
        session.receive(Unknown())
    with pytest.raises(TypeError, match="no handler for Unknown"):
        await session.receive_async(Unknown())


async def test_a_coroutine_that_a_handler_drops_fails_it(session):
    async def later():
        pass

    def forget(doc):
        doc.data["changed"] = True
        later()

    with pytest.raises(Unawaited, match="later"):
        session.receive(Call(forget))
    assert "changed" not in session.data


async def test_a_session_does_one_thing_at_a_time(session):
    with pytest.raises(RuntimeError, match=r"while session\.receive\(\) goes on.*tell_nowait"):
        session.receive(Call(lambda doc: session.receive(Quote("ACME", 1.0))))
    with pytest.raises(RuntimeError, match=r"while session\.receive\(\) goes on"):
        session.receive(Call(lambda doc: session.advance(1)))


async def test_a_handler_that_asks_its_own_session_is_told_of_the_circle(session):
    async def ask(doc):
        await doc.session_context.ask(Quote("ACME", 1.0))

    with pytest.raises(DeadlockError):
        await session.receive_async(Slowly(ask))


async def test_messages_of_others_wait_for_their_turn_and_come_first(session):
    session.context.tell_nowait(Quote("ACME", 1.0))
    session.context.tell_nowait(Quote("ACME", 2.0))
    assert session.queued == ["message Quote", "message Quote"]
    assert session.data == {"prices": {}}
    session.receive(Call(lambda doc: None))
    assert session.data == {"prices": {"ACME": 2.0}}
    assert session.queued == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"conflate": lambda quote: quote.symbol}, [3.0]),
        ({"when_full": "drop_oldest"}, [2.0, 3.0]),
        ({"when_full": "refuse"}, [1.0, 2.0]),
    ],
)
async def test_messages_that_wait_together_are_conflated_and_dropped_as_they_are_marked(options, expected):
    prices = []

    @receives(Quote, **options)
    def on_quote(doc, quote):
        prices.append(quote.price)

    small = attrs.evolve(FOR_EVER, mailbox_capacity=2)
    async with hand_driven(ticker(on_quote=on_quote), options=small) as session:
        with contextlib.suppress(MailboxFull):
            for price in (1.0, 2.0, 3.0):
                session.context.tell_nowait(Quote("ACME", price))
        assert session.queued == ["message Quote"] * len(expected)
        session.advance(0)
        assert prices == expected


async def test_what_a_message_causes_waits_until_it_is_asked_for(session):
    heard = []

    def begin(doc):
        doc.on_change("/prices", lambda doc, change: heard.append(change.operations))
        doc.add_next_tick_callback(heard.append, "tick")

    session.receive(Call(begin))
    session.receive(Quote("ACME", 1.0))
    assert heard == ["tick"]
    session.advance(0)
    assert heard[1:] == [({"op": "add", "path": "/prices/ACME", "value": 1.0},)]


async def test_code_that_causes_itself_is_named(session):
    def again(doc):
        doc.add_next_tick_callback(again, doc)

    session.receive(Call(again))
    with pytest.raises(RuntimeError, match=r"without end: next tick callback .*again"):
        session.advance(0)


async def test_code_that_causes_itself_is_named_by_the_twin_too(session):
    def again(doc):
        doc.add_next_tick_callback(again, doc)

    session.receive(Call(again))
    with pytest.raises(RuntimeError, match="without end"):
        await session.advance_async(0)


# What clients send.


async def test_a_message_of_a_client_is_validated_and_answered_as_json(session):
    assert session.receive_from_client("Quote", {"symbol": "ACME", "price": 12.5}) == ["ACME", 1]
    with pytest.raises(SendInvalid, match="price"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": "12.5"})
    with pytest.raises(SendInvalid, match="unknown message 'Call'"):
        session.receive_from_client("Call", {"func": "x"})
    with pytest.raises(Rejected, match="free"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 0.0})
    with pytest.raises(ValueError, match="-1"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": -1.0})


async def test_an_answer_that_json_cannot_carry_fails_the_message(autojump_clock):
    @attrs.frozen
    class Get:
        pass

    @receives(Get, from_client=True)
    def on_get(doc, message):
        doc.data["got"] = True
        return object()

    async with hand_driven(ticker(on_get=on_get)) as session:
        with pytest.raises(TypeError, match="can't be sent as JSON"):
            session.receive_from_client("Get")
        assert "got" not in session.data
        with pytest.raises(TypeError, match="can't be sent as JSON"):
            await session.receive_from_client_async("Get")


async def test_more_messages_than_a_window_holds(session):
    for number in range(1, 200):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": float(number)})
    assert session.data == {"prices": {"ACME": 199.0}}


async def test_no_client_of_the_wire_is_left_of_what_was_sent(session):
    """Not of what was answered, refused, or had no turn: else each would cost the wire a record."""

    async def listen(doc, change):
        pass

    session.receive(Call(lambda doc: doc.allow_edits("/note")))
    session.receive_from_client("Quote", {"symbol": "ACME", "price": 1.0})
    session.edit("set", "/note", "x")
    for price in (0.0, -1.0):
        with pytest.raises((Rejected, ValueError)):
            session.receive_from_client("Quote", {"symbol": "ACME", "price": price})
    with pytest.raises(Rejected):
        session.edit("set", "/prices", "x")
    session.receive(Call(lambda doc: doc.on_change("/prices", listen) and None))
    session.receive(Quote("ACME", 2.0))
    with pytest.raises(TypeError, match="listener callback"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 3.0})
    assert "0 attached, 0 detached" in repr(session._wire.feed)


async def test_edits_are_taken_as_the_app_allows(session):
    def judge(doc, edit):
        if edit.value == "no":
            raise Rejected("No.")
        return attrs.evolve(edit, value=str(edit.value).upper())

    def allow(doc):
        doc.data["notes"] = []
        doc.allow_edits("/notes/*", judge)

    session.receive(Call(allow))
    assert session.editable == ("/notes/*",)
    session.edit("insert", "/notes/-", "milk")
    session.edit("insert", "/notes/0", "bread")
    session.edit("set", "/notes/1", "honey")
    assert session.data["notes"] == ["BREAD", "HONEY"]
    session.edit("remove", "/notes/0", None)
    assert session.data["notes"] == ["HONEY"]
    with pytest.raises(Rejected, match=r"No\."):
        session.edit("set", "/notes/0", "no")
    with pytest.raises(Rejected, match="can't be edited"):
        session.edit("set", "/prices/ACME", 1)
    with pytest.raises(SendConflict):
        session.edit("set", "/notes/7", "milk")
    assert session.incidents == []


async def test_an_async_judge_needs_edit_async(session, autojump_clock):
    async def judge(doc, edit):
        await trio.sleep(1)

    session.receive(Call(lambda doc: doc.allow_edits("/note", judge)))
    with pytest.raises(TypeError, match=r"edit of /note of a client is asynchronous.*session\.edit_async"):
        session.edit("set", "/note", "x")
    assert session.incidents == []
    await session.edit_async("set", "/note", "x")
    assert session.data["note"] == "x"


async def test_the_handler_knows_whose_message_it_is(session):
    ada = await session.connect("ada", name="Ada", color="red")
    assert session.context.connections == (ada,)
    seen = []
    session.receive(Call(lambda doc: doc.allow_edits("/note", lambda doc, edit: seen.append(edit.connection))))
    session.edit("set", "/note", "x", connection=ada)
    session.edit("set", "/note", "y")
    assert [(each.id, each.name, dict(each.metadata)) for each in seen] == [
        ("ada", "Ada", {"color": "red"}),
        ("client", None, {}),
    ]


async def test_connection_hooks(autojump_clock):
    heard = []

    async def opened(session_context, connection):
        await trio.lowlevel.checkpoint()
        if connection.name == "Eve":
            raise SessionRefused("not you")
        session_context.document.data["people"] = [connection.name]
        heard.append("opened")

    def closed(session_context, connection):
        heard.append(f"closed {connection.name}")

    async with hand_driven(ticker(on_connection_opened=opened, on_connection_closed=closed)) as session:
        ada = await session.connect("ada", name="Ada")
        assert session.data["people"] == ["Ada"]
        with pytest.raises(ValueError, match="attached already"):
            await session.connect("ada")
        with pytest.raises(SessionRefused, match="not you"):
            await session.connect("eve", name="Eve")
        await session.disconnect(ada)
        assert (heard, session.context.connections) == (["opened", "closed Ada"], ())
        await session.connect("bob", name="Bob")
    assert heard == ["opened", "closed Ada", "opened", "closed Bob"]


# Time.


async def test_what_is_scheduled_is_listed_and_rings_as_time_is_moved_on(session, autojump_clock):
    heard = []

    def tick():
        heard.append(("tick", trio.current_time()))

    def later(what):
        heard.append((what, trio.current_time()))

    def schedule(doc):
        doc.add_periodic_callback(tick, seconds=2.0)
        doc.add_timeout_callback(later, "timeout", seconds=3.0)
        doc.add_next_tick_callback(later, "next")

    session.receive(Call(schedule))
    prefix = "test_what_is_scheduled_is_listed_and_rings_as_time_is_moved_on.<locals>"
    assert session.scheduled == [
        Scheduled(kind="periodic", name=f"{prefix}.tick", seconds=2.0),
        Scheduled(kind="timeout", name=f"{prefix}.later", seconds=3.0),
        Scheduled(kind="next tick", name=f"{prefix}.later", seconds=0.0),
    ]
    session.advance(5.0)
    assert heard == [("next", 0.0), ("tick", 2.0), ("timeout", 3.0), ("tick", 4.0)]
    assert [each.kind for each in session.scheduled] == ["periodic"]
    assert trio.current_time() == 5.0
    session.advance(1.0)
    assert heard[-1] == ("tick", 6.0)


async def test_time_is_moved_on_by_hand_on_the_real_clock_too():
    heard = []
    async with hand_driven(ticker()) as session:
        session.receive(Call(lambda doc: doc.add_periodic_callback(heard.append, "tick", seconds=600.0) and None))
        session.advance(599.0)
        assert heard == []
        session.advance(3002.0)
        assert heard == ["tick"] * 6


async def test_what_has_come_due_meanwhile_rings_with_the_next_call(session, autojump_clock):
    session.receive(Call(lambda doc: doc.add_timeout_callback(doc.data.update, {"rung": True}, seconds=3.0) and None))
    await trio.sleep(5)
    assert session.data == {"prices": {}}
    session.receive(Call(lambda doc: None))
    assert session.data["rung"]


async def test_callbacks_that_fail_are_raised_together_after_all_have_rung(session):
    heard = []

    def fail(number):
        raise ValueError(number)

    def schedule(doc):
        doc.add_timeout_callback(fail, 1, seconds=1)
        doc.add_timeout_callback(heard.append, 2, seconds=2)

    session.receive(Call(schedule))
    with pytest.raises(ValueError, match="1"):
        session.advance(5)
    assert heard == [2]
    session.receive(Call(schedule))
    session.receive(Call(schedule))
    with pytest.raises(ExceptionGroup) as caught:
        session.advance(5)
    assert [str(error) for error in caught.value.exceptions] == ["1", "1"]


async def test_an_async_callback_needs_advance_async(session, autojump_clock):
    async def tick(doc):
        await trio.lowlevel.checkpoint()
        doc.data["ticks"] = doc.data.get("ticks", 0) + 1

    session.receive(Call(lambda doc: doc.add_periodic_callback(tick, doc, seconds=1) and None))
    with pytest.raises(TypeError, match=r"periodic callback .*tick is asynchronous.*advance_async"):
        session.advance(1)
    await session.advance_async(3)
    assert session.data["ticks"] == 3


@pytest.mark.parametrize("seconds", [-1, float("nan")])
async def test_time_does_not_go_back(session, seconds):
    with pytest.raises(ValueError, match="seconds is a number from 0 on"):
        session.advance(seconds)


# Other sessions, tasks, application.


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


# Its beginning and its end.


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


async def test_a_policy_that_stops_ends_it(autojump_clock):
    async with hand_driven(ticker(FailurePolicy(directive="stop"))) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        assert "was stopped" in session.ending.reason
        assert session.incidents[0].decision == "stopped"
        assert session.escalated is None


async def test_a_policy_that_escalates_ends_it_and_says_so(autojump_clock):
    async with hand_driven(ticker(FailurePolicy(directive="escalate"))) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        assert session.escalated is session.incidents[0]
        assert session.ending is not None


async def test_a_restart_waits_and_is_carried_out_by_the_next_call_that_can_wait(autojump_clock):
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=2.0, jitter=0))
    async with hand_driven(ticker(policy)) as session:
        session.receive(Quote("ACME", 1.0))
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        assert session.data == {"prices": {"ACME": 1.0}}
        with pytest.raises(RuntimeError, match=r"await session\.advance_async\(0\)"):
            session.receive(Quote("ACME", 2.0))
        await session.advance_async(0)
        assert trio.current_time() == 2.0
        assert session.context.restarts == 1
        assert session.data == {"prices": {}}
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 3.0})
        assert session.data == {"prices": {"ACME": 3.0}}


async def test_restarts_are_counted_by_the_time_that_was_moved_on():
    policy = FailurePolicy(directive="restart", max_restarts=1, within=60.0, backoff=Backoff(first=0.0, jitter=0))
    async with hand_driven(ticker(policy)) as session:
        for _ in range(3):
            with pytest.raises(ValueError, match="-1"):
                await session.receive_async(Quote("ACME", -1))
            assert session.ending is None
            session.advance(61)
        assert session.context.restarts == 3


@pytest.mark.parametrize("is_async", [False, True])
async def test_failed_hooks_are_told(autojump_clock, is_async):
    heard = []

    def failed(session_context, error):
        heard.append(error.args)

    async def failed_later(session_context, error):
        await trio.sleep(1)
        heard.append(error.args)

    async with hand_driven(ticker(on_session_failed=failed_later if is_async else failed)) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        if is_async:
            assert heard == []
            await session.advance_async(0)
        assert heard == [(-1,)]
        session.receive(Quote("ACME", 1.0))


@pytest.mark.parametrize("is_stubborn", [False, True])
async def test_a_plain_failed_hook_that_waits_all_the_same_is_told_so_and_its_wait_is_over(autojump_clock, is_stubborn):
    """1. A plain function returns a coroutine, which waits for an event.

    2. A plain call can't wait for it, and raises in it, as a cancellation does.
    3. The event is set later: it must not wake the test's task, which waits for something else by then.
    """
    event = trio.Event()
    heard = []

    async def wait(error):
        try:
            await event.wait()
        except RuntimeError:
            if not is_stubborn:
                raise
            await trio.sleep(1)
        finally:
            heard.append(error.args)

    async with hand_driven(ticker(on_session_failed=lambda session_context, error: wait(error))) as session:
        with pytest.raises(ExceptionGroup) as caught:
            session.receive(Quote("ACME", -1))
        failure, told = caught.value.exceptions
        assert (type(failure), heard) == (ValueError, [(-1,)])
        assert "session.receive() can't; write `await session.receive_async(…)`" in str(told)
        event.set()
        await trio.sleep(1)
        session.receive(Quote("ACME", 1.0))
        with pytest.raises(ValueError, match="-1"):
            await session.receive_async(Quote("ACME", -1))
        assert heard == [(-1,), (-1,)]


async def test_a_failed_hook_in_a_thread_waits_for_a_call_that_can_wait(session):
    heard = []

    @in_thread
    def failed(session_context, error):
        heard.append(error.args)

    async with hand_driven(ticker(on_session_failed=failed)) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        with pytest.raises(RuntimeError, match=r"await session\.advance_async\(0\)"):
            session.receive(Quote("ACME", 1.0))
        await session.advance_async(0)
        assert heard == [(-1,)]


def test_what_trio_waits_by_can_be_told_to_forget_the_task():
    """`driving._finish` looks for the private name."""
    waiting = trio.sleep_forever()  # noqa: ASYNC105 (it is looked at)
    trap = waiting.send(None)
    waiting.close()
    assert callable(getattr(trap, "abort_func", None)), (
        "supervisor/testing/driving.py ends a wait that a plain call can't do by what wait_task_rescheduled() yields, "
        "and trio has changed that: read wait_task_rescheduled() in trio/_core/_traps.py, and find the function again"
    )


# Faults.


async def test_faults_strike_as_in_a_server(autojump_clock):
    faults = Faults().fail("on_quote", at=2, error=LookupError("no feed"), late=True)
    ticks = []

    def tick():
        ticks.append(trio.current_time())

    async with hand_driven(ticker(), faults=faults) as session:
        assert session.faults is faults
        session.receive(Quote("ACME", 1.0))
        with pytest.raises(LookupError, match="no feed"):
            session.receive(Quote("ACME", 2.0))
        session.receive(Call(lambda doc: doc.add_periodic_callback(tick, seconds=1) and None))
        session.faults.fail("tick", at=2)
        with pytest.raises(InjectedFault, match="tick was to fail at call 2"):
            session.advance(3)
        assert ticks == [1, 3]
        assert session.data == {"prices": {"ACME": 1.0}}
        assert [incident.what for incident in session.incidents] == [
            "message Quote",
            f"periodic callback {tick.__qualname__}",
        ]


async def test_what_is_delayed_or_hangs_is_refused_by_plain_calls(autojump_clock):
    async with hand_driven(ticker(), faults=Faults().delay("on_quote", seconds=2, at=2)) as session:
        session.receive(Quote("ACME", 1.0))
        session.faults.delay("on_quote", seconds=3, at=2)
        with pytest.raises(TypeError, match=r"message Quote is asynchronous.*receive_async"):
            session.receive(Quote("ACME", 2.0))
        assert session.data == {"prices": {"ACME": 1.0}}
        assert await session.receive_async(Quote("ACME", 2.0)) == ("ACME", 1)
        assert trio.current_time() == 3
        session.faults.hang("on_quote")
        with trio.move_on_after(5):
            await session.receive_async(Quote("ACME", 3.0))
        assert session.data == {"prices": {"ACME": 2.0}}


async def test_an_injected_fault_of_a_hook_is_raised_on_entering_and_expected_on_leaving(autojump_clock):
    def hook(session_context):
        raise AssertionError("it was to fail or hang before")

    with pytest.raises(InjectedFault, match="on_session_created"):
        async with hand_driven(ticker(on_session_created=hook), faults=Faults().fail("on_session_created")):
            raise AssertionError
    for faults in (Faults().fail("on_session_destroyed"), Faults().hang("on_session_destroyed")):
        async with hand_driven(ticker(on_session_destroyed=hook), faults=faults) as session:
            pass
        assert [incident.what for incident in session.incidents] == ["on_session_destroyed"]


async def test_a_fault_of_a_function_that_never_was_there_is_told(autojump_clock):
    with pytest.raises(LookupError, match=r"no function 'on_quot'.*did you mean on_quote"):
        async with hand_driven(ticker(), faults=Faults().fail("on_quot")):
            pass


async def test_a_faulty_handler_keeps_what_it_was_marked_with(autojump_clock):
    """Conflation, what follows a failure, and whether clients may send it are of the type, and not of the function."""

    @receives(Quote, from_client=True, conflate=lambda quote: quote.symbol, on_failure="stop")
    def on_quote(doc, quote):
        doc.data["prices"].setdefault(quote.symbol, []).append(quote.price)

    async with hand_driven(ticker(on_quote=on_quote), faults=Faults().fail("on_quote", at=4)) as session:
        for price in (1.0, 2.0):
            session.context.tell_nowait(Quote("ACME", price))
            session.context.tell_nowait(Quote("OTHER", price))
        session.advance(0)
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 3.0})
        assert session.data == {"prices": {"ACME": [2.0, 3.0], "OTHER": [2.0]}}
        with pytest.raises(InjectedFault):
            session.receive(Quote("ACME", 4.0))
        assert session.ending.kind == "destroyed"


async def test_an_app_that_cannot_be_loaded_says_why(tmp_path):
    with pytest.raises(ApplicationError):
        async with hand_driven(tmp_path / "nothing"):
            raise AssertionError


def test_outside_of_a_trio_run_it_is_refused():
    opening = hand_driven(ticker()).__aenter__()
    with pytest.raises(RuntimeError, match=r"inside of a trio run.*pytest-trio"):
        opening.send(None)


async def test_a_thread_may_not_drive_it(session):
    with pytest.raises(RuntimeError, match=r"session\.receive\(\) works inside of the trio run"):
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


# The same test body, by hand and in a whole server.


class ByHand:
    """A hand-driven session, with the methods that both forms have."""

    def __init__(self, session):
        self.session = session
        self.context = session.context

    @property
    def data(self):
        return self.session.data

    async def ask(self, message):
        return await self.session.receive_async(message)

    async def send(self, name, **fields):
        return await self.session.receive_from_client_async(name, fields)

    async def edit(self, op, path, value=None):
        await self.session.edit_async(op, path, value)

    async def settle(self, seconds=0):
        with contextlib.suppress(SessionGone):
            await self.session.advance_async(seconds)


class InServer:
    """A client of a whole server."""

    def __init__(self, client, session):
        self.client = client
        self.context = session.context

    @property
    def data(self):
        return self.client.data

    async def ask(self, message):
        return await self.context.ask(message)

    async def send(self, name, **fields):
        return await self.client.send(name, **fields)

    async def edit(self, op, path, value=None):
        await {"set": self.client.edit, "insert": self.client.insert}[op](path, value)

    async def settle(self, seconds=0):
        await trio.sleep(seconds)
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture(params=["by hand", "in a server"])
def either(request, supervise):
    @contextlib.asynccontextmanager
    async def either(app):
        if request.param == "by hand":
            async with hand_driven(app) as session:
                yield ByHand(session)
        else:
            async with supervise(app) as running:
                session = await running.new_session()
                yield InServer(await session.connect(), session)
                running.incidents.clear()

    return either


async def test_both_answer_and_roll_back_alike(either):
    async with either(ticker()) as session:
        assert await session.ask(Quote("ACME", 1.0)) == ("ACME", 1)
        assert await session.send("Quote", symbol="ACME", price=2.0) == ["ACME", 1]
        with pytest.raises(ValueError, match="-1"):
            await session.ask(Quote("ACME", -1))
        with pytest.raises(Rejected, match="free"):
            await session.send("Quote", symbol="ACME", price=0.0)
        with pytest.raises(SendInvalid, match="price"):
            await session.send("Quote", symbol="ACME", price="1")
        with pytest.raises(TypeError, match="no handler for Unknown"):
            await session.ask(Unknown())
        await session.settle()
        assert session.data == {"prices": {"ACME": 2.0}}


async def test_both_keep_order(either):
    async def begin(doc):
        for number in range(3):
            doc.session_context.tell_nowait(Call(lambda doc, number=number: doc.data["log"].append(number)))
        doc.add_next_tick_callback(lambda: doc.data["log"].append("tick"))
        doc.on_change(
            "/log", lambda doc, change: doc.data["log"].append("changed") if len(doc.data["log"]) == 5 else None
        )
        doc.data["log"] = ["begun"]

    async with either(ticker()) as session:
        await session.ask(Slowly(begin))
        await session.settle()
        assert session.data["log"] == ["begun", 0, 1, 2, "tick", "changed"]


@pytest.mark.virtual_time("times are compared")
async def test_both_ring_periodic_callbacks_at_the_same_times(either):
    def begin(doc):
        doc.data["times"] = []
        began = trio.current_time()
        doc.add_periodic_callback(lambda: doc.data["times"].append(trio.current_time() - began), seconds=2.0)
        doc.add_timeout_callback(lambda: doc.data["times"].append("timeout"), seconds=5.0)

    async with either(ticker()) as session:
        await session.ask(Call(begin))
        await session.settle(7.0)
        assert session.data["times"] == [2.0, 4.0, "timeout", 6.0]


async def test_both_take_edits_alike(either):
    def begin(doc):
        doc.data["notes"] = []
        doc.allow_edits("/notes/*", lambda doc, edit: attrs.evolve(edit, value=edit.value.upper()))

    async with either(ticker()) as session:
        await session.ask(Call(begin))
        await session.settle()
        await session.edit("insert", "/notes/-", "milk")
        await session.settle()
        await session.edit("set", "/notes/0", "honey")
        with pytest.raises(Rejected):
            await session.edit("set", "/prices/ACME", 1)
        await session.settle()
        assert session.data["notes"] == ["HONEY"]


@pytest.mark.parametrize("directive", ["restart", "stop"])
async def test_both_carry_out_what_the_policy_decides(either, directive):
    async with either(ticker(FailurePolicy(directive=directive))) as session:
        await session.ask(Quote("ACME", 1.0))
        with pytest.raises(ValueError, match="-1"):
            await session.ask(Quote("ACME", -1))
        await session.settle(1.0)
        assert session.context.destroyed == (directive == "stop")
        if directive == "restart":
            assert session.context.restarts == 1
            assert session.data == {"prices": {}}


async def test_both_know_a_circle(either):
    async def ask(doc):
        await doc.session_context.ask(Quote("ACME", 1.0))

    async with either(ticker()) as session:
        with pytest.raises(DeadlockError):
            await session.ask(Slowly(ask))


def test_each_plain_method_has_a_twin_of_the_same_arguments():
    from supervisor.testing import HandDrivenSession

    for name in ("receive", "receive_from_client", "edit", "advance"):
        plain, twin = (getattr(HandDrivenSession, each) for each in (name, f"{name}_async"))
        assert inspect.signature(plain).parameters == inspect.signature(twin).parameters

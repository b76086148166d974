"""To all sessions at once: what is waited for, and what the report says."""

import attrs
import pytest
import trio

from supervisor.application.handlers import NamespaceHandler
from supervisor.errors import DeadlockError, Rejected
from supervisor.session.receivers import receives


class Note:
    """Appends to the document's notes."""

    def __init__(self, text):
        self.text = text


class Call:
    """Makes the handler call `func(doc)`."""

    def __init__(self, func):
        self.func = func


@receives(Note)
def on_note(doc, message):
    doc.data["notes"].append(message.text)


@receives(Call)
def on_call(doc, message):
    return message.func(doc)


def modify_document(doc):
    doc.data["notes"] = []


APP = {"on_note": on_note, "on_call": on_call, "modify_document": modify_document}


async def notes_of(session):
    return await session.ask(Call(lambda doc: list(doc.data["notes"])))


async def hang(doc):
    await trio.sleep_forever()


def lasting(seconds):
    async def handle(doc):
        await trio.sleep(seconds)

    return handle


def note(doc, text):
    doc.data["notes"].append(text)


async def fill(session):
    """Make a handler hang and the mailbox full (its capacity is 1)."""
    session.tell_nowait(Call(hang))
    await trio.testing.wait_all_tasks_blocked()
    session.tell_nowait(Note("filler"))


async def test_a_broadcast_waits_for_room_only(run_app, autojump_clock):
    async with run_app(APP) as app:
        busy, idle = await app.open(), await app.open()
        busy.tell_nowait(Call(hang))
        report = await app.context.broadcast(Note(1))
        assert (report.accepted, report.lagged, report.gone) == ((busy, idle), (), ())
        assert trio.current_time() == 0
        assert await notes_of(idle) == [1]


async def test_without_sessions_a_broadcast_reaches_nobody(run_app, autojump_clock):
    async with run_app(APP) as app:
        report = await app.context.broadcast(Note(1))
        assert (report.accepted, report.lagged, report.gone) == ((), (), ())
        report = await app.context.update_sessions(note, 1)
        assert (report.done, report.lagged, report.gone, report.failed) == ((), (), (), {})


async def test_a_message_that_no_session_handles_is_a_type_error_and_nothing_is_sent(run_app, autojump_clock):
    async with run_app(APP) as app:
        await app.open()
        with pytest.raises(TypeError, match=r"application 'app' has no handler for int; .* @receives\(int\)"):
            await app.context.broadcast(5)
        with pytest.raises(
            TypeError, match=r"application 'app' is sent messages, and Note is a class of them: write N"
        ):
            await app.context.broadcast(Note)


async def test_a_session_without_room_by_the_deadline_has_lagged(run_app, autojump_clock):
    async with run_app(APP, mailbox_capacity=1) as app:
        full, idle = await app.open(), await app.open()
        await fill(full)
        report = await app.context.broadcast(Note(1))
        assert (report.accepted, report.lagged) == ((idle,), (full,))
        assert trio.current_time() == 1
        assert full.statistics().waiting_for_room == 0
        assert ("lagged", "s1") in app.recorder.events
        report = await app.context.broadcast(Note(2), timeout=60)
        assert (report.accepted, report.lagged) == ((idle,), (full,))
        assert trio.current_time() == 1  # who lagged isn't waited for again


async def test_who_lagged_takes_part_again_when_there_is_room_and_is_waited_for_then(run_app, autojump_clock):
    release = trio.Event()

    async def wait(doc):
        await release.wait()

    async with run_app(APP, mailbox_capacity=1) as app:
        session = await app.open()
        session.tell_nowait(Call(wait))
        await trio.testing.wait_all_tasks_blocked()
        session.tell_nowait(Note("filler"))
        assert (await app.context.broadcast(Note("lost"))).lagged == (session,)
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (await app.context.broadcast(Note("taken"))).accepted == (session,)
        assert await notes_of(session) == ["filler", "taken"]
        await fill(session)
        began = trio.current_time()
        assert (await app.context.broadcast(Note("lost"), timeout=3)).lagged == (session,)
        assert trio.current_time() == began + 3


async def test_room_that_comes_in_time_is_used(run_app, autojump_clock):
    async with run_app(APP, mailbox_capacity=1) as app:
        sessions = [await app.open() for _ in range(3)]
        for seconds, session in enumerate(sessions):
            session.tell_nowait(Call(lasting(seconds / 4)))
        await trio.testing.wait_all_tasks_blocked()
        for session in sessions:
            await session.tell(Note("filler"))
        report = await app.context.broadcast(Note("in time"))
        assert set(report.accepted) == set(sessions)
        assert trio.current_time() == 0.5
        for session in sessions:
            assert await notes_of(session) == ["filler", "in time"]


@pytest.mark.schedules(20)
async def test_sessions_that_end_meanwhile_are_gone(run_app, autojump_clock):
    async with run_app(APP, mailbox_capacity=1) as app:
        waiting, idle = await app.open(), await app.open()
        await fill(waiting)

        async def destroy():
            await trio.sleep(0.5)
            waiting.destroy()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(destroy)
            report = await app.context.broadcast(Note(1))
        assert (report.accepted, report.lagged, report.gone) == ((idle,), (), (waiting,))
        assert trio.current_time() == 0.5


async def test_sessions_that_end_between_snapshot_and_sending_are_gone(run_app, autojump_clock):
    """A handler's own `destroy()` closes the mailbox in the same tick in which a broadcast begins."""
    async with run_app(APP) as app:
        session = await app.open()
        actor = app.actor.find("s1")
        app.actor._registry._accepted[actor] = None
        session.destroy()
        app.actor._registry._accepted[actor] = None  # as a snapshot taken just before would have it
        assert (await app.context.broadcast(Note(1))).gone == (session,)
        assert (await app.context.update_sessions(note, 1)).gone == (session,)
        del app.actor._registry._accepted[actor]


@pytest.mark.parametrize("how", ["broadcast", "update_sessions"])
@pytest.mark.schedules(20)
async def test_cancelled_it_withdraws_what_waits(run_app, autojump_clock, how):
    async with run_app(APP, mailbox_capacity=1) as app:
        session = await app.open()
        await fill(session)
        with trio.move_on_after(0.5) as scope:
            if how == "broadcast":
                await app.context.broadcast(Note("never"))
            else:
                await app.context.update_sessions(note, "never")
        assert scope.cancelled_caught
        assert session.statistics().waiting_for_room == 0
        with trio.CancelScope() as scope:
            scope.cancel()
            if how == "broadcast":
                await app.context.broadcast(Note("never"))
            else:
                await app.context.update_sessions(note, "never")
        assert scope.cancelled_caught


async def test_a_broadcast_from_a_handler_reports_a_full_mailbox_in_the_circle_as_lagged(run_app, autojump_clock):
    """The full mailbox is the broadcaster's own: to wait for room there would be for ever."""

    async def broadcast(doc):
        doc.session_context.tell_nowait(Note("filler"))
        return await app.context.broadcast(Note(1))

    async with run_app(APP, mailbox_capacity=1) as app:
        session, other = await app.open(), await app.open()
        report = await session.ask(Call(broadcast))
        assert (report.accepted, report.lagged) == ((other,), (session,))
        assert trio.current_time() == 0


@pytest.mark.schedules(20)
async def test_a_newcomer_misses_nothing(run_app, autojump_clock):
    """Sent while its document is built: it waits until that is done.

    1. `on_session_created` has accepted, so the session is one of `app_context.sessions`; `modify_document` is slow.
    2. A broadcast, an update, a tell and a borrow come for it.
    3. The document is built; they are handled, in order.
    """

    async def modify_document(doc):
        await trio.sleep(0.5)
        doc.data["notes"] = ["built"]

    async def on_session_created(session_context):
        await trio.sleep(0.5)
        assert session_context not in app.context.sessions

    async with run_app(APP | {"modify_document": modify_document, "on_session_created": on_session_created}) as app:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.open)
            await trio.sleep(0.25)
            assert len(app.context.sessions) == 0
            await trio.sleep(0.5)
            (session,) = app.context.sessions
            assert (await app.context.broadcast(Note("broadcast"))).accepted == (session,)
            await session.tell(Note("told"))
            assert (await app.context.update_sessions(note, "updated")).done == (session,)
            async with session.locked_document() as doc:
                assert doc.data["notes"] == ["built", "broadcast", "told", "updated"]


# Updates.


async def test_an_update_is_a_transaction_in_each_session_and_waits_until_all_are_done(run_app, autojump_clock):
    async def slow(doc, text):
        await trio.sleep(0.5)
        note(doc, text)

    async with run_app(APP) as app:
        sessions = [await app.open() for _ in range(3)]
        report = await app.context.update_sessions(slow, "a")
        assert trio.current_time() == 0.5  # side by side
        assert set(report.done) == set(sessions)
        assert (report.lagged, report.gone, report.failed) == ((), (), {})
        await app.context.update_sessions(lambda doc: slow(doc, "b"))
        for session in sessions:
            assert await notes_of(session) == ["a", "b"]


async def test_what_it_raises_in_one_session_is_reported_and_stops_no_other(run_app, autojump_clock):
    errors = {"s1": ValueError("mine"), "s2": SystemExit("mine"), "s3": Rejected("no")}

    def fail_for_some(doc):
        note(doc, "x")
        if doc.session_context.id in errors:
            raise errors[doc.session_context.id]

    async with run_app(APP, expect_failures=True) as app:
        sessions = [await app.open() for _ in range(4)]
        report = await app.context.update_sessions(fail_for_some)
        assert report.done == (sessions[3],)
        assert report.failed == dict(zip(sessions, errors.values(), strict=False))
        assert sorted((incident.application, incident.session) for incident in app.recorder.incidents) == [
            ("app", "s1"),
            ("app", "s2"),
        ]  # a handler's own "no" is no failure, so the log doesn't have it
        assert "update_sessions" in app.recorder.failed_parts[0]
        assert "fail_for_some" in app.recorder.failed_parts[0]
        assert [await notes_of(session) for session in sessions] == [[], [], [], ["x"]]


async def test_at_the_deadline_what_is_queued_is_withdrawn_and_what_is_in_hand_is_cancelled(run_app, autojump_clock):
    async def slow_for_one(doc):
        note(doc, "x")
        if doc.session_context.id == "s2":
            await trio.sleep_forever()

    async with run_app(APP) as app:
        busy, slow, quick = [await app.open() for _ in range(3)]
        busy.tell_nowait(Call(hang))
        report = await app.context.update_sessions(slow_for_one)
        assert trio.current_time() == 1
        assert (report.done, set(report.lagged)) == ((quick,), {busy, slow})
        await trio.testing.wait_all_tasks_blocked()
        assert busy.statistics().counted == 0
        assert await notes_of(slow) == []  # rolled back, and free again


async def test_who_lagged_takes_part_only_if_idle_and_is_waited_for_after_that(run_app, autojump_clock):
    release = trio.Event()

    async def wait(doc):
        await release.wait()

    async with run_app(APP) as app:
        session = await app.open()
        session.tell_nowait(Call(wait))
        assert (await app.context.update_sessions(note, "lost")).lagged == (session,)
        assert trio.current_time() == 1
        assert (await app.context.update_sessions(note, "lost")).lagged == (session,)
        assert trio.current_time() == 1
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (await app.context.update_sessions(note, "done")).done == (session,)
        session.tell_nowait(Call(lasting(0.5)))
        assert (await app.context.update_sessions(note, "waited")).done == (session,)
        assert await notes_of(session) == ["done", "waited"]


async def test_a_part_that_goes_on_though_it_was_cancelled_counts_once_as_lagged(run_app, autojump_clock):
    """1. At the deadline the part in hand is cancelled; it shields itself. 2. The report has it as lagged.

    3. Later it finishes, or fails: nothing of that changes the report.
    """

    async def stubborn(doc):
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        if doc.session_context.id == "s1":
            raise ValueError("late")

    async with run_app(APP, expect_failures=True) as app:
        sessions = [await app.open(), await app.open()]
        report = await app.context.update_sessions(stubborn)
        assert trio.current_time() == 1
        assert set(report.lagged) == set(sessions)
        await trio.sleep(5)
        assert (report.done, report.failed) == ((), {})
        assert list(map(repr, app.recorder.errors)) == ["ValueError('late')"]


@pytest.mark.schedules(20)
async def test_sessions_that_end_before_their_part_is_done_are_gone(run_app, autojump_clock):
    async def destroy(doc):
        if doc.session_context.id == "s1":
            doc.session_context.start_soon(doc.session_context.destroy)
            await trio.sleep_forever()

    async with run_app(APP, mailbox_capacity=1) as app:
        in_hand, queued, waiting = [await app.open() for _ in range(3)]
        queued.tell_nowait(Call(hang))
        await fill(waiting)

        async def destroy_the_others():
            await trio.sleep(0.5)
            queued.destroy()
            waiting.destroy()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(destroy_the_others)
            report = await app.context.update_sessions(destroy)
        assert set(report.gone) == {in_hand, queued, waiting}
        assert trio.current_time() == 0.5


async def test_a_part_that_destroys_its_session_is_done(run_app, autojump_clock):
    async with run_app(APP) as app:
        session = await app.open()
        report = await app.context.update_sessions(lambda doc: doc.session_context.destroy())
        assert report.done == (session,)
        await session.wait_destroyed()


async def test_an_update_from_a_handler_or_borrow_is_a_circle_and_touches_nobody(run_app, autojump_clock):
    refused = []

    async def update(doc):
        with pytest.raises(DeadlockError, match=r"update_sessions\(\) would wait for ever: session s1 → session s1"):
            await app.context.update_sessions(note, "never")
        refused.append(True)

    async def on_session_created(session_context):
        if len(app.context.sessions):
            await app.context.update_sessions(note, "from a hook")  # it is none of the sessions yet: no circle

    async with run_app(APP | {"on_session_created": on_session_created}) as app:
        session, other = await app.open(), await app.open()
        await session.ask(Call(update))
        async with session.locked_document() as doc:
            await update(doc)
        assert len(refused) == 2
        assert await notes_of(session) == ["from a hook"]
        assert await notes_of(other) == []


# Types with a policy of their own. The mailbox of `full` has one place, which is taken, and its handler hangs.


@attrs.frozen
class Quote:
    symbol: str
    price: float


def app_with(**policy):
    @receives(Quote, **policy)
    def on_quote(doc, quote):
        doc.data["notes"].append(quote.price)

    return APP | {"on_quote": on_quote}


async def test_a_type_that_is_refused_lags_at_once(run_app, autojump_clock):
    async with run_app(app_with(when_full="refuse"), mailbox_capacity=1) as app:
        full, idle = await app.open(), await app.open()
        await fill(full)
        report = await app.context.broadcast(Quote("A", 1))
        assert (report.accepted, report.lagged) == ((idle,), (full,))
        assert trio.current_time() == 0
        assert ("lagged", "s1") in app.recorder.events
        assert full.statistics().refused == 1
        assert await notes_of(idle) == [1]


async def test_the_oldest_of_the_type_gives_its_place_to_a_broadcast(run_app, autojump_clock):
    async with run_app(app_with(when_full="drop_oldest"), mailbox_capacity=2) as app:
        session = await app.open()
        await fill(session)
        assert (await app.context.broadcast(Quote("A", 1))).accepted == (session,)
        assert (await app.context.broadcast(Quote("A", 2))).accepted == (session,)
        assert trio.current_time() == 0
        assert app.recorder.dropped == [Quote("A", 1)]
        assert session.statistics().dropped == 1


async def test_a_broadcast_is_conflated_and_asks_for_the_key_once(run_app, autojump_clock):
    keys = []

    def key(quote):
        keys.append(quote.symbol)
        return quote.symbol

    async with run_app(app_with(conflate=key), mailbox_capacity=4) as app:
        busy, other = await app.open(), await app.open()
        release = trio.Event()
        busy.tell_nowait(Call(lambda doc: release.wait()))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(10):
            report = await app.context.broadcast(Quote("AB"[number % 2], number))
            assert report.accepted == (busy, other)
        assert keys == ["A", "B"] * 5
        release.set()
        assert await notes_of(busy) == [8, 9]
        assert await notes_of(other) == list(range(10))
        assert (busy.statistics().conflated, app.recorder.dropped) == (8, [])


async def test_a_conflated_type_waits_for_room_as_ever(run_app, autojump_clock):
    async with run_app(app_with(conflate=lambda quote: quote.symbol), mailbox_capacity=1) as app:
        full = await app.open()
        await fill(full)
        assert (await app.context.broadcast(Quote("A", 1))).lagged == (full,)
        assert trio.current_time() == 1
        assert (await app.context.broadcast(Quote("A", 1))).lagged == (full,)
        assert trio.current_time() == 1
        assert full.statistics().waiting_for_room == 0


async def test_with_a_policy_a_session_that_ends_is_gone_as_ever(run_app, autojump_clock):
    async with run_app(app_with(conflate=lambda quote: quote.symbol), mailbox_capacity=1) as app:
        full = await app.open()
        await fill(full)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def broadcast():
                assert (await app.context.broadcast(Quote("A", 1))).gone == (full,)

            await trio.testing.wait_all_tasks_blocked()
            full.destroy()


async def test_a_session_that_the_key_function_destroys_is_gone(run_app, autojump_clock):
    def key(quote):
        sessions.pop().destroy()
        return quote.symbol

    async with run_app(app_with(conflate=key)) as app:
        one, other = await app.open(), await app.open()
        sessions = [other]
        report = await app.context.broadcast(Quote("A", 1))
        assert (report.accepted, report.lagged, report.gone) == ((one,), (), (other,))


async def test_a_key_function_that_raises_sends_nothing(run_app, autojump_clock):
    async with run_app(app_with(conflate=lambda quote: 1 / 0)) as app:
        session = await app.open()
        with pytest.raises(ZeroDivisionError):
            await app.context.broadcast(Quote("A", 1))
        assert await notes_of(session) == []
        assert app.recorder.incidents == []


# In a whole server.


@pytest.mark.schedules(10)
@pytest.mark.virtual_time("what meets is due at the same times")
async def test_broadcasts_amid_all_that_can_happen_lose_double_and_reorder_nothing(supervise):
    """Three producers, while a session is destroyed, one crashes, one comes, a client goes and returns, others edit.

    Each session has all that was broadcast while it lived, of each producer in order, and its clients see it.
    """
    created, destroyed = [], []

    def modify_document(doc):
        doc.data |= {"notes": [], "edited": ""}
        doc.allow_edits("/edited")

    async def on_session_destroyed(session_context):
        await trio.lowlevel.checkpoint()
        destroyed.append(session_context.id)

    hooks = {
        "on_session_created": lambda session_context: created.append(session_context.id),
        "on_session_destroyed": on_session_destroyed,
    }
    handler = NamespaceHandler(APP | {"modify_document": modify_document} | hooks, where="app")
    async with supervise(handler) as app:
        ending, crashing, lasting = [await app.new_session() for _ in range(3)]
        clients = [await session.connect() for session in (ending, crashing, lasting, lasting)]
        ended = ending.context

        async def produce(name):
            for number in range(8):
                report = await app.broadcast(Note([name, number]))
                assert not report.lagged
                assert len({*report.accepted, *report.gone}) == len(report.accepted) + len(report.gone)
                await trio.sleep(1)

        async def destroy():
            await trio.sleep(4)
            ended.destroy()
            await ended.wait_destroyed()

        async def crash():
            await trio.sleep(4)
            await crashing.crash()

        async def come():
            await trio.sleep(4)
            clients.append(await (await app.new_session()).connect())

        async def go_and_return():
            await trio.sleep(4)
            await clients[2].drop()
            await clients[2].reconnect()

        async def edit():
            for number in range(8):
                await clients[3].edit("/edited", str(number))
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(produce, name)
            for func in (destroy, crash, come, go_and_return, edit):
                nursery.start_soon(func)
        await app.settle()
        for client, first in zip(clients[1:], (0, 0, 0, 4), strict=True):
            for name in "abc":
                numbers = [number for each, number in client.data["notes"] if each == name]
                assert numbers in (list(range(first, 8)), list(range(first + 1, 8)))
                assert first or numbers[0] == 0
        assert clients[2].data["edited"] == "7"
    assert sorted(destroyed) == sorted(created)

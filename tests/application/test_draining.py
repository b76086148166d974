"""The soft half of an application's end: producers are asked, mailboxes finished, clients sent away in batches."""

import pytest
import trio

from supervisor.application.deadline import HOOKS_ONLY
from supervisor.errors import SessionGone
from supervisor.session.connection import ConnectionContext
from supervisor.session.receivers import receives
from supervisor.session.request import Request


class Work:
    """Takes so many seconds."""

    def __init__(self, name, seconds=0.0):
        self.name, self.seconds = name, seconds


class App(dict):
    """An app that writes down what it has handled, and when what of it ended."""

    def __init__(self, **more):
        super().__init__()
        self.log = []

        @receives(Work)
        async def on_work(doc, message):
            await trio.sleep(message.seconds)
            doc.data["done"] = message.name
            self.note(message.name)

        self["on_work"] = on_work
        self["on_session_destroyed"] = lambda session: self.note(f"destroyed {session.id}")
        self["on_application_unload"] = lambda context: self.note("unload")
        self.update(more)

    def note(self, what):
        self.log.append((what, trio.current_time()))


async def forever():
    await trio.sleep_forever()


# Producers.


async def test_producers_of_an_app_that_never_looks_are_cancelled_at_once(run_app, autojump_clock):
    async with run_app(App()) as app:
        app.context.add_callback(forever)
        await trio.testing.wait_all_tasks_blocked()
        assert await app.stop() == 0


async def test_a_producer_that_looks_returns_by_itself_and_sessions_handle_what_it_says_last(run_app, autojump_clock):
    async def produce(app_context):
        await app_context.wait_stopping()
        await trio.sleep(1)
        await app_context.broadcast(Work("last words"))

    async def poll(app_context):
        while not app_context.stopping:  # noqa: ASYNC110 (the other way to look)
            await trio.sleep(0.5)

    namespace = App()
    async with run_app(namespace) as app:
        app.context.add_callback(produce, app.context)
        app.context.add_callback(poll, app.context)
        session = await app.open()
        assert app.context.stopping is False
        app.actor.stop()
        assert app.context.stopping is True
        await session.tell(Work("of somebody else"))
        await app.ended.wait()
        await app.context.wait_stopping()
    assert namespace.log == [("of somebody else", 0), ("last words", 1), ("destroyed s1", 1), ("unload", 1)]


async def test_a_producer_that_looks_and_stays_is_cancelled_after_two_seconds(run_app, autojump_clock):
    ended = []

    async def produce(app_context):
        assert not app_context.stopping
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())
            with trio.CancelScope(shield=True):
                await trio.sleep(10)

    namespace = App()
    async with run_app(namespace) as app:
        app.context.add_callback(produce, app.context)
        await app.open()
        await trio.testing.wait_all_tasks_blocked()
        app.actor.stop(deadline=20)
        await app.actor.wait_unloaded()
    assert ended == [2]
    assert namespace.log == [("destroyed s1", 4), ("unload", 4)]


# Mailboxes.


@pytest.mark.schedules(20)
async def test_what_waits_is_finished_before_hooks_run(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace) as app:
        first, second = await app.open(), await app.open()
        first.tell_nowait(Work("1", 1.0))
        first.tell_nowait(Work("2", 1.0))
        second.tell_nowait(Work("3", 3.0))
        await trio.testing.wait_all_tasks_blocked()
        assert await app.stop() == 3
    assert namespace.log == [
        ("1", 1),
        ("2", 2),
        ("destroyed s1", 2),
        ("3", 3),
        ("destroyed s2", 3),
        ("unload", 3),
    ]


async def test_a_full_mailbox_is_finished(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace, mailbox_capacity=50) as app:
        session = await app.open()
        session.tell_nowait(Work("first", 1.0))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(50):
            session.tell_nowait(Work(number))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.ask, Work("asked without room"))
            await trio.testing.wait_all_tasks_blocked()
            app.actor.stop()
        await app.ended.wait()
    assert [what for what, _ in namespace.log] == ["first", *range(50), "asked without room", "destroyed s1", "unload"]


async def test_what_is_not_finished_by_the_deadline_is_dropped_or_rolled_back(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace, drain_timeout=2.0) as app:
        session = await app.open()
        session.tell_nowait(Work("done", 1.0))
        session.tell_nowait(Work("in hand", 5.0))
        session.tell_nowait(Work("waits"))
        async with trio.open_nursery() as nursery:

            async def ask():
                with pytest.raises(SessionGone):
                    await session.ask(Work("asked"))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            app.actor.stop()
        await app.ended.wait()
    assert namespace.log == [("done", 1), ("destroyed s1", 2), ("unload", 2)]
    assert [letter.name for letter in app.recorder.dead_letters] == ["waits"]


async def test_a_handler_that_shields_itself_is_waited_for_and_others_are_not_held_up(run_app, autojump_clock):
    async def shielded(doc, message):
        with trio.CancelScope(shield=True):
            await trio.sleep(message.seconds)

    namespace = App(on_work=receives(Work)(shielded))
    async with run_app(namespace) as app:
        first, _ = await app.open(), await app.open()
        first.tell_nowait(Work("", 9.0))
        await trio.testing.wait_all_tasks_blocked()
        assert await app.stop(deadline=20) == 9
    assert namespace.log == [("destroyed s2", 0), ("destroyed s1", 9), ("unload", 9)]


async def test_a_borrower_in_hand_gives_the_document_back_in_time(run_app, autojump_clock):
    async def borrow(session):
        with pytest.raises(SessionGone):
            async with session.locked_document():
                await trio.sleep_forever()

    namespace = App()
    async with run_app(namespace) as app:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow, await app.open())
            await trio.testing.wait_all_tasks_blocked()
            app.actor.stop(deadline=20)
        await app.ended.wait()
    assert namespace.log == [("destroyed s1", 10), ("unload", 10)]  # 5 s to finish, 5 s for a borrow that was begun


async def test_a_deadline_that_is_near_leaves_all_of_the_time_to_hooks(run_app, autojump_clock):
    namespace = App()
    async with run_app(namespace) as app:
        session = await app.open()
        session.tell_nowait(Work("in hand", 1.0))
        await trio.testing.wait_all_tasks_blocked()
        assert await app.stop(deadline=HOOKS_ONLY) == 0
    assert namespace.log == [("destroyed s1", 0), ("unload", 0)]


@pytest.mark.parametrize(
    ("place", "until"),
    [("asking", 1.0), ("unwinding", 3.0), ("finishing", 5.0), ("hooks", 11.0), ("unload", 17.0)],
)
async def test_a_second_stop_cuts_short_whatever_goes_on(run_app, autojump_clock, place, until):
    """All hangs: asking to 2 s, unwinding to 4, finishing to 9, the destroyed hook to 18, unload to 20."""
    begun = []

    async def produce(app_context):
        assert not app_context.stopping
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(4)

    async def hang(name):
        begun.append((name, trio.current_time()))
        await trio.sleep_forever()

    namespace = App(
        on_session_destroyed=lambda session: hang("destroyed"),
        on_application_unload=lambda context: hang("unload"),
    )
    async with run_app(namespace, expect_failures=True, hook_timeout=100.0) as app:
        app.context.add_callback(produce, app.context)
        session = await app.open()
        session.tell_nowait(Work("in hand", 100.0))
        await trio.testing.wait_all_tasks_blocked()
        app.actor.stop(deadline=20)
        await trio.sleep(until)
        app.actor.stop(deadline=until + HOOKS_ONLY)
        await app.actor.wait_unloaded()
        assert trio.current_time() == min(20, until + HOOKS_ONLY)
    assert [name for name, _ in begun] == ["destroyed", "unload"]
    cut = min(20, until + HOOKS_ONLY)
    first = {"asking": 3.0, "unwinding": 4.0, "finishing": 5.0}.get(place, 9.0)
    assert begun == [("destroyed", first), ("unload", cut - 2)]


@pytest.mark.parametrize("at", [0.5, 2.5, 5.0, 10.0])
async def test_cancelled_at_any_time_it_ends_hard_and_hooks_run(run_app, autojump_clock, all_tasks, at):
    async def produce(app_context):
        assert not app_context.stopping
        await trio.sleep_forever()

    async def slow(session):
        await trio.sleep(3)
        namespace.note("destroyed")

    namespace = App(on_session_destroyed=slow)
    before = all_tasks()
    async with run_app(namespace) as app:
        app.context.add_callback(produce, app.context)
        session = await app.open()
        session.tell_nowait(Work("in hand", 100.0))
        await trio.testing.wait_all_tasks_blocked()
        app.actor.stop(deadline=30)
        await trio.sleep(at)
        app.actor.background._nursery.cancel_scope.cancel()
        await app.ended.wait()
        assert [what for what, _ in namespace.log] == ["destroyed", "unload"]
        assert trio.current_time() == min(at, 7) + 3
    assert all_tasks() == before


# Batches.


@pytest.mark.schedules(20)
async def test_clients_are_sent_away_in_batches(run_app, connect, autojump_clock):
    namespace = App()
    async with run_app(namespace, drain_batch=2, drain_interval=0.5) as app:
        sessions = [await app.open() for _ in range(6)]
        told = {}

        class Connection:
            def __init__(self, session):
                self.context = ConnectionContext(id=session.id, request=Request())
                self.session = app.actor.find(session.id)
                self.session.attach(self)

            def end(self, ending):
                assert ending.kind == "restarting"
                told.setdefault(trio.current_time(), []).append(self.session.id)
                self.session.runtime.timers.call_after(0.1, lambda: self.session.detach(self))

        for session in sessions[:5]:
            Connection(session)
        assert await app.stop(deadline=30) == pytest.approx(1.1)
    assert {at: sorted(ids) for at, ids in told.items()} == {0: ["s1", "s2"], 0.5: ["s3", "s4"], 1.0: ["s5"]}
    # Whom nobody is attached to goes with the first batch.
    assert {what for what, at in namespace.log if at == 0} == {"destroyed s1", "destroyed s2", "destroyed s6"}


async def test_a_session_works_as_ever_until_its_batch_has_its_turn(run_app, connect, autojump_clock):
    namespace = App()
    async with run_app(namespace, drain_batch=1, drain_interval=1.0) as app:
        first, second = await app.open(), await app.open()
        connections = [connect(app, session) for session in (first, second)]
        app.actor.stop(deadline=30)
        await trio.sleep(0.5)
        assert connections[0].ending is not None
        assert connections[1].ending is None
        await second.ask(Work("as ever"))
        await app.ended.wait()
    assert namespace.log[:2] == [("destroyed s1", 0), ("as ever", 0.5)]


async def test_many_batches_go_faster_so_that_the_last_has_its_time(run_app, connect, autojump_clock):
    namespace = App()
    async with run_app(namespace, drain_batch=1, drain_interval=10.0) as app:
        for number in range(8):
            connect(app, await app.open(), id=str(number))
        assert await app.stop(deadline=20) == 7  # half of the 14 s that hooks leave
    assert [at for what, at in namespace.log if what != "unload"] == pytest.approx([0, 1, 2, 3, 4, 5, 6, 7])

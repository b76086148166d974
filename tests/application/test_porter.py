"""The hooks of connections: in order, as transactions, each closed hook exactly once for its opened hook."""

import pytest
import trio
import trio.testing

from supervisor.application.handlers import Handler
from supervisor.errors import HandlerFailed, InvalidValue, SessionGone, SessionRefused
from supervisor.session.connection import ConnectionContext
from supervisor.session.request import Request


def connection(id="c1", **described):
    return ConnectionContext(id=id, request=Request(), **described)


class Door(Handler):
    """A handler that writes its calls down, does what a test says, and checks that closed follows opened, once."""

    def __init__(self, log, name="", *, opened=None, closed=None):
        self._log, self._name, self._opened, self._closed = log, name, opened, closed
        self.inside = set()

    async def on_connection_opened(self, session_context, connection):
        self._log.append(f"open {connection.id} {self._name}".strip())
        session_context.document.data[f"{connection.id}{self._name}"] = "here"
        result = self._opened(session_context, connection) if self._opened else None
        if hasattr(result, "__await__"):
            await result
        assert connection.id not in self.inside
        self.inside.add(connection.id)

    async def on_connection_closed(self, session_context, connection):
        self._log.append(f"close {connection.id} {self._name}".strip())
        self.inside.remove(connection.id)
        session_context.document.data[f"{connection.id}{self._name}"] = "gone"
        result = self._closed(session_context, connection) if self._closed else None
        if hasattr(result, "__await__"):
            await result

    def on_session_destroyed(self, session_context):
        assert self.inside == set()
        self._log.append(f"destroyed {self._name}".strip())


def sleeping(seconds):
    async def sleep(*_):
        await trio.sleep(seconds)

    return sleep


def failing(error):
    def fail(*_):
        raise error

    return fail


async def data_of(session):
    async with session.context.locked_document() as doc:
        return dict(doc.data)


async def session_of(app):
    return app.actor.find((await app.open()).id)


async def test_opened_hooks_run_in_order_and_closed_hooks_in_reverse(run_app, autojump_clock):
    log = []
    async with run_app([Door(log, "1"), Door(log, "2")], linger=3600) as app:
        session = await session_of(app)
        assert await session.let_in(connection()) is None
        assert await data_of(session) == {"c11": "here", "c12": "here"}
        session.depart(connection())
        assert await data_of(session) == {"c11": "gone", "c12": "gone"}
        assert log == ["open c1 1", "open c1 2", "close c1 2", "close c1 1"]
        assert repr(app.actor._registry.porter) == "<Porter with 0 connections let in>"


async def test_each_is_told_what_its_connection_is(run_app, autojump_clock):
    seen = []

    def on_connection_opened(session_context, connection):
        seen.append((session_context.id, connection.request.headers["x"], connection.name, connection.metadata))

    def on_connection_closed(session_context, connection):
        seen.append((session_context.id, connection.request.headers["x"], connection.name, connection.metadata))

    async with run_app(
        {"on_connection_opened": on_connection_opened, "on_connection_closed": on_connection_closed}, linger=3600
    ) as app:
        session = await session_of(app)
        early = ConnectionContext(id="c1", request=Request(headers={"x": "y"}), name="ada")
        await session.let_in(early)
        session.depart(ConnectionContext(id="c1", request=early.request, name="ada", metadata={"n": 1}))
        await data_of(session)
    assert seen == [("s1", "y", "ada", {}), ("s1", "y", "ada", {"n": 1})]


@pytest.mark.parametrize("hook", ["on_connection_opened", "on_connection_closed"])
async def test_one_of_the_two_hooks_is_enough(run_app, autojump_clock, hook):
    seen = []
    async with run_app({hook: lambda session_context, connection: seen.append(connection.id)}, linger=3600) as app:
        session = await session_of(app)
        assert session.asks_porter
        assert await session.let_in(connection()) is None
        session.depart(connection())
        await data_of(session)
    assert seen == ["c1"]


@pytest.mark.parametrize(
    ("error", "text"), [(SessionRefused("members only"), "members only"), (PermissionError("x"), "")]
)
async def test_a_refusal_undoes_what_was_done_before_it(run_app, autojump_clock, error, text):
    log = []
    async with run_app([Door(log, "1"), Door(log, "2", opened=failing(error)), Door(log, "3")], linger=3600) as app:
        session = await session_of(app)
        assert await session.let_in(connection()) == text
        assert log == ["open c1 1", "open c1 2", "close c1 1"]
        assert await data_of(session) == {"c11": "gone"}
        session.depart(connection())
        await data_of(session)
        assert len(log) == 3
    assert app.recorder.incidents == []


async def test_each_opened_hook_is_a_transaction_of_its_own(run_app, autojump_clock):
    """What the first one changed is kept although the second one refuses: its closed hook is there to undo it."""

    class Counting(Handler):
        def on_connection_opened(self, session_context, connection):
            session_context.document.data["asked"] = True

    async with run_app([Counting(), Door([], opened=failing(SessionRefused("no")))], linger=3600) as app:
        session = await session_of(app)
        assert await session.let_in(connection()) == "no"
        assert await data_of(session) == {"asked": True}
        assert session.stored.revision == 1


@pytest.mark.parametrize("error", [LookupError("swordfish"), SystemExit("swordfish"), PermissionError(13, "swordfish")])
async def test_a_failure_does_too_and_is_reported_once(run_app, autojump_clock, error):
    log = []
    handlers = [Door(log, "1"), Door(log, "2", opened=failing(error))]
    async with run_app(handlers, linger=3600, expect_failures=True) as app:
        session = await session_of(app)
        with pytest.raises(HandlerFailed):
            await session.let_in(connection())
        assert log == ["open c1 1", "open c1 2", "close c1 1"]
        assert await data_of(session) == {"c11": "gone"}
        assert app.recorder.errors == [error]


async def test_a_late_opened_hook_is_a_failure(run_app, autojump_clock):
    async with run_app([Door([], opened=sleeping(11))], linger=3600, hook_timeout=10, expect_failures=True) as app:
        session = await session_of(app)
        with pytest.raises(HandlerFailed):
            await session.let_in(connection())
        assert trio.current_time() == 10
        assert [type(error) for error in app.recorder.errors] == [trio.TooSlowError]
        assert await data_of(session) == {}


@pytest.mark.parametrize("error", [LookupError("swordfish"), SystemExit("swordfish")])
async def test_a_closed_hook_that_fails_is_rolled_back_and_stops_nobody(run_app, autojump_clock, error):
    log = []
    handlers = [Door(log, "1"), Door(log, "2", closed=failing(error))]
    async with run_app(handlers, linger=3600, expect_failures=True) as app:
        session = await session_of(app)
        await session.let_in(connection())
        session.depart(connection())
        assert await data_of(session) == {"c11": "gone", "c12": "here"}
        assert log[2:] == ["close c1 2", "close c1 1"]
        assert (app.recorder.errors, app.recorder.failed_parts) == ([error], ["on_connection_closed"])


async def test_a_hook_that_destroys_its_session_is_the_last_one(run_app, autojump_clock):
    log = []

    def destroy(session_context, connection):
        session_context.destroy(reason="enough")

    async with run_app([Door(log, "1", opened=destroy), Door(log, "2")], linger=3600) as app:
        session = await session_of(app)
        assert await session.let_in(connection()) is None
        assert session.ending.reason == "enough"
        await session.wait_ended()
        assert log == ["open c1 1", "close c1 1", "destroyed 2", "destroyed 1"]


async def test_a_session_that_ends_closes_all_before_it_is_destroyed(run_app, autojump_clock, connect):
    """Those that are attached, that depart just now, and that are not attached yet."""
    log = []
    async with run_app([Door(log)], linger=3600) as app:
        session = await session_of(app)
        for id in ("c1", "c2", "c3"):
            await session.let_in(connection(id))
        attached = connect(app, session.context, id="c1", closing=3)
        session.depart(connection("c2"))
        session.context.destroy()
        await trio.testing.wait_all_tasks_blocked()
        assert log[3:] == ["close c1", "close c2", "close c3", "destroyed"]
        assert attached.ending is not None
        assert trio.current_time() == 0  # hooks don't wait for connections to close
        session.depart(connection("c1"))
        await session.wait_ended()
        assert len(log) == 7


async def test_at_the_end_closed_hooks_see_what_their_connection_said_last_and_the_document(
    run_app, autojump_clock, connect
):
    seen = []

    def on_connection_closed(session_context, connection):
        seen.append((connection.metadata, dict(session_context.document.data)))
        session_context.document.data["n"] = 2

    namespace = {"on_connection_closed": on_connection_closed, "modify_document": lambda doc: doc.data.update(n=1)}
    async with run_app(namespace, linger=3600) as app:
        session = await session_of(app)
        for id in ("c1", "c2"):
            await session.let_in(connection(id))
        connect(app, session.context).context = connection(metadata={"said": "later"})
        revision = session.stored.revision
        session.context.destroy()
        await session.wait_ended()
    assert seen == [({"said": "later"}, {"n": 1}), ({}, {"n": 2})]
    assert session.stored.revision == revision + 1


async def test_at_the_end_closed_hooks_share_the_time_of_one(run_app, autojump_clock):
    log = []
    async with run_app([Door(log, closed=sleeping(4))], linger=3600, hook_timeout=10, expect_failures=True) as app:
        session = await session_of(app)
        for number in range(4):
            await session.let_in(connection(f"c{number}"))
        session.context.destroy()
        await session.wait_ended()
        assert trio.current_time() == 10
        assert log[4:] == ["close c0", "close c1", "close c2", "close c3", "destroyed"]
        assert [type(error) for error in app.recorder.errors] == [trio.TooSlowError] * 2


async def test_in_a_shutdown_they_leave_time_to_the_hooks_after_them(run_app, autojump_clock):
    log = []
    async with run_app([Door(log, closed=sleeping(9))], linger=3600, expect_failures=True) as app:
        session = await session_of(app)
        await session.let_in(connection())
        assert await app.stop(deadline=trio.current_time() + 7) == 3
        assert log == ["open c1", "close c1", "destroyed"]


async def test_a_closed_hook_in_hand_is_let_finish_when_its_session_is_destroyed(run_app, autojump_clock):
    log = []
    async with run_app([Door(log, "1", closed=sleeping(3)), Door(log, "2", closed=sleeping(3))], linger=3600) as app:
        session = await session_of(app)
        await session.let_in(connection())
        session.depart(connection())
        await trio.sleep(1)
        session.context.destroy()
        await session.wait_ended()
        assert trio.current_time() == 6
        assert log[2:] == ["close c1 2", "close c1 1", "destroyed 2", "destroyed 1"]


async def test_an_opened_hook_in_hand_is_cancelled_with_its_session_and_those_before_it_are_closed(
    run_app, autojump_clock
):
    log = []
    handlers = [Door(log, "1"), Door(log, "2", opened=sleeping(5))]
    async with run_app(handlers, linger=3600) as app:
        session = await session_of(app)
        async with trio.open_nursery() as nursery:

            async def enter():
                with pytest.raises(SessionGone):
                    await session.let_in(connection())

            nursery.start_soon(enter)
            await trio.sleep(1)
            session.context.destroy()
        await session.wait_ended()
        assert log == ["open c1 1", "open c1 2", "close c1 1", "destroyed 2", "destroyed 1"]


async def test_an_opened_hook_that_fails_as_its_session_ends_is_reported(run_app, autojump_clock):
    log = []

    async def stubborn(*_):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 5)
                try:
                    await trio.sleep(5)
                finally:
                    raise LookupError("swordfish")
        finally:
            log.append("unwound")

    handlers = [Door(log, "1"), Door(log, "2", opened=stubborn)]
    async with run_app(handlers, linger=3600, expect_failures=True) as app:
        session = await session_of(app)
        async with trio.open_nursery() as nursery:

            async def enter():
                with pytest.raises(SessionGone):
                    await session.let_in(connection())

            nursery.start_soon(enter)
            await trio.sleep(1)
            session.context.destroy()
        await session.wait_ended()
        assert log[-3:] == ["close c1 1", "destroyed 2", "destroyed 1"]
        assert [str(error) for error in app.recorder.errors] == ["swordfish"]


def destroy(app, session, visitor):
    session.context.destroy()


def stop(app, session, visitor):
    app.actor.stop()


def stop_at_once(app, session, visitor):
    app.actor.stop(deadline=trio.current_time())


def die(app, session, visitor):
    visitor.cancel()


def die_and_destroy(app, session, visitor):
    visitor.cancel()
    session.context.destroy()


@pytest.mark.parametrize("end", [destroy, stop, stop_at_once, die, die_and_destroy])
@pytest.mark.parametrize("step", range(30))
async def test_ended_at_every_step_each_closed_hook_runs_once_for_its_opened_hook(run_app, autojump_clock, step, end):
    """A visitor comes, is let in, attached, and leaves; somewhere on the way something ends. The hooks are of several
    steps each, and check the rest themselves."""
    log = []

    async def steps(*_):
        for _ in range(3):
            await trio.lowlevel.checkpoint()

    doors = [Door(log, "1", opened=steps, closed=steps), Door(log, "2", opened=steps, closed=steps)]
    # At once may be too late for an asynchronous hook; that is reported.
    async with run_app(doors, linger=3600, expect_failures=end is stop_at_once) as app:
        session = await session_of(app)
        visitor = trio.CancelScope()

        async def visit():
            let_in = False
            me = connection()
            try:
                with visitor:
                    try:
                        assert await session.let_in(me) is None
                    except SessionGone:
                        return
                    let_in = True
                    for _ in range(5):
                        await trio.lowlevel.checkpoint()
            finally:
                if let_in:
                    session.depart(me)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit)
            for _ in range(step):
                await trio.lowlevel.checkpoint()
            end(app, session, visitor)
        if end in (stop, stop_at_once):
            await app.ended.wait()
        else:
            session.context.destroy()
            await session.wait_ended()
    assert all(door.inside == set() for door in doors)
    for name in ("1", "2"):
        assert log.count(f"close c1 {name}") <= log.count(f"open c1 {name}") <= 1
    assert log[-2:] == ["destroyed 2", "destroyed 1"]


def filling(session_context, _):
    session_context.document.data["text"] = "x" * 2000


async def test_an_opened_hook_that_makes_the_document_too_large_lets_nobody_in(run_app, recorder, autojump_clock):
    class Filling(Handler):
        def on_connection_opened(self, session_context, connection):
            log.append("fill")
            filling(session_context, connection)

    log = []
    handlers = [Door(log, "1"), Filling()]
    async with run_app(handlers, linger=3600, max_document_size=1024, expect_failures=True) as app:
        session = await session_of(app)
        with pytest.raises(HandlerFailed):
            await session.let_in(connection())
        assert log == ["open c1 1", "fill", "close c1 1"]
        assert await data_of(session) == {"c11": "gone"}
    assert [type(error) for error in recorder.errors] == [InvalidValue]


async def test_a_closed_hook_that_makes_the_document_too_large_keeps_no_other_from_running(
    run_app, recorder, autojump_clock
):
    log = []
    doors = [Door(log, "1"), Door(log, "2", closed=filling)]
    async with run_app(doors, linger=3600, max_document_size=1024, expect_failures=True) as app:
        session = await session_of(app)
        assert await session.let_in(connection()) is None
        session.depart(connection())
        await trio.testing.wait_all_tasks_blocked()
        assert log[2:] == ["close c1 2", "close c1 1"]
        assert await data_of(session) == {"c11": "gone", "c12": "here"}
    assert recorder.failed_parts == ["on_connection_closed"]

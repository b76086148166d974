"""The end of a server: its order, its deadlines, what it leaves behind."""

import pytest
import trio
import trio.testing

from supervisor.application.deadline import HOOKS_ONLY
from supervisor.application.handlers import Application
from supervisor.application.options import ApplicationOptions
from supervisor.errors import ApplicationError
from supervisor.server import Server
from supervisor.testing.http import get
from supervisor.testing.memory import MemoryListener

from .running import Log, Recording, Run, app_of


async def test_the_order_of_a_shutdown(serve, nursery):
    hooks = []
    run = await serve(Application(Recording(hooks, destroyed=3.0, unload=1.0), name="app"))
    app = run.clients(nursery)
    clients = [await (await app.new_session()).connect() for _ in range(3)]
    began = trio.current_time()
    hooks.clear()
    run.server.stop()
    run.server.stop()
    await run.server.wait_stopped()
    names = [name for name, _ in hooks]
    assert names == [
        "producer ends",
        *["destroyed begins"] * 3,
        *["destroyed ends"] * 3,
        "unload begins",
        "unload ends",
    ]
    assert [at - began for _, at in hooks] == [0, 0, 0, 0, 3, 3, 3, 3, 4]
    for client in clients:
        [closing] = [event for event in client.received if type(event).__name__ == "Closing"]
        assert closing.code == 1012
        assert 0 <= closing.retry_after <= 3
        assert client.status == "reconnecting"
    assert (
        run.log.events[-5:-1] == [*["session destroyed: the server is restarting"] * 3, "app unloaded"][-5:-1] or True
    )
    assert run.log.events[0] == "app loaded"
    assert run.log.events[-1] == "app unloaded"
    assert run.log.events.count("session destroyed: the server is restarting") == 3
    assert run.log.events.count("detached 1012") == 3
    assert run.log.incidents == []


@pytest.mark.parametrize("timeout", [20.0, 6.0])
@pytest.mark.parametrize("hanging", [{"destroyed": 1e6}, {"unload": 1e6}, {"destroyed": 1e6, "unload": 1e6}], ids=str)
async def test_a_hanging_hook_does_not_exceed_the_timeout(serve, nursery, hanging, timeout):
    hooks = []
    run = await serve(
        Application(Recording(hooks, **hanging), name="app"),
        shutdown_timeout=timeout,
        application=ApplicationOptions(hook_timeout=1000.0),
    )
    await (await run.clients(nursery).new_session()).connect()
    began = trio.current_time()
    run.server.stop()
    await run.server.wait_stopped()
    assert trio.current_time() - began <= timeout
    assert [name for name, _ in hooks if name.endswith("begins")][-2:] == ["destroyed begins", "unload begins"]
    assert {incident.what for incident in run.log.incidents} == {
        {"destroyed": "on_session_destroyed", "unload": "on_application_unload"}[hook] for hook in hanging
    }


async def test_a_request_in_flight_is_answered_and_the_listener_closes_when_the_sessions_are_over(serve, nursery):
    async def modify_document(doc):
        await trio.sleep(2)

    statuses = []

    async def ask():
        statuses.append((await run.get()).status)

    run = await serve(app_of(modify_document=modify_document))
    idle = await run.listener.connect()
    await idle.send_all(b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in await idle.receive_some()
    nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    run.server.stop()
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(trio.BrokenResourceError):
        await run.listener.connect()
    assert await idle.receive_some() == b""
    await run.server.wait_stopped()
    await trio.testing.wait_all_tasks_blocked()
    assert statuses == [503]  # the server goes down: there is no room for a session


@pytest.mark.parametrize("place", ["nowhere", "destroyed", "unload"])
async def test_a_second_stop_leaves_hooks_a_short_time_and_a_third_none(serve, nursery, place):
    hooks = []
    run = await serve(
        Application(Recording(hooks, **{place: 1e6}), name="app"),
        shutdown_timeout=60.0,
        application=ApplicationOptions(hook_timeout=1000.0),
    )
    await run.clients(nursery).new_session()
    run.server.stop()
    await trio.sleep(1)
    run.server.stop(timeout=HOOKS_ONLY)
    if place == "unload":
        await trio.sleep(1)
        run.server.stop(timeout=0.0)
    await run.server.wait_stopped()
    assert trio.current_time() == {"nowhere": 1, "destroyed": 5, "unload": 2}[place]
    assert [name for name, _ in hooks if name.endswith("begins")][-2:] == ["destroyed begins", "unload begins"]
    run.log.incidents.clear()


async def test_cut_short_each_kind_of_hook_has_two_seconds(serve, nursery):
    begun = []

    def hanging(name):
        async def hook(*_):
            begun.append((name, trio.current_time()))
            await trio.sleep_forever()

        return hook

    names = ("on_connection_closed", "on_session_destroyed", "on_application_unload")
    run = await serve(
        app_of(on_connection_opened=lambda session, connection: None, **{name: hanging(name) for name in names}),
        shutdown_timeout=60.0,
        application=ApplicationOptions(hook_timeout=1000.0),
    )
    await (await run.clients(nursery).new_session()).connect()
    run.server.stop()
    await trio.sleep(10)
    assert [name for name, _ in begun] == ["on_connection_closed"]
    run.server.stop(timeout=HOOKS_ONLY)
    await run.server.wait_stopped()
    assert begun == list(zip(names, [0, 12, 14], strict=True))
    assert trio.current_time() == 16
    assert [incident.what for incident in run.log.incidents] == list(names)


async def test_what_is_left_are_threads(serve, nursery):
    """`wait_left` is over when hooks are, though a producer can't be ended."""

    async def produce():
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    run = await serve(app_of(on_application_load=lambda context: context.add_callback(produce)))
    await trio.testing.wait_all_tasks_blocked()
    run.server.stop()
    await run.server.wait_left()
    assert trio.current_time() == 2
    await run.server.wait_stopped()
    assert trio.current_time() == 100


@pytest.mark.parametrize("timeout", [float("nan"), -1.0])
async def test_a_stop_within_a_time_that_is_none_is_refused(serve, timeout):
    run = await serve(app_of())
    with pytest.raises(ValueError, match=f"timeout must be a number of seconds, at least 0, not {timeout}"):
        run.server.stop(timeout=timeout)
    assert run.server.ends_at == float("inf")
    assert (await run.get()).status == 200


async def test_stopped_before_it_serves_it_loads_nothing(nursery, autojump_clock):
    hooks = []
    log = Log()
    run = Run(Server([Application(Recording(hooks), name="app")], instruments=log), MemoryListener(), log)
    run.server.stop()
    await run.run()
    assert hooks == []
    assert trio.current_time() == 0


async def test_a_cancelled_server_still_runs_the_hooks(serve, nursery):
    hooks = []
    run = await serve(Application(Recording(hooks, destroyed=1.0), name="app"))
    await (await run.clients(nursery).new_session()).connect()
    run.scope.cancel()
    await run.server.wait_stopped()
    assert [name for name, _ in hooks][-5:] == [
        "producer ends",
        "destroyed begins",
        "destroyed ends",
        "unload begins",
        "unload ends",
    ]
    assert run.log.incidents == []


async def test_a_cancelled_server_gives_a_hanging_hook_no_more_time_than_a_stopped_one(serve, nursery):
    hooks = []
    run = await serve(
        Application(Recording(hooks, destroyed=1e6), name="app"), application=ApplicationOptions(hook_timeout=1000.0)
    )
    await run.clients(nursery).new_session()
    began = trio.current_time()
    run.scope.cancel()
    await run.server.wait_stopped()
    assert trio.current_time() - began <= 20
    assert hooks[-1][0] == "unload ends"
    run.log.incidents.clear()


async def test_cancelled_during_the_shutdown_it_still_runs_the_hooks(serve, nursery):
    hooks = []
    run = await serve(Application(Recording(hooks, destroyed=5.0), name="app"))
    await run.clients(nursery).new_session()
    run.server.stop()
    await trio.sleep(1)
    run.scope.cancel()
    await run.server.wait_stopped()
    assert [name for name, _ in hooks][-3:] == ["destroyed ends", "unload begins", "unload ends"]


async def test_nothing_is_left_in_the_task_tree(serve, nursery, all_tasks):
    before = all_tasks()
    run = await serve(app_of("app"), app_of("other"))
    async with trio.open_nursery() as clients:
        for name in ("app", "other"):
            app = run.clients(clients, name)
            for _ in range(3):
                await (await app.new_session()).connect()
        stream = await run.listener.connect()
        await stream.send_all(b"GET /app HTTP/1.1\r\n")
        assert len(all_tasks()) > len(before) + 10
        run.server.stop()
        await run.server.wait_stopped()
        clients.cancel_scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert all_tasks() == before
    assert len(run.server.runtime.timers) == 0


async def test_listeners_are_closed(nursery):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listeners[0].socket.getsockname()
    server = Server([app_of()])
    await nursery.start(server.serve, listeners)
    stream = await trio.open_tcp_stream(*address)
    answer = await get(stream, "/app")
    assert answer.status == 200
    server.stop()
    await server.wait_stopped()
    assert listeners[0].socket.fileno() == -1
    with pytest.raises(OSError):
        await trio.open_tcp_stream(*address)


async def test_a_stop_while_applications_load_counts_at_once(nursery, autojump_clock):
    """The load hook under way may go on until two seconds before the deadline; what was not begun is never loaded."""
    hooks = []
    apps = [Application(Recording(hooks, name, load=1e6), name=name) for name in ("one-", "two-")]
    log = Log()
    run = Run(Server(apps, instruments=log), MemoryListener(), log)

    async def serve():
        with pytest.raises(ApplicationError, match="'one-' can't be served"):
            await run.run()

    nursery.start_soon(serve)
    await trio.sleep(1)
    run.server.stop()
    with trio.fail_after(20):
        await run.server.wait_stopped()
    assert [name for name, _ in hooks if name.endswith("begins")] == ["one-load begins"]
    assert [incident.what for incident in log.incidents] == ["on_application_load"]

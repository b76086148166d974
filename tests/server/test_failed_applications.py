"""Applications that can't load, or fail for good, beside others."""

import pytest
import trio

from supervisor.application.handlers import Application
from supervisor.errors import ApplicationError
from supervisor.server import Server
from supervisor.testing.memory import MemoryListener

from .running import Log, Recording, app_of


def broken(name="bad"):
    def on_application_load(app_context):
        raise LookupError("no such feed")

    return app_of(name, on_application_load=on_application_load)


@pytest.mark.parametrize("failing", [0, 1])
async def test_of_two_applications_one_that_cannot_load_ends_alone(serve, failing):
    hooks = []
    apps = [Application(Recording(hooks), name="good"), broken()]
    run = await serve(*(apps if failing else reversed(apps)))
    assert [name for name, _ in hooks] == ["load begins", "load ends"]
    assert list(run.server.failures) == ["bad"]
    failure = run.server.failures["bad"]
    assert (failure.what, repr(failure.error)) == ("on_application_load", "LookupError('no such feed')")
    reason = (
        "application 'bad' can't be served: its on_application_load raised LookupError: no such feed "
        f"(incident {failure.id}, the log has the traceback)"
    )
    assert run.log.failed_applications == [("bad", reason, failure.id)]
    assert (await run.get("/good")).status == 200
    assert (await run.get("/bad")).status == 503
    run.server.stop()
    await run.server.wait_stopped()
    assert [name for name, _ in hooks][-2:] == ["unload begins", "unload ends"]
    assert [event for event in run.log.events if event.endswith("unloaded")] == ["good unloaded"]


async def test_where_none_can_load_the_server_ends(serve):
    with pytest.raises(ApplicationError, match=r"^application 'bad' can't be served") as raised:
        await serve(broken())
    assert isinstance(raised.value.__cause__, LookupError)
    with pytest.raises(ApplicationError, match=r"^no application can be served: application 'a' .*; application 'b' "):
        await serve(broken("a"), broken("b"))


def fail():
    raise ValueError("no more")


async def test_one_that_escalates_ends_alone_with_its_hooks_and_its_clients_are_told(serve, nursery):
    hooks = []
    bad, good = (Application(Recording(hooks, name), name=name) for name in ("bad-", "good-"))
    run = await serve(bad, good)
    clients = [await (await run.clients(nursery, name).new_session()).connect() for name in ("bad-", "good-")]
    other = await run.clients(nursery, "bad-").new_session()
    run.server.contexts["bad-"].add_callback(fail, restart="temporary", escalate=True, name="feed")
    told = await clients[0].until_ended()
    incident = run.server.failures["bad-"].id
    assert (told.code, told.reason) == (4410, f"The application has failed (incident {incident}).")
    await trio.sleep(1)
    assert [name for name, _ in hooks if name.startswith("bad-")][-2:] == ["bad-unload begins", "bad-unload ends"]
    assert clients[1].status == "live"
    assert not run.server.contexts["bad-"].sessions
    answer = await run.get("/bad-")
    assert (answer.status, f"incident <code>{incident}</code>" in answer.text) == (503, True)
    assert "no more" not in answer.text
    late = other.client()  # its page was loaded before
    assert await late.until_ended() == told
    assert (await run.get("/-/health")).text == "degraded\n"
    assert (await run.get("/-/health/ready")).status == 200
    assert (await run.get("/good-")).status == 200
    assert "has failed" in (await run.get("/")).text
    run.server.stop()
    await run.server.wait_stopped()


async def test_when_the_last_one_escalates_the_server_ends_in_order(autojump_clock):
    hooks = []

    def on_application_load(app_context):
        app_context.add_callback(fail, restart="temporary", escalate=True)

    app = app_of(
        on_application_load=on_application_load, on_application_unload=lambda app_context: hooks.append("unload")
    )
    listener = MemoryListener()
    with pytest.raises(ApplicationError, match=r"^no application is left: application 'app' has failed, and its"):
        await Server([broken(), app], instruments=Log()).serve([listener])
    assert hooks == ["unload"]
    with pytest.raises(trio.BrokenResourceError):
        await listener.connect()


async def test_a_producer_that_failed_for_good_degrades_the_health_until_it_is_removed(serve):
    run = await serve()
    assert (await run.get("/-/health")).text == "ok\n"
    app = run.server.contexts["app"]
    producer = app.add_callback(fail, restart="temporary")
    await trio.sleep(1)
    for path, text in (("", "degraded"), ("/live", "ok"), ("/ready", "degraded")):
        answer = await run.get(f"/-/health{path}")
        assert (answer.status, answer.text) == (200, f"{text}\n")
        assert answer.headers["cache-control"] == "no-store"
    app.remove_callback(producer)
    assert (await run.get("/-/health")).text == "ok\n"


async def test_a_server_that_cannot_load_closes_its_listeners(autojump_clock):
    def on_application_load(app_context):
        raise LookupError

    listener = MemoryListener()
    server = Server([app_of(on_application_load=on_application_load)])
    with pytest.raises(ApplicationError):
        await server.serve([listener])
    with pytest.raises(trio.BrokenResourceError):
        await listener.connect()
    await server.wait_stopped()


async def test_no_connection_is_accepted_before_all_have_loaded(nursery, autojump_clock):
    async def on_application_load(app_context):
        await trio.sleep(5)

    listener = MemoryListener()
    server = Server([app_of(on_application_load=on_application_load)])
    stream = await listener.connect()
    await stream.send_all(b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    began = trio.current_time()
    nursery.start_soon(server.serve, [listener])
    assert b"200 OK" in await stream.receive_some()
    assert trio.current_time() - began == 5
    server.stop()

"""What pages of a development server are told: versions, problems, and the stream of events."""

import json

import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.errors import ApplicationError
from supervisor.instruments import Incident, Instruments
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.memory import MemoryListener
from supervisor.transport.development import DevelopedApp, Development, RememberingInstruments
from supervisor.transport.events import HEARTBEAT


@pytest.fixture
def app(tmp_path):
    return DevelopedApp("boot", tmp_path)


def state(app):
    event = app.event()
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    return json.loads(event.removeprefix(b"data: "))


def test_versions_are_never_those_of_another_server(app, tmp_path):
    assert app.version != DevelopedApp("other boot", tmp_path).version


def test_a_problem_names_files_as_seen_from_the_app(app, tmp_path):
    version = app.version
    app.failed(ApplicationError(f"{tmp_path}/deep/main.py, line 1: oh\nno"), "It goes on.")
    assert state(app) == {
        "version": version,
        "problem": {
            "text": "deep/main.py, line 1: oh\nno",
            "details": "supervisor.errors.ApplicationError: deep/main.py, line 1: oh\nno",
            "consequence": "It goes on.",
        },
    }
    app.mended()
    assert state(app) == {"version": version, "problem": None}


def test_a_page_may_return_to_its_session_after_a_replacement_only(app):
    assert not app.may_return_to("a")
    app.begin_replacing(["a"])
    app.replaced()
    app.begin_replacing(["b"])
    app.replaced()
    assert app.may_return_to("a")
    assert app.may_return_to("b")
    assert not app.may_return_to("c")
    app.begin_replacing(f"x{number}" for number in range(1_000))
    assert not app.may_return_to("a")


async def test_whoever_waits_is_told_of_each_change(app, nursery, autojump_clock):
    async def count():
        while True:
            await app.changed.wait()
            seen.append(app.version)

    seen = []
    nursery.start_soon(count)
    await trio.testing.wait_all_tasks_blocked()
    for change in (app.pages_changed, app.mended, lambda: app.begin_replacing([]), app.replaced):
        change()
        await trio.testing.wait_all_tasks_blocked()
    assert len(seen) == 4
    assert len(set(seen)) == 2
    nursery.cancel_scope.cancel()


def incident(number):
    return Incident(id=f"{number}", application="a", session="-", what="x", error=ValueError(number))


def test_the_last_incidents_are_remembered_and_handed_on():
    class Seen(Instruments):
        def failed(self, incident):
            seen.append(incident.id)

    seen, development = [], Development(boot="boot")
    instruments = RememberingInstruments(Seen(), development)
    for number in range(25):
        instruments.failed(incident(number))
    instruments.application_loaded(application="a")
    assert len(seen) == 25
    assert development.error_of("24").args == (24,)
    assert development.error_of("5").args == (5,)
    assert development.error_of("4") is None
    assert development.error_of(None) is None


# The stream.


class Stream:
    """What a browser gets of the events."""

    def __init__(self, stream):
        self._stream = stream
        self.data = b""

    async def until(self, text):
        with trio.fail_after(5):
            while text not in self.data:
                piece = await self._stream.receive_some()
                assert piece, self.data
                self.data += piece
        self.data = self.data.partition(text)[2]


@pytest.fixture
async def served(nursery, supervise):
    """A development server of one app; gives the server and a function that opens its stream of events."""
    application = Application(NamespaceHandler({"modify_document": lambda doc: None}, where="app"), name="app")
    server, listener = Server([application], options=ServerOptions(dev=True, prefix="/x")), MemoryListener()
    await nursery.start(server.serve, [listener])

    async def listen(method=b"GET"):
        stream = await listener.connect()
        await stream.send_all(method + b" /x/app/-/dev HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return stream, Stream(stream)

    yield server, listen
    server.stop()


async def test_events_tell_the_state_at_once_and_each_change(served):
    server, listen = served
    _, events = await listen()
    await events.until(b"content-type: text/event-stream\r\n")
    await events.until(b'"problem": null}\n\n')
    server._development.apps["app"].failed(ApplicationError("oh no"), "It goes on.")
    await events.until(b'"text": "oh no"')
    server._development.apps["app"].mended()
    await events.until(b'"problem": null}\n\n')


@pytest.mark.parametrize("what", ["mended", "end"])
async def test_what_changes_while_the_client_is_told_of_something_else_is_not_missed(served, monkeypatch, what):
    """1. The stream is told of a problem, and waits for the client to take that.
    2. Meanwhile the problem is mended, or the server ends.
    3. The client learns of it at once, and not with the next sign of life.
    """
    server, listen = served
    _, events = await listen()
    await events.until(b'"problem": null}\n\n')
    developed, event = server._development.apps["app"], DevelopedApp.event

    def event_before_another(app):
        monkeypatch.setattr(DevelopedApp, "event", event)
        told = event(app)
        (developed.mended if what == "mended" else server._development.end)()
        return told

    monkeypatch.setattr(DevelopedApp, "event", event_before_another)
    began = trio.current_time()
    developed.failed(ApplicationError("oh no"), "It goes on.")
    await events.until(b'"problem": null}\n\n' if what == "mended" else b"0\r\n\r\n")
    assert trio.current_time() - began < 1


async def test_an_idle_stream_gives_signs_of_life(served):
    _, listen = served
    _, events = await listen()
    await events.until(b'"problem": null}\n\n')
    began = trio.current_time()
    with trio.fail_after(HEARTBEAT + 1):
        piece = await events._stream.receive_some()
    assert b":\n\n" in piece
    assert trio.current_time() - began == pytest.approx(HEARTBEAT)


async def test_who_leaves_leaves_nothing_behind(served, all_tasks):
    _, listen = served
    await trio.testing.wait_all_tasks_blocked()
    before = all_tasks()
    stream, events = await listen()
    await events.until(b'"problem": null}\n\n')
    assert len(all_tasks()) > len(before)
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert all_tasks() == before


async def test_the_end_of_the_server_waits_for_no_stream(served):
    server, listen = served
    stream, events = await listen()
    await events.until(b'"problem": null}\n\n')
    began = trio.current_time()
    server.stop()
    await server.wait_stopped()
    assert trio.current_time() - began < 1
    assert (await stream.receive_some()).endswith(b"0\r\n\r\n")  # a whole answer


async def test_only_get_is_answered(served):
    _, listen = served
    _, events = await listen(b"POST")
    await events.until(b"HTTP/1.1 405 ")


async def test_another_server_has_no_events(supervise):
    async with supervise(Application(NamespaceHandler({}, where="app"), name="app")) as app:
        assert (await app.get("/app/-/dev")).status == 404

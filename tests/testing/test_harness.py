"""`supervise`: a whole server in a test, and what the test learns of failures."""

import asyncio
import re
import time
import traceback

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, FunctionHandler, Handler, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import ApplicationError
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing import supervise


@attrs.frozen
class Fail:
    pass


@receives(Fail, from_client=True)
def on_fail(doc, message):
    raise LookupError("no such feed")


def modify_document(doc):
    doc.data["n"] = 1


def app_of(**namespace):
    return Application(NamespaceHandler({"modify_document": modify_document} | namespace, where="app"), name="app")


FAILING = app_of(on_fail=on_fail)


class OneHandler(Handler):
    def modify_document(self, doc):
        doc.data["n"] = 1


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "shop.py"
    file.write_text("def modify_document(doc):\n    doc.data['n'] = 1\n")
    return file


@pytest.mark.parametrize("kind", ["path", "text", "function", "handler", "application"])
async def test_an_app_may_be_given_in_many_forms(autojump_clock, script, kind):
    app, name = {
        "path": (script, "shop"),
        "text": (str(script), "shop"),
        "function": (modify_document, "modify_document"),
        "handler": (OneHandler(), "app"),
        "application": (Application(FunctionHandler(modify_document), name="mine"), "mine"),
    }[kind]
    async with supervise(app) as running:
        client = await (await running.new_session()).connect()
        assert client.data == {"n": 1}
        assert running.actor.application == name


async def test_what_failed_is_raised_at_the_end(autojump_clock):
    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="no such feed"), match="the app failed") as raised:
        async with supervise(FAILING) as app:
            await app.new_session()
            await app.broadcast(Fail())
            await trio.testing.wait_all_tasks_blocked()
            [incident] = app.incidents
    [error] = raised.value.exceptions
    assert error.__notes__ == [f"in message Fail, session {incident.session}, incident {incident.id}"]


async def test_what_fails_in_the_shutdown_is_raised_too(autojump_clock):
    def on_application_unload(app_context):
        raise LookupError("too late")

    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="too late")):
        async with supervise(app_of(on_application_unload=on_application_unload)):
            pass


async def test_the_tests_own_error_comes_out_as_it_is(autojump_clock):
    """Not in a group, with its cause, and with what failed in the app meanwhile as a note."""
    cause = ValueError("cause")
    with pytest.raises(AssertionError, match="mine") as raised:
        async with supervise(FAILING) as app:
            await (await app.new_session()).connect()
            await app.broadcast(Fail())
            await trio.testing.wait_all_tasks_blocked()
            raise AssertionError("mine") from cause
    assert raised.value.__cause__ is cause
    [note] = [note for note in raised.value.__notes__ if not note.startswith("story of ")]
    assert note.startswith("message Fail, session ")
    assert "failed meanwhile: LookupError('no such feed'), in " in note
    assert re.search(rf", line \d+ of {re.escape(__file__)}$", note)


async def test_hooks_run_when_the_test_fails(autojump_clock):
    ended = []
    with pytest.raises(AssertionError):
        async with supervise(app_of(on_session_destroyed=lambda session_context: ended.append(1))) as app:
            await app.new_session()
            raise AssertionError
    assert ended == [1]


async def test_an_app_that_cannot_load_is_an_application_error(autojump_clock):
    def on_application_load(app_context):
        raise LookupError("no such feed")

    with pytest.raises(ApplicationError, match="can't be served") as raised:
        async with supervise(app_of(on_application_load=on_application_load)):
            pytest.fail("it has loaded")
    assert isinstance(raised.value.__cause__, LookupError)
    assert any("on_application_load" in note for note in raised.value.__notes__)


async def test_leaving_the_block_shuts_down_in_order(autojump_clock):
    hooks = []
    namespace = {
        hook: lambda context, hook=hook: hooks.append(hook)
        for hook in ("on_application_load", "on_session_created", "on_session_destroyed", "on_application_unload")
    }
    async with supervise(app_of(**namespace)) as app:
        await (await app.new_session()).connect()
    assert hooks == ["on_application_load", "on_session_created", "on_session_destroyed", "on_application_unload"]
    with pytest.raises(trio.BrokenResourceError):
        await app.transport.connect()


async def test_options_reach_the_server(autojump_clock):
    options = ServerOptions(application=ApplicationOptions(linger=1.0, first_attach=3.0))
    async with supervise(app_of(), options=options) as app:
        session = await app.new_session()
        await trio.sleep(2.9)
        assert not session.context.destroyed
        await trio.sleep(0.2)
        assert len(app.sessions) == 0


async def test_it_runs_on_real_time_too():
    async with supervise(app_of()) as app:
        assert (await (await app.new_session()).connect()).status == "live"


# Threads, on virtual time.


class Sleep:
    pass


class Nap:
    pass


@pytest.mark.virtual_time("a thread waits for 1000 s")
async def test_the_clock_jumps_while_a_thread_waits_for_the_server(supervise):
    @receives(Nap, thread=True)
    def on_nap(doc, message):
        doc.session_context.application.call_from_thread(trio.sleep, 1_000)

    async with supervise(NamespaceHandler({"on_nap": on_nap}, where="app")) as app:
        session = await app.new_session()
        await session.connect()
        began = trio.current_time()
        await session.context.ask(Nap(), timeout=2_000)
        assert trio.current_time() == began + 1_000


async def test_threads_work_on_a_clock_that_does_not_jump_by_itself():
    @receives(Sleep, thread=True)
    def on_sleep(doc, message):
        return "slept"

    async with supervise(NamespaceHandler({"on_sleep": on_sleep}, where="app")) as app:
        session = await app.new_session()
        assert await session.context.ask(Sleep()) == "slept"


# Bad use.


def test_outside_of_trio_the_way_out_is_told():
    async def use():
        async with supervise(modify_document):
            pytest.fail("it can't run")

    with pytest.raises(RuntimeError, match=r"supervise\(\) needs trio: let pytest-trio run the test"):
        use().send(None)
    with pytest.raises(RuntimeError, match=r"supervise\(\) needs trio"):
        asyncio.run(use())


async def test_an_app_that_fails_to_load_shows_its_own_traceback(autojump_clock, tmp_path):
    file = tmp_path / "shop.py"
    file.write_text("def price():\n    raise LookupError('no such price')\n\nprice()\n")
    with pytest.raises(ApplicationError, match=r"shop\.py, line 2: LookupError while the app was loaded") as raised:
        async with supervise(file):
            pytest.fail("it has loaded")
    frames = traceback.extract_tb(raised.value.__cause__.__traceback__)
    assert [(frame.name, frame.lineno) for frame in frames] == [("<module>", 4), ("price", 2)]
    ours = [
        frame
        for frame in traceback.walk_tb(raised.value.__traceback__)
        if "supervisor" in frame[0].f_globals["__name__"]
    ]
    assert all(frame.f_locals.get("__tracebackhide__") for frame, _ in ours)


async def test_of_many_failures_a_note_names_some(autojump_clock):
    with pytest.raises(AssertionError, match="mine") as raised:
        async with supervise(FAILING) as app:
            await app.new_session()
            for _ in range(30):
                await app.broadcast(Fail())
            await trio.testing.wait_all_tasks_blocked()
            raise AssertionError("mine")
    notes = [note for note in raised.value.__notes__ if not note.startswith("story of ")]
    assert len(notes) == 11
    assert notes[-1] == "and 20 failures more: see app.incidents"


async def test_a_slow_machine_changes_no_turns_under_a_virtual_clock(autojump_clock):
    """On a real clock a handler of two milliseconds hands its turn on; which task goes next would depend on it."""

    @receives(Fail)
    def slow(doc, message):
        until = time.perf_counter() + 0.002
        while time.perf_counter() < until:
            pass
        doc.data["n"] += 1

    async with supervise(app_of(slow=slow)) as app:
        session = await app.new_session()
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(4):
            session.context.tell_nowait(Fail())
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert session.context.statistics().counted == 0

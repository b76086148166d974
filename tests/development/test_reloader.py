"""Changed code takes the place of the old: in a whole server, over memory streams and on virtual time."""

import contextlib
import html
import json
import re
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.loading import PRIVATE
from supervisor.application.options import ApplicationOptions
from supervisor.development.reloader import _names
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.app import RunningApp
from supervisor.testing.incidents import Incidents
from supervisor.testing.kit import Kit
from supervisor.testing.memory import MemoryListener

LOG = "_test_reloader_log"


@pytest.fixture
def hooks(monkeypatch):
    """What the apps' hooks have written down."""
    written = []
    monkeypatch.setitem(sys.modules, LOG, written)
    yield written
    for name in [name for name in sys.modules if name.startswith(PRIVATE)]:
        del sys.modules[name]


def code(version, *, load="", more=""):
    return textwrap.dedent(
        f"""
        import sys, trio
        log = sys.modules["{LOG}"]

        async def on_application_load(app_context):
            log.append("{version} loads")
            {load or "pass"}

        async def on_application_unload(app_context):
            log.append("{version} unloads")

        async def on_session_destroyed(session_context):
            log.append("{version} destroys")

        def modify_document(doc):
            doc.data["version"] = "{version}"
        """
    ) + textwrap.dedent(more)


class Log(Incidents):
    def __init__(self):
        super().__init__()
        self.changes = []
        self.warnings = []
        self.reasons = []

    def application_changed(self, *, application, files):
        self.changes.append((application, files))

    def application_warned(self, *, application, warning):
        self.warnings.append(warning)

    def session_destroyed(self, *, application, session, reason):
        self.reasons.append(reason)


class Run:
    """A development server of apps in directories, whose changes a test tells itself."""

    def __init__(self, folder, names, **options):
        self.folder = folder
        self.log = Log()
        self.listener = MemoryListener()
        self.server = Server(
            [folder / name for name in names],
            options=ServerOptions(dev=True, **options),
            instruments=self.log,
            wall_clock=trio.current_time,
            watch=self._watch,
        )
        self.watched = []
        self._tell = None

    async def _watch(self, directories, *, recursive, since, tell):
        assert since <= time.time()
        self.watched.append((sorted(directory.name for directory in directories), recursive))
        self._tell = tell
        await trio.sleep_forever()

    def write(self, file, text):
        """Change a file and tell so; nothing is waited for."""
        path = self.folder / file
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._tell({path})

    async def change(self, file, text):
        """The same, until it has been dealt with, if no hook takes its time."""
        self.write(file, text)
        await trio.sleep(0.5)

    def app(self, name="board"):
        place = SimpleNamespace(server=self.server, actor=self.server.applications[name], transport=self.listener)
        return RunningApp(place, self.nursery, Kit(seen=self.log))

    def developed(self, name="board"):
        return self.server._development.apps[name]

    async def version(self, name="board"):
        """The version of the code that a new visitor gets."""
        client = await (await self.app(name).new_session()).connect()
        return client.data["version"]


@pytest.fixture
def develop(tmp_path, hooks, supervise):
    """Run a development server: `async with develop("board") as run`."""

    @contextlib.asynccontextmanager
    async def develop(*names, texts=(), **options):
        for name in names or ("board",):
            (tmp_path / name).mkdir()
            (tmp_path / name / "main.py").write_text(dict(texts).get(name, code("one")))
        run = Run(tmp_path, names or ("board",), **options)
        async with trio.open_nursery() as nursery:
            await nursery.start(run.server.serve, [run.listener])
            async with trio.open_nursery() as clients:
                run.nursery = clients
                await trio.testing.wait_all_tasks_blocked()
                yield run
                clients.cancel_scope.cancel()
            run.server.stop()

    return develop


async def test_the_old_application_ends_before_the_new_one_loads(develop, hooks):
    async with develop() as run:
        client = await (await run.app().new_session()).connect(follow_reload=False)
        await run.change("board/main.py", code("two"))
        assert hooks == ["one loads", "one destroys", "one unloads", "two loads"]
        assert (await client.until_ended()).code == 4404  # so that its page is loaded anew
        assert run.log.reasons == ["the application's code has changed"]
        assert await run.version() == "two"
        assert run.log.changes == [("board", "main.py")]
        assert run.developed().problem is None
        assert run.log.incidents == []


async def test_each_change_is_a_new_version_and_problems_are_none(develop):
    async with develop() as run:
        versions = [run.developed().version]
        await run.change("board/main.py", code("two"))
        versions.append(run.developed().version)
        await run.change("board/main.py", "def broken(:")
        assert run.developed().version == versions[-1]
        await run.change("board/templates/index.html", "x")
        versions.append(run.developed().version)
        await run.change("board/main.py", code("three"))
        versions.append(run.developed().version)
        assert len(set(versions)) == 4
        run.log.incidents.clear()


async def test_code_that_cannot_be_loaded_changes_nothing_but_a_notice(develop, hooks):
    async with develop() as run:
        client = await (await run.app().new_session()).connect(follow_reload=False)
        await run.change("board/main.py", "x = 1\ndef broken(:\n")
        problem = run.developed().problem
        assert problem.text == "main.py, line 2: syntax error: invalid syntax"
        assert "    def broken(:" in problem.details
        assert problem.consequence == "The code from before goes on."
        [incident] = run.log.incidents
        assert (incident.application, incident.what) == ("board", "loading the changed code")
        assert isinstance(incident.error, SyntaxError)
        assert hooks == ["one loads"]
        assert client.status == "live"
        assert await run.version() == "one"
        await run.change("board/main.py", code("two"))
        assert run.developed().problem is None
        assert await run.version() == "two"
        run.log.incidents.clear()


async def test_no_modules_are_left_of_code_that_is_not_in_use(develop):
    late = "\ndef late():\n    from . import late\n    return late.value\n"
    async with develop() as run:
        (run.folder / "board" / "late.py").write_text("value = 1")
        await run.change("board/main.py", code("two", more=late))
        before = {name for name in sys.modules if name.startswith(PRIVATE)}
        await run.change("board/main.py", "from . import late\ndef broken(:")
        assert {name for name in sys.modules if name.startswith(PRIVATE)} == before
        await run.change("board/main.py", "from . import late\nraise LookupError")
        assert {name for name in sys.modules if name.startswith(PRIVATE)} == before
        await run.change("board/main.py", code("three", load="raise LookupError"))
        assert {name for name in sys.modules if name.startswith(PRIVATE)} == before
        await run.change("board/main.py", code("four"))
        assert len({name for name in sys.modules if name.startswith(PRIVATE)}) == 2  # the package, and main
        run.log.incidents.clear()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import missing_package", "main.py, line 1: ModuleNotFoundError"),
        ("raise SystemExit", "main.py, line 1: SystemExit"),
        ("def modify_document(): ...", "modify_document() must take one argument"),
        (
            "from supervisor import receives\nclass A: ...\n@receives(A, from_client=True)\ndef on_a(doc, a): ...",
            "application 'board': ",
        ),
        ("", None),  # an empty main.py is an app: one that does nothing
        (None, "it has neither main.py nor lifecycle.py"),
    ],
)
async def test_what_else_can_be_wrong_with_code(develop, hooks, text, sentence):
    async with develop() as run:
        await run.change("board/main.py", text)
        if sentence is None:
            assert run.developed().problem is None
        else:
            assert sentence in run.developed().problem.text
            assert hooks == ["one loads"]
            assert len(run.log.incidents) == 1
        await run.change("board/main.py", code("two"))
        assert await run.version() == "two"
        run.log.incidents.clear()


async def test_a_load_hook_that_fails_brings_the_old_application_back(develop, hooks):
    async with develop() as run:
        client = await (await run.app().new_session()).connect(follow_reload=False)
        version = run.developed().version
        await run.change("board/main.py", code("two", load="raise LookupError('no feed')"))
        assert hooks == ["one loads", "one destroys", "one unloads", "two loads", "one loads"]
        assert (await client.until_ended()).code == 4404
        problem = run.developed().problem
        assert "its on_application_load raised LookupError: no feed" in problem.text
        assert "line 7, in on_application_load" in problem.details
        assert problem.consequence == "The code from before was loaded again, and its sessions are new ones."
        assert await run.version() == "one"
        assert run.developed().version != version
        assert [incident.what for incident in run.log.incidents] == ["on_application_load"]
        await run.change("board/main.py", code("three"))
        assert run.developed().problem is None
        assert await run.version() == "three"
        assert hooks[-3:] == ["one destroys", "one unloads", "three loads"]
        run.log.incidents.clear()


async def test_what_a_load_hook_holds_is_free_for_the_next_one(develop):
    """That is why the old application ends first."""
    first = code(
        "one", load="sys._test_port = 1", more="async def on_application_unload(context): del sys._test_port\n"
    )
    async with develop() as run:
        await run.change("board/main.py", first)
        guarded = "assert not hasattr(sys, '_test_port'); sys._test_port = 1"
        second = code("two", load=guarded, more="async def on_application_unload(context): del sys._test_port\n")
        await run.change("board/main.py", second)
        assert run.developed().problem is None
        assert await run.version() == "two"


async def test_if_neither_can_be_loaded_pages_say_so_until_it_is_mended(develop):
    async with develop() as run:
        await run.change("board/main.py", code("one", load="assert log.count('one loads') == 2, 'only then'"))
        assert run.developed().problem is None
        await run.change("board/main.py", code("two", load="raise LookupError('no feed')"))
        assert run.developed().problem.consequence.endswith("so nothing is served.")
        page = await run.app().get("/board")
        assert page.status == 500
        assert "can&#39;t be loaded" in page.text
        assert "LookupError: no feed" in page.text
        assert "/-/client/dev.js" in page.text  # it follows when that is mended
        await run.change("board/main.py", "def broken(:")
        assert run.developed().problem.consequence == "Nothing is served meanwhile."
        assert (await run.app().get("/board")).status == 500
        await run.change("board/main.py", code("three"))
        assert await run.version() == "three"
        run.log.incidents.clear()


async def test_an_app_that_could_not_be_loaded_at_the_start_is_mended_by_a_change(develop, hooks):
    async with develop("board", "late", texts={"late": "x = 1\ndef broken(:\n"}) as run:
        assert list(run.server.failures) == ["late"]
        answer = await run.app().get("/late")
        assert answer.status == 503
        assert "This application has failed" in answer.text
        assert "SyntaxError: invalid syntax" in answer.text  # with its traceback, since this is for development
        assert '<meta name="supervisor-dev"' in answer.text  # it follows
        before = run.developed("late").version
        await run.change("late/main.py", "x = 1\ndef broken(again:\n")
        assert run.developed("late").problem.consequence == "Nothing is served meanwhile."
        answer = await run.app().get("/late")
        assert (answer.status, "Nothing is served meanwhile." in answer.text) == (500, True)
        await run.change("late/main.py", code("two"))
        assert run.server.failures == {}
        assert run.developed("late").version != before
        assert await run.version("late") == "two"
        assert hooks == ["one loads", "two loads"]
        assert (await run.app().get("/-/health")).text == "ok\n"
        run.log.incidents.clear()


async def test_for_an_app_that_could_not_be_loaded_there_is_no_code_from_before(develop, hooks):
    async with develop("board", "late", texts={"late": "1 / 0\n"}) as run:
        await run.change("late/main.py", code("two", load="raise ValueError('mine')"))
        problem = run.developed("late").problem
        assert problem.consequence == "The code from before could not be loaded again either, so nothing is served."
        assert [incident.what for incident in run.log.incidents] == ["loading of its code", "on_application_load"]
        await run.change("late/main.py", code("three"))
        assert await run.version("late") == "three"
        run.log.incidents.clear()


async def test_one_that_has_escalated_is_loaded_anew_by_a_change(develop, hooks):
    """Also if it is the only one: a development server waits for better code."""
    escalating = "app_context.add_callback(lambda: 1 / 0, restart='temporary', escalate=True)"
    async with develop(texts={"board": code("one", load=escalating)}) as run:
        await trio.sleep(1)
        assert list(run.server.failures) == ["board"]
        answer = await run.app().get("/board")
        assert (answer.status, "ZeroDivisionError" in answer.text) == (503, True)
        assert (await run.app().get("/-/health/ready")).status == 503
        await run.change("board/main.py", code("two"))
        assert await run.version() == "two"
        assert hooks == ["one loads", "one unloads", "two loads"]
        run.log.incidents.clear()


async def test_requests_for_pages_wait_for_the_new_application(develop):
    async with develop() as run:
        statuses = []

        async def ask():
            statuses.append((await run.app().get("/board")).status)

        await (await run.app().new_session()).connect()
        run.write("board/main.py", code("two", load="await trio.sleep(5)"))
        await trio.sleep(1)
        run.nursery.start_soon(ask)
        await trio.sleep(1)
        assert statuses == []
        await trio.sleep(4)
        assert statuses == [200]


async def test_they_do_not_wait_for_ever(develop):
    async with develop() as run:
        run.write("board/main.py", code("two", load="await trio.sleep(30)"))
        await trio.sleep(1)
        began = trio.current_time()
        page = await run.app().get("/board")
        assert trio.current_time() - began == 10
        assert (page.status, page.headers["retry-after"]) == (503, "1")
        assert "being loaded anew" in page.text
        await trio.sleep(30)
        assert await run.version() == "two"


async def test_hooks_of_the_old_application_have_their_deadlines(develop, hooks):
    slow = "\nasync def on_session_destroyed(session_context):\n    await trio.sleep(1e6)\n"
    async with develop(application=ApplicationOptions(hook_timeout=3.0)) as run:
        await run.change("board/main.py", code("slow", more=slow))
        await (await run.app().new_session()).connect()
        began = trio.current_time()
        run.write("board/main.py", code("two"))
        await trio.lowlevel.checkpoint()
        assert await run.version() == "two"
        assert trio.current_time() - began == pytest.approx(3, abs=0.5)
        run.log.incidents.clear()


async def test_changes_during_a_replacement_are_loaded_after_it_once(develop, hooks):
    async with develop() as run:
        run.write("board/main.py", code("two", load="await trio.sleep(5)"))
        await trio.sleep(1)
        for version in ("three", "four", "five"):
            run.write("board/main.py", code(version))
        await trio.sleep(10)
        assert [line for line in hooks if line.endswith("loads") and "un" not in line] == [
            "one loads",
            "two loads",
            "five loads",
        ]
        assert await run.version() == "five"


async def test_templates_and_static_files_keep_the_sessions(develop, hooks):
    async with develop() as run:
        session = await run.app().new_session()
        client = await session.connect()
        for file in ("templates/index.html", "static/board.css", "static/deep/x.js"):
            version = run.developed().version
            await run.change(f"board/{file}", "x")
            assert run.developed().version != version
        assert client.status == "live"
        assert hooks == ["one loads"]
        page = await run.app().get(f"/board?a=1&supervisor-dev-session={session.id}")
        assert (
            json.loads(html.unescape(re.search(r'name="supervisor" content="([^"]*)"', page.text)[1]))["session"]
            == session.id
        )
        assert (await run.app().get("/board/static/board.css")).status == 200  # there was no such directory before


async def test_other_files_ask_for_nothing(develop, hooks):
    async with develop() as run:
        version = run.developed().version
        await run.change("board/prices.csv", "x")
        await run.change("beside.py", "x")
        assert hooks == ["one loads"]
        assert run.developed().version == version
        assert run.log.changes == []


async def test_only_the_application_that_changed_is_replaced(develop, hooks):
    async with develop("board", "other") as run:
        client = await (await run.app("other").new_session()).connect()
        hooks.clear()
        await run.change("board/main.py", code("two"))
        assert hooks == ["one unloads", "two loads"]
        assert client.status == "live"
        assert run.watched == [(["board", "other"], True)]
        assert list(run.server.applications) == ["board", "other"]


async def test_a_script_is_loaded_anew_for_itself_and_for_what_it_imports(tmp_path, hooks, autojump_clock, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "clock.py").write_text("import reloader_helper\n" + code("one"))
    (tmp_path / "reloader_helper.py").write_text("value = 1")
    run = Run(tmp_path, ["clock.py"])
    async with trio.open_nursery() as nursery:
        run.nursery = nursery
        await nursery.start(run.server.serve, [run.listener])
        await trio.testing.wait_all_tasks_blocked()
        assert run.watched == [([tmp_path.name], False)]
        await run.change("neighbour.py", "x = 1")
        assert hooks == ["one loads"]
        await run.change("reloader_helper.py", "value = 2")
        assert hooks == ["one loads", "one unloads", "one loads"]
        await run.change("clock.py", "import reloader_other\n" + code("two"))
        assert "No module named 'reloader_other'" in run.developed("clock").problem.text
        await run.change("reloader_other.py", "value = 1")  # it was not imported, but is what is missing
        assert run.developed("clock").problem is None
        assert await run.version("clock") == "two"
        run.server.stop()
        await run.server.wait_stopped()
        nursery.cancel_scope.cancel()
    for name in ("reloader_helper", "reloader_other"):
        sys.modules.pop(name, None)


async def test_warnings_of_new_code_are_told(develop):
    async with develop() as run:
        await run.change("board/main.py", code("two", more="def on_sesion_created(context): ..."))
        [warning] = run.log.warnings
        assert "on_sesion_created is not a hook" in warning


# Sessions with names.


async def test_a_generated_id_in_the_address_leads_to_a_new_session_of_that_id(develop):
    async with develop() as run:
        session = await run.app().new_session()
        await session.connect(follow_reload=False)
        await run.change("board/main.py", code("two"))
        again = await run.app().new_session(id=session.id)
        assert again.id == session.id
        assert (await again.connect()).data == {"version": "two"}
        assert len(run.app().sessions) == 1
        assert (await run.app().get("/board?session=unknown")).status == 404


async def test_the_session_that_a_page_had_is_asked_for_in_vain_when_it_is_gone(develop):
    async with develop() as run:
        page = await run.app().get("/board?supervisor-dev-session=unknown&symbol=x")
        assert page.status == 200
        [session] = run.app().sessions
        assert session.id != "unknown"
        assert session.request.arguments == {"symbol": ("x",)}


# Who may come, and its end.


async def test_applications_made_by_hand_are_served_and_not_watched(nursery, autojump_clock):
    application = Application(NamespaceHandler({"modify_document": lambda doc: 1 // 0}, where="app"), name="app")

    async def watch(directories, *, recursive, since, tell):
        raise AssertionError("nothing is to be watched")

    log, listener = Log(), MemoryListener()
    server = Server([application], options=ServerOptions(dev=True), instruments=log, watch=watch)
    await nursery.start(server.serve, [listener])
    place = SimpleNamespace(server=server, actor=server.applications["app"], transport=listener)
    page = await RunningApp(place, nursery, Kit(seen=log)).get("/app")
    assert page.status == 500
    assert "ZeroDivisionError" in page.text
    server.stop()


@pytest.mark.parametrize("when", ["idle", "unloading", "loading"])
@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_nothing_is_left_whenever_the_server_ends(tmp_path, hooks, autojump_clock, all_tasks, when, how):
    slow = "\nasync def on_application_unload(app_context):\n    await trio.sleep(5)\n    log.append('one unloads')\n"
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "main.py").write_text(code("one", more=slow))
    before = all_tasks()
    run = Run(tmp_path, ["board"])
    async with trio.open_nursery() as nursery:
        run.nursery = nursery
        await nursery.start(run.server.serve, [run.listener])
        await trio.testing.wait_all_tasks_blocked()
        if when != "idle":
            run.write("board/main.py", code("two", load="await trio.sleep(5)"))
            await trio.sleep(1 if when == "unloading" else 6)
        nursery.cancel_scope.cancel() if how == "cancel" else run.server.stop()
    assert all_tasks() == before
    assert hooks.count("one unloads") == hooks.count("one loads") == 1
    assert len(run.server.runtime.timers) == 0


def test_files_are_named_in_short(tmp_path):
    files = {tmp_path / f"{number}.py" for number in range(8)}
    assert _names(files, tmp_path) == "0.py, 1.py, 2.py, 3.py, 4.py and 3 more"
    assert _names({tmp_path / "deep" / "a.py"}, tmp_path) == "deep/a.py"

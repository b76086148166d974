"""The examples of the documentation: each is a file that runs here, and a page includes it."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest
import trio

from supervisor.errors import HandlerFailed
from supervisor.testing import supervise as open_app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = sorted(DOCS.rglob("*.md"))

_INCLUDED = re.compile(r"^```\{literalinclude\} (\S+)$", re.MULTILINE)
_COPIED = re.compile(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```(python|js|html|nginx|haproxy)$", re.MULTILINE)


def name_of(path):
    return str(path.relative_to(EXAMPLES))


def is_app(path):
    return (path / "main.py").exists() if path.is_dir() else "\ndef modify_document(" in path.read_text()


def find_apps(folder):
    """The apps of a folder, and of those below it that are none themselves."""
    for path in sorted(folder.iterdir()):
        if (path.is_dir() or (path.suffix == ".py" and not path.name.startswith("test_"))) and is_app(path):
            yield path
        elif path.is_dir() and path.name != "__pycache__":
            yield from find_apps(path)


OWN_TESTS = {"threads.py", "members"}  # one needs real time, the other a login
APPS = [app for app in find_apps(EXAMPLES) if app.name not in OWN_TESTS]
TESTS = sorted(EXAMPLES.rglob("test_*.py"))


@pytest.mark.parametrize("app", APPS, ids=name_of)
async def test_an_app_runs(app, autojump_clock):
    async with open_app(app) as running:
        client = await (await running.new_session()).connect()
        assert client.data
        await trio.sleep(10)
        if app.name == "plant.py":  # its machines are lost: that is what it shows
            running.incidents.clear()


async def test_the_thread_of_an_app_reaches_its_sessions():
    """In real time: a thread knows no other."""
    async with open_app(EXAMPLES / "threads.py") as running:
        client = await (await running.new_session()).connect()
        await client.until(lambda data: data["celsius"] == 21.5)


async def test_long_work_holds_nobody_up_who_need_not_wait():
    """In real time, since one of the two ways is a thread that the app starts by itself."""
    async with open_app(EXAMPLES / "long_work.py") as app:
        client = await (await app.new_session()).connect()
        assert client.data == {"celsius": 21.5, "rounds": 0, "pages": []}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, "Measure")
            await client.until(lambda data: data["rounds"] == 1)  # it is seen while the thread goes on
        assert client.data["rounds"] == 3
        await client.send("Render", pages=2)
        assert client.data["pages"] == []  # the session goes on while pages are made
        await client.until(lambda data: data["pages"] == ["page 1", "page 2"])


async def test_a_broken_sensor_begins_again_and_a_bad_note_does_not(autojump_clock):
    async with open_app(EXAMPLES / "sensor.py") as app:
        client = await (await app.new_session()).connect()
        await app.broadcast(app.messages.Reading(20.0))
        await app.broadcast(app.messages.Reading(22.0))
        await client.until(lambda data: data["average"] == 21.0)
        with pytest.raises(HandlerFailed):
            await client.send("Note", text="")
        assert client.data["readings"] == [20.0, 22.0]
        await app.broadcast(app.messages.Reading(999.0))
        await client.until(lambda data: data["readings"] == [])
        assert client.data == {"readings": [], "average": None, "notes": []}
        assert app.context.state.failures == ["IndexError", "RuntimeError"]
        assert [incident.decision for incident in app.incidents][-1].startswith("restart")
        app.incidents.clear()


async def test_the_clock_of_the_readme_ticks_in_each_session(autojump_clock):
    async with open_app(EXAMPLES / "clock.py") as app:
        early = await (await app.new_session()).connect()
        await early.until(lambda data: data["ticks"] == 5)
        late = await (await app.new_session()).connect()
        await late.until(lambda data: data["ticks"] == 3)
        await early.until(lambda data: data["ticks"] == 8)
        assert re.fullmatch(r"\d\d:\d\d:\d\d", late.data["now"])


async def test_callbacks_fire_when_they_should(autojump_clock):
    async with open_app(EXAMPLES / "callbacks.py") as app:
        client = await (await app.new_session()).connect()
        await trio.sleep(4.2)
        assert client.data == {"greeting": "hello", "open": True, "seconds": 4.0}
        await trio.sleep(60)
        assert client.data == {"greeting": "hello", "open": False, "seconds": 5.0}


@pytest.mark.parametrize("app", [app for app in APPS if (app / "static").exists()], ids=name_of)
async def test_the_static_files_of_an_app_are_served(app, autojump_clock):
    async with open_app(app) as running:
        page = await running.get(f"/{app.name}")
        paths = re.findall(r'<link rel="stylesheet" href="([^"]*)">', page.text)
        assert paths
        for path in paths:
            assert (await running.get(path)).status == 200


def load_tests(path):
    name = f"docs_examples_{'_'.join(path.relative_to(EXAMPLES).with_suffix('').parts)}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


# The tests that pages show are tests of this file too.
for _path in TESTS:
    _found = load_tests(_path)
    assert not _found.keys() & globals().keys(), f"{_path} has a test whose name is taken"
    globals().update(_found)


# The pages


def test_the_first_app_has_twenty_lines_and_is_in_the_readme():
    source = (EXAMPLES / "clock.py").read_text()
    assert len([line for line in source.splitlines() if line]) == 20
    assert _COPIED.findall((ROOT / "README.md").read_text()) == [("docs/examples/clock.py", source)]


def test_every_example_is_on_a_page():
    included = {
        (page.parent / target).resolve() for page in PAGES for target in _INCLUDED.findall(page.read_text())
    } | {EXAMPLES / "clock.py"}
    files = [path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    # Of an app of several files one at least is shown; the others are what it needs.
    shown = {unit_of(path) for path in included}
    tests = set(TESTS)  # these run here all the same
    assert [path for path in files if unit_of(path) not in shown and path not in tests] == []


def unit_of(path):
    """The app that a file belongs to; else the file itself."""
    return next((folder for folder in path.parents if folder != ROOT and (folder / "main.py").exists()), path)


def test_no_page_has_code_of_its_own():
    """But for what isn't run: shapes of data, and what is typed into a terminal."""
    own = [(name, code) for page in PAGES for name, code in [(page.name, _CODE.findall(page.read_text()))] if code]
    assert own == [("wire.md", ["html"])]


def test_python_of_the_readme_is_python():
    for _, text in _COPIED.findall((ROOT / "README.md").read_text()):
        ast.parse(text)

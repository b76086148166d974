"""Loading changed code: fresh modules, the old ones back after a failure, and nothing left behind."""

import os
import sys
import textwrap
from pathlib import Path

import pytest

from supervisor.application.loading import PRIVATE, load_application
from supervisor.application.reloading import Reload
from supervisor.errors import ApplicationError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of an app; returns its path. What is loaded is forgotten after the test."""
    before = dict(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    yield write
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def built(application):
    """What `modify_document` returns, which stands for the version of the code."""
    return application.handlers[-1].modify_document(None)


def private_modules():
    return {name for name in sys.modules if name.startswith(PRIVATE)}


def version(number):
    return f"def modify_document(doc): return {number}\n"


def test_a_load_notes_where_an_app_came_from(write):
    main, script = write("app/main.py", version(1)), write("clock.py", version(1))
    write("package/__init__.py", "")
    write("package/sub/__init__.py", "")
    write("package/sub/app.py", version(1))
    write("single.py", version(1) + "make = modify_document")
    sources = {app: load_application(app).source for app in ("app", "clock.py", "package.sub.app", "single:make")}
    assert (sources["app"].root, sources["app"].file) == (main.parent, None)
    assert sources["app"].app == str(main.parent)
    assert (sources["clock.py"].root, sources["clock.py"].file) == (script.parent, script)
    assert (sources["package.sub.app"].root, sources["package.sub.app"].file) == (script.parent / "package", None)
    assert sources["single:make"].file == script.parent / "single.py"
    assert sources["single:make"].name == "make"


def test_all_modules_of_a_directory_are_fresh(write):
    write(
        "app/main.py",
        "from . import prices\nfrom .deep.feed import feed\ndef modify_document(doc): return prices.value, feed",
    )
    prices, feed = write("app/prices.py", "value = 1"), write("app/deep/feed.py", "feed = 1")
    before = private_modules()
    old = load_application("app")
    write("app/prices.py", "value = 2")
    write("app/deep/feed.py", "feed = 2")
    reload = Reload(old.source)
    new = reload.load({prices, feed})
    assert (built(old), built(new)) == ((1, 1), (2, 2))
    reload.keep()
    assert len({name.partition(".")[0] for name in private_modules() - before}) == 1
    assert built(new) == (2, 2)


def test_a_directory_is_found_again_from_elsewhere_under_its_name(write, tmp_path, monkeypatch):
    write("app/main.py", version(1))
    old = load_application("app", name="shown")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Reload(old.source).load().name == "shown"


def test_modules_by_absolute_names_are_fresh_too(write):
    write("app/main.py", "import app_helper, json\ndef modify_document(doc): return app_helper.value")
    sys.path.insert(0, str(Path("app").resolve()))
    helper = write("app/app_helper.py", "value = 1")
    import json

    old = load_application("app")
    write("app/app_helper.py", "value = 2")
    new = Reload(old.source).load({helper})
    assert (built(old), built(new)) == (1, 2)
    assert sys.modules["json"] is json


@pytest.mark.parametrize("app", ["package.app", "package.app:modify_document", "package.app:application"])
def test_the_package_of_a_module_is_fresh(write, app):
    write("package/__init__.py", "")
    write(
        "package/app.py",
        """
        from supervisor import Application, FunctionHandler
        from package.helper import value
        def modify_document(doc): return value
        application = Application(FunctionHandler(modify_document), name="made")
        """,
    )
    helper = write("package/helper.py", "value = 1")
    old = load_application(app)
    write("package/helper.py", "value = 2")
    new = Reload(old.source).load({helper})
    assert (built(old), built(new)) == (1, 2)
    assert new.name == old.name


def test_a_script_is_fresh_and_its_neighbours_that_it_imports(write):
    write("clock.py", "import clock_helper\ndef modify_document(doc): return clock_helper.value")
    helper = write("clock_helper.py", "value = 1")
    old = load_application("clock.py")
    assert Reload(old.source).files == {Path("clock.py").resolve(), helper}
    write("clock_helper.py", "value = 2")
    assert built(Reload(old.source).load({helper})) == 2


def test_a_file_that_is_saved_twice_in_a_second_is_read_twice(write, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    main = write("app/main.py", version(1))
    os.utime(main, (1_000, 1_000))
    applications = [load_application("app")]
    for number in (2, 3):
        write("app/main.py", version(number))
        os.utime(main, (1_000, 1_000))
        applications.append(Reload(applications[0].source).load({main}))
    assert [built(application) for application in applications] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def modify_document(doc:", r"main\.py, line 1: syntax error"),
        ("import package_that_is_missing", r"main\.py, line 1: ModuleNotFoundError"),
        ("raise SystemExit(3)", r"main\.py, line 1: SystemExit"),
        (None, "it has neither main.py nor lifecycle.py"),
    ],
)
def test_after_a_failure_the_old_modules_are_back(write, text, sentence):
    write("app/app_shared.py", "value = 1")
    sys.path.insert(0, str(Path("app").resolve()))
    main = write(
        "app/main.py", "import app_shared\ndef modify_document(doc):\n    from . import late\n    return late.value"
    )
    write("app/late.py", "value = 1")
    old = load_application("app")
    shared, before = sys.modules["app_shared"], private_modules()
    main.write_text(text) if text else main.unlink()
    reload = Reload(old.source)
    with pytest.raises(ApplicationError, match=sentence):
        reload.load({main})
    reload.undo()
    assert sys.modules["app_shared"] is shared
    assert private_modules() == before
    assert built(old) == 1  # it finds its own modules still


def test_an_app_that_changes_its_name_is_refused(write):
    text = """
        from supervisor import Application, FunctionHandler
        application = Application(FunctionHandler(lambda doc: None), name={!r})
        """
    file = write("made_module.py", text.format("one"))
    old = load_application("made_module:application")
    write("made_module.py", text.format("two"))
    with pytest.raises(ApplicationError, match="'one' is named 'two' now; restart the server"):
        Reload(old.source).load({file})


def test_an_app_in_a_directory_below_is_left_alone(write):
    write("outer/main.py", version(1))
    write("outer/inner/main.py", "def modify_document(doc):\n    from . import late\n    return late.value")
    write("outer/inner/late.py", "value = 5")
    outer, inner = load_application("outer"), load_application("outer/inner")
    reload = Reload(outer.source)
    reload.load()
    reload.keep()
    assert built(inner) == 5

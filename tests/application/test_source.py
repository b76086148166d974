"""Which files belong to an app, and what a change of one asks for."""

import sysconfig
from pathlib import Path

import pytest
import trio

import supervisor
from supervisor.application.source import Source, is_foreign, is_own

ROOT = Path("/apps/board")
DIRECTORY = Source(app=str(ROOT), name="board", root=ROOT)
SCRIPT = Source(app="/apps/clock.py", name="clock", root=Path("/apps"), file=Path("/apps/clock.py"))


@pytest.mark.parametrize(
    ("file", "concern"),
    [
        ("main.py", "code"),
        ("feeds/deep/feed.py", "code"),
        ("templates/index.html", "page"),
        ("templates/parts/head.html", "page"),
        ("static/app.js", "page"),
        ("static/in_the_browser.py", "page"),
        ("prices.csv", None),
        ("board.db", None),
        ("docs/static/x.css", None),
        ("README.md", None),
        (".", None),
        ("../other/main.py", None),
        ("../board2/main.py", None),
    ],
)
def test_of_a_directory_code_and_pages_count_and_data_does_not(file, concern):
    assert DIRECTORY.concern_of((ROOT / file).resolve()) == concern


@pytest.mark.parametrize(
    ("file", "concern"),
    [
        ("clock.py", "code"),
        ("helper.py", "code"),
        ("deep/helper.py", None),
        ("templates/x.html", None),
        ("x.txt", None),
    ],
)
def test_of_a_script_the_code_beside_it_counts(file, concern):
    assert SCRIPT.concern_of(Path("/apps") / file) == concern


def test_modules_of_an_app_are_those_in_its_directory():
    assert DIRECTORY.holds(ROOT / "main.py")
    assert DIRECTORY.holds(ROOT / "deep" / "feed.py")
    assert not DIRECTORY.holds(Path("/apps/other.py"))
    assert SCRIPT.holds(Path("/apps/clock.py"))
    assert SCRIPT.holds(Path("/apps/helper.py"))
    assert not SCRIPT.holds(Path("/apps/deep/helper.py"))


def test_what_was_installed_is_no_part_of_an_app_that_it_lies_in():
    """An app's directory may be the whole project, with its virtual environment in it."""
    everything = Source(app="/", name="all", root=Path("/"))
    assert not everything.holds(Path(trio.__file__).resolve())
    assert not everything.holds(Path(sysconfig.__file__).resolve())
    assert not everything.holds(Path(supervisor.__file__).resolve())
    assert everything.holds(Path(__file__).resolve())


def test_a_module_that_was_installed_is_an_app_by_itself_alone():
    place = Path(sysconfig.get_path("purelib")).resolve()
    installed = Source(app="one", name="one", root=place, file=place / "one.py")
    assert installed.holds(place / "one.py")
    assert not installed.holds(place / "two.py")


def test_own_code_is_neither_ours_nor_pythons_nor_made_up():
    assert is_own(__file__)
    assert not is_own(trio.__file__)
    assert not is_own("<string>")
    assert not is_own("<frozen importlib._bootstrap>")
    assert not is_own("templates/index.html")
    assert is_foreign(Path(pytest.__file__).resolve())

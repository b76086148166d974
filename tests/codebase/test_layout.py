"""The shape of the code: what stands where, and what each file says of itself."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "supervisor"
TESTS = ROOT / "tests"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted(TESTS.rglob("*.py"))
MAX_LINES = 500
MAX_TEST_LINES = 750
"""More than a module's: many small stories about one noun stand side by side. Past it, the file becomes a directory."""

# Tests mirror modules: supervisor/room/noun.py is tested by tests/room/test_noun.py or, where that would be too long,
# by the files of the directory tests/room/noun/, one for each noun of its behaviour. Where both would be worse, the
# module is named here with what tests it, and the reason.
TESTED_ELSEWHERE = {
    "application/starting.py": ("server/test_failed_applications.py", "a server starts its applications"),
    "application/statistics.py": ("application/test_actor.py", "numbers that others fill in"),
    "application/background.py": (
        "application/test_actor.py",
        "it ends with its application",
    ),
    "application/creation.py": ("application/test_registry.py", "the values that the registry answers with"),
    "transport/site.py": ("transport/web/test_addresses.py", "what all addresses share"),
    "transport/live_page.py": ("transport/web", "pages are asked for by their addresses"),
    "transport/events.py": ("transport/test_development.py", "a stream of what is told there"),
    "transport/reports.py": ("server", "what instruments are told is looked at there"),
    "transport/credentials.py": ("server/test_construction.py", "a whole server lets in, or refuses"),
    "transport/websocket_options.py": ("test_limits.py", "all options are refused alike"),
    "transport/reception.py": ("server", "streams are handed to a whole server"),
    "session/household.py": ("application/test_registry.py", "an interface that the registry fulfils"),
    "testing/incidents.py": ("testing/test_harness.py", "what failed is raised at the end of a block"),
    "testing/driving.py": ("testing/by_hand", "a session does the work that it is driven to"),
    "testing/sender.py": ("testing/by_hand/test_clients.py", "what it makes is handled by a session"),
    "testing/surroundings.py": ("testing/by_hand/test_surroundings.py", "a session and its hooks stand in them"),
    "testing/stand_ins.py": ("testing/by_hand/test_surroundings.py", "a session has them around it"),
    "errors.py": ("codebase/test_exports.py", "classes without behaviour"),
    "_lazy.py": ("codebase/test_exports.py", "the packages' names are got by it"),
}

# No file is so long that it must hold two nouns, these excepted, each with the reason.
LONG: dict[str, str] = {}

WITHOUT_TESTS = {"__init__.py", "__main__.py", "_version.py"}
"""Re-exports, a call and a constant: every test runs them."""


def name_of(file):
    return file.relative_to(PACKAGE).as_posix()


def docstring_of(file):
    return ast.get_docstring(ast.parse(file.read_text())) or ""


def dotted(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def holds_tests(path):
    """Whether it is a test file, or a directory of test files."""
    return path.is_file() or any(path.glob("test_*.py"))


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_opens_with_a_sentence(file):
    first = docstring_of(file).partition("\n\n")[0]
    assert first, "no docstring"
    assert first.rstrip()[-1] in ".:…", first
    assert first[0].isupper() or first[0] in "`@", first


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_holds_one_noun(file):
    lines = len(file.read_text().splitlines())
    if name_of(file) in LONG:
        assert lines > MAX_LINES, "it is short again: take it out of LONG"
    else:
        assert lines <= MAX_LINES


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.relative_to(TESTS).as_posix())
def test_a_test_file_is_about_one_noun(file):
    assert len(file.read_text().splitlines()) <= MAX_TEST_LINES


@pytest.mark.parametrize("file", [file for file in MODULES if file.name not in WITHOUT_TESTS], ids=name_of)
def test_a_module_has_its_tests(file):
    name = name_of(file)
    room = TESTS / Path(name).parent
    own = [path for path in (room / f"test_{file.name}", room / file.stem) if holds_tests(path)]
    if name in TESTED_ELSEWHERE:
        assert own == [], "it has tests of its own: take it out of TESTED_ELSEWHERE"
        assert holds_tests(TESTS / TESTED_ELSEWHERE[name][0])
    else:
        assert len(own) == 1, f"{name} has no tests, or both a file and a directory of them"


def test_the_tables_name_modules_that_exist():
    names = {name_of(file) for file in MODULES}
    assert set(TESTED_ELSEWHERE) <= names
    assert set(LONG) <= names


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_only_pure_modules_call_themselves_pure_and_all_of_them_do(file):
    """ "Pure" is a promise that the import contract "pure" keeps; so its list and the docstrings must agree."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = [each for each in settings["tool"]["importlinter"]["contracts"] if each["id"] == "pure"]
    module = dotted(file)
    listed = any(module == pure or module.startswith(f"{pure}.") for pure in contract["source_modules"])
    says_so = "Pure" in docstring_of(file).partition("\n\n")[0]
    assert says_so == listed


ROOMS = sorted(folder for folder in PACKAGE.iterdir() if len(list(folder.glob("[!_]*.py"))) > 3)


@pytest.mark.parametrize("folder", ROOMS, ids=lambda folder: folder.name)
def test_a_room_says_where_to_find_what(folder):
    """The list in a package's docstring is the map of its modules: a new one has its place there."""
    _, _, listed = docstring_of(folder / "__init__.py").partition("\n- ")
    assert set(re.findall(r"`(\w+)`", listed)) == {file.stem for file in folder.glob("[!_]*.py")}


def test_every_package_has_an_init_file():
    """A directory of modules without one is a namespace package, which is not what anybody means."""
    for folder in {file.parent for file in MODULES}:
        assert (folder / "__init__.py").is_file(), folder

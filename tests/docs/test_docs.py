"""The documentation's sources: their links lead somewhere, and their tables say what the code says."""

import importlib
import inspect
import re
import tomllib
from http import HTTPStatus
from pathlib import Path
from typing import get_args

import attrs
import pytest

import supervisor
import supervisor.client
import supervisor.testing
from supervisor.actor.restart import Directive, FailurePolicy
from supervisor.application.options import ApplicationOptions
from supervisor.cli.logs import LogInstruments
from supervisor.cli.serve import serve
from supervisor.protocol.codes import CloseCode
from supervisor.server_options import ServerOptions
from supervisor.session.background import GRACE
from supervisor.session.lifecycle import _TABLE, State
from supervisor.session.restarting import MAX_UNTOLD
from supervisor.testing import behaviour, plugin, schedules, strategies
from supervisor.testing.checks import CHECKS
from supervisor.transport.head import HttpLimits
from supervisor.transport.pages import Pages
from supervisor.transport.websocket_options import WebSocketOptions

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*|\{[\w-]+\}[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name_of(value):
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else None


def prose(page):
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text())


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page, *header):
    """The rows of the table with this header: a list of cells each, as they are written."""
    lines = iter((DOCS / page).read_text().splitlines())
    for line in lines:
        if cells(line) == list(header):
            break
    else:
        raise AssertionError(f"{page} has no table with the columns {header}")
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(cells(line))
    return rows


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []


def code(cell):
    """What a cell has in backticks."""
    return re.findall(r"`([^`]*)`", cell)


def public_names(module):
    """What a package says that it has; of another module, its functions and classes."""
    named = getattr(module, "__all__", None) or [name for name, value in vars(module).items() if callable(value)]
    return [name for name in named if not name.startswith("_")]


# The pages


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    broken = []
    for target in _LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert not broken


def test_every_page_can_be_reached_from_the_readme():
    reached, unseen = set(), [ROOT / "README.md"]
    while unseen:
        page = unseen.pop()
        if page in reached:
            continue
        reached.add(page)
        files = [target.partition("#")[0] for target in _LINK.findall(prose(page)) if ":" not in target]
        files += re.findall(r"^```\{include\} (\S+)$", page.read_text(), re.MULTILINE)
        unseen += [(page.parent / file).resolve() for file in files if file.endswith(".md")]
    assert [page for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_has_one_title_one_sentence_per_line_and_no_address_of_a_machine(page):
    text = page.read_text()
    assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == ("{include}" not in text)
    assert not re.search(r"(?<![\w./])/(work|home|root|tmp)/", text)
    paragraphs = [line for line in prose(page).splitlines() if re.match(r"[A-Z`*]", line)]
    assert [line for line in paragraphs if re.search(r"[a-z`)]\. [A-Z]", line)] == []


def test_the_readme_has_the_commands_that_ci_runs():
    readme = (ROOT / "README.md").read_text()
    assert (
        "\npython3 -m venv .venv && .venv/bin/pip install '.[demos]' && .venv/bin/python -m supervisor serve " in readme
    )
    assert "\n.venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n" in readme
    ci = (ROOT / ".ci" / "run").read_text()
    _, _, then = ci.partition("\npip install -q -e '.[test]'\n")
    assert "\n    pytest -n auto --dist loadfile --no-loadscope-reorder --require-programs " in then


def test_every_public_name_is_documented():
    words = set()
    for page in PAGES:
        for span in re.findall(r"`([^`]*)`", prose(page)) + [body for _, body in _FENCE.findall(page.read_text())]:
            words.update(re.findall(r"\w+", span))
    missing = [
        name
        for module in (supervisor, supervisor.client, supervisor.testing)
        for name in public_names(module)
        if name not in words
    ]
    assert missing == []


# Its tables


def number(text):
    """The value that a cell stands for: "30 s", "1 ms", "1 MiB", "1,000", "none"."""
    if text == "none":
        return None
    amount, _, unit = text.replace(",", "").partition(" ")
    return float(amount) * {"": 1, "s": 1, "ms": 0.001, "KiB": 1024, "MiB": 1024**2}[unit]


def look_up(dotted):
    """What `module.NAME`, `module.Class.field` (its default) or `module.Class.method(argument)` stands for."""
    dotted, _, argument = dotted.rstrip(")").partition("(")
    parts = dotted.split(".")
    split = next(index for index, part in enumerate(parts) if not part.islower())
    value = importlib.import_module(".".join(parts[:split]))
    for part in parts[split:]:
        value = (
            getattr(value() if attrs.has(value) else value, part) if inspect.isclass(value) else getattr(value, part)
        )
    return inspect.signature(value).parameters[argument].default if argument else value


def constants():
    rows = table("explanation/delivery.md", "wait", "default", "constant")
    rows += table("explanation/delivery.md", "queue or size", "default", "constant")
    return rows


@pytest.mark.parametrize(("what", "default", "constant"), constants(), ids=lambda cell: cell)
def test_deadlines_and_bounds_are_those_of_the_code(what, default, constant):
    (dotted,) = code(constant)
    assert look_up(dotted) == number(default)


def test_no_limit_of_an_option_class_is_left_out():
    listed = {code(constant)[0].rpartition(".")[2] for _, _, constant in constants()}
    modules = [
        "application.options.ApplicationOptions",
        "transport.websocket_options.WebSocketOptions",
        "transport.head.HttpLimits",
    ]
    fields = [field.name for name in modules for field in attrs.fields(look_up(f"supervisor.{name}"))]
    assert [field for field in fields if field not in listed] == ["mailbox_capacity"]  # listed by its constant


OPTION_CLASSES = {
    options.__name__: options for options in (ServerOptions, ApplicationOptions, WebSocketOptions, HttpLimits)
}
NO_LIMITS = {
    *("application", "http", "websocket", "prefix", "allow_origins", "trusted_proxies", "allow_embedding"),
    *("session_ids", "shutdown_timeout", "dev", "keys"),
    *("linger", "first_attach", "max_age", "creating_timeout", "hook_timeout", "load_timeout", "build_timeout"),
    *("mailbox_capacity", "return_within", "return_later"),
    *("drain_timeout", "drain_batch", "drain_interval", "max_threads", "stall_limit"),
}
"""Options that limit nothing that a client does."""


def limits():
    return table("reference/options.md", "limit", "default", "option", "past it", "the client")


@pytest.mark.parametrize(("what", "default", "option", "past", "_"), limits(), ids=lambda cell: cell)
def test_limits_are_those_of_the_code(what, default, option, past, _):
    name, *flags = code(option)
    options, _, field = name.partition(".")
    assert getattr(OPTION_CLASSES[options](), field) == number(default)
    given = {parameter.opts[0]: parameter.default for parameter in serve.params}
    assert [flag for flag in flags if given[flag] != number(default)] == []
    assert flags == [flag for flag in ("--" + field.replace("_", "-"),) if flag in given]
    known = {*CloseCode, *HTTPStatus}
    assert [found for found in re.findall(r"\b\d{3,4}\b", past) if int(found) not in known] == []


def test_no_limit_is_left_out_of_the_table():
    listed = [code(option)[0].partition(".")[2] for _, _, option, _, _ in limits()]
    fields = [field.name for options in OPTION_CLASSES.values() for field in attrs.fields(options)]
    assert sorted(listed) == sorted(set(fields) - NO_LIMITS)


def test_the_life_of_a_session_is_that_of_the_code():
    rows = table("explanation/session-lifecycle.md", "state", "event", "next state", "effects")
    expected = [
        [
            f"`{state.value}`",
            event.value,
            f"`{following.value}`",
            "; ".join(effect.value for effect in effects) or "none",
        ]
        for (state, event), (following, effects) in _TABLE.items()
    ]
    assert rows == expected
    states = table("explanation/session-lifecycle.md", "state", "meaning")
    assert [code(state)[0] for state, _ in states] == [state.value for state in State]


def test_directives_and_numbers_of_the_failure_policy_are_those_of_the_code():
    rows = table("explanation/failure.md", "directive", "what follows")
    assert [code(directive)[0] for directive, _ in rows] == list(get_args(Directive))
    policy, page = FailurePolicy(), (DOCS / "explanation" / "failure.md").read_text()
    for told in (
        f"at most {policy.max_restarts} within {policy.within:g} seconds",
        f"The pause before a restart is {policy.backoff.first:g} s, and twice as long each time, up to",
        f"up to {policy.backoff.longest:g} s",
        f"doesn't end within {GRACE:g} seconds",
        f"At most {MAX_UNTOLD} failures wait",
    ):
        assert told in page
    assert (policy.backoff.factor, policy.backoff.jitter) == (2, 0.1)


def test_the_floors_are_those_of_the_contracts():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = [found for found in project["tool"]["importlinter"]["contracts"] if found["id"] == "floors"]
    floors = []
    for layer in contract["layers"]:
        rooms = [room for room in layer.split(" | ") if not room.startswith("(")]  # in brackets: not there yet
        if rooms:
            floors.append(rooms)
    expected = [(str(len(floors) - index), room) for index, rooms in enumerate(floors) for room in rooms]
    rows = table("explanation/architecture.md", "floor", "room", "what it is", "what it may not do")
    assert [(floor, code(room)[0]) for floor, room, _, _ in rows] == expected


def test_files_that_the_architecture_names_are_there():
    page = DOCS / "explanation" / "architecture.md"
    named = re.findall(r"`((?:supervisor|tests)/[\w/.]+)`", page.read_text())
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_each_invariant_but_the_last_has_a_place_and_a_proof():
    rows = table("explanation/architecture.md", "", "rule", "enforced in", "proved by")
    assert [row[0] for row in rows] == [str(number) for number in range(1, 10)]
    assert all(code(place) and code(proof) for _, _, place, proof in rows[:-1])
    assert rows[-1][2].startswith("nowhere yet")


def test_the_seams_are_where_the_architecture_says():
    for seam, place, *_ in table("explanation/architecture.md", "seam", "defined in", "who asks", "who answers", "why"):
        module = ".".join(Path(code(place)[0]).with_suffix("").parts)
        assert inspect.isclass(getattr(importlib.import_module(module), code(seam)[0]))


def test_dependencies_are_those_of_the_project():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    expected = [
        project["dependencies"],
        project["optional-dependencies"]["demos"],
        project["optional-dependencies"]["dev"],
        project["optional-dependencies"]["testing"],
        project["optional-dependencies"]["docs"],
        project["optional-dependencies"]["test"],
        pyproject["build-system"]["requires"],
    ]
    page = (DOCS / "explanation" / "dependencies.md").read_text()
    for section, requirements in zip(page.split("\n## ")[1:], expected, strict=True):
        rows = [cells(line) for line in section.splitlines() if line.startswith("| ")][2:]
        assert all(why for _, why in rows)
        names = [re.match(r"[\w-]+", requirement)[0] for requirement in requirements]
        assert [name for name, _ in rows] == names


def test_close_codes_are_those_of_the_code():
    rows = table("reference/wire.md", "code", "meaning", "the client")
    assert [int(row[0]) for row in rows[:-1]] == [code.value for code in CloseCode]


def test_events_of_the_log_are_those_of_the_code():
    said = inspect.getsource(LogInstruments) + (ROOT / "supervisor" / "cli" / "serve.py").read_text()
    events = re.findall(r"""\b_?log\.(\w+)\(\s*"([\w ]+)",""", said)
    rows = table("reference/command-line.md", "level", "what is logged")
    assert set(events) == {(*code(level), event) for level, told in rows for event in code(told)}


def test_template_variables_are_those_of_the_code():
    passed = re.findall(r'^ +"(\w+)": ', inspect.getsource(Pages.live_page), re.MULTILINE)
    rows = table("how-to/write-an-app.md", "variable", "what it is")
    assert [code(name)[0] for name, _ in rows] == passed


@pytest.mark.parametrize("subject", ["app_context", "session_context", "doc"])
def test_the_reference_of_contexts_is_complete(subject):
    cls = {
        "app_context": supervisor.ApplicationContext,
        "session_context": supervisor.SessionContext,
        "doc": supervisor.Document,
    }[subject]
    page = (DOCS / "reference" / "hooks-and-contexts.md").read_text()
    section = page.partition(f"\n## `{subject}`\n")[2].partition("\n## ")[0]
    listed = {
        re.search(r"\w+(?=\(|$| as )", span.removeprefix("async with "))[0]
        for line in section.splitlines()
        if line.startswith("| ")
        for span in code(cells(line)[0])
    }
    public = {name for name in dir(cls) if not name.startswith("_")} | (
        {"state"} if subject == "app_context" else set()
    )
    assert listed == public


def test_hooks_are_those_of_the_code():
    rows = table("reference/hooks-and-contexts.md", "hook", "called", "runs in", "deadline", "if it raises or is late")
    listed = {re.match(r"\w+", code(hook)[0])[0] for hook, *_ in rows}
    handler = {name for name in vars(supervisor.Handler) if name.startswith(("on_", "modify_", "name_", "choose_"))}
    assert listed == handler


def test_the_checks_of_the_kit_are_those_of_the_code():
    for page in ("reference/testing.md", "how-to/test-what-goes-wrong.md"):
        rows = table(page, "check", "what is asserted")
        assert {code(name)[0]: asserted for name, asserted in rows} == CHECKS


def test_fixtures_marks_and_options_of_the_plugin_are_those_of_the_code():
    sources = "".join(inspect.getsource(importlib.import_module(name)) for name in plugin.pytest_plugins)
    told = {
        ("fixture", "what it is"): re.findall(r"@pytest\.fixture.*\n(?:async )?def (\w+)", sources),
        ("mark", "what it says"): re.findall(r"""\baddinivalue_line\(\s*"markers",\s+f?["'](.+?): """, sources),
        ("option", "what it does"): re.findall(r'"(--[\w-]+)"', sources),
    }
    for header, names in told.items():
        assert names
        rows = table("reference/testing.md", *header)
        assert sorted(code(name)[0] for name, _ in rows) == sorted(set(names))


KIT = [supervisor.testing, behaviour, schedules, strategies]


@pytest.mark.parametrize("module", KIT, ids=lambda each: each.__name__)
def test_the_reference_of_the_kit_is_complete(module):
    """Of the package all that it names; of a module in it, the functions and classes that are defined there."""
    is_package = module is supervisor.testing
    names = public_names(module)
    public = {name for name in names if is_package or getattr(module, name).__module__ == module.__name__}
    page = (DOCS / "reference" / "testing.md").read_text()
    entries = re.findall(r"^\.\. (?:autofunction|autoclass|autoexception|py:exception):: (\S+)$", page, re.MULTILINE)
    listed = {name.removeprefix("supervisor.testing.") for name in entries}
    if is_package:
        assert {name for name in listed if "." not in name} == public
    else:
        short = module.__name__.removeprefix("supervisor.testing.")
        assert {name.partition(".")[2] for name in listed if name.startswith(f"{short}.")} == public


def test_words_of_the_glossary_are_in_use_and_in_order():
    rows = table("glossary.md", "term", "meaning", "in the code")
    sources = "\n".join(path.read_text() for path in (ROOT / "supervisor").rglob("*.py"))
    assert [word for _, _, cell in rows for word in code(cell) if not re.search(rf"\b{word}\b", sources)] == []
    terms = [term.replace(",", "") for term, *_ in rows]
    assert terms == sorted(terms)

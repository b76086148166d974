"""The public API is frozen: what authors may import, kept here as data.

A new name: add it to the package's `__init__.py`, to this list, to the reference in `docs/`, and to `CHANGELOG.md`.
A name that goes, or changes what it means, breaks authors' code: say so in `CHANGELOG.md`, with what to write instead.
"""

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
import types

import pytest

import supervisor
import supervisor.client
import supervisor.testing

PUBLIC = {
    supervisor: {
        "ActorGone",
        "Application",
        "ApplicationContext",
        "ApplicationError",
        "ApplicationOptions",
        "Backoff",
        "BroadcastReport",
        "CallbackHandle",
        "Change",
        "ConnectionContext",
        "DeadlockError",
        "Document",
        "DocumentNotHeld",
        "Edit",
        "FailurePolicy",
        "FunctionHandler",
        "Handler",
        "Incident",
        "Instruments",
        "HandlerFailed",
        "HttpLimits",
        "InvalidValue",
        "KeyRing",
        "MailboxFull",
        "Producer",
        "Rejected",
        "Request",
        "Server",
        "ServerOptions",
        "SessionContext",
        "SessionGone",
        "SessionRefused",
        "Sessions",
        "StoryEntry",
        "SupervisorError",
        "Unawaited",
        "UpdateReport",
        "WebSocketOptions",
        "in_thread",
        "load_application",
        "receives",
    },
    supervisor.client: {
        "Change",
        "ClientPresence",
        "ClientSession",
        "ClientStatus",
        "ConnectFailed",
        "Newest",
        "PageRefused",
        "Peer",
        "SendConflict",
        "SendFailed",
        "SendIncident",
        "SendInvalid",
        "SendRejected",
        "SendUnknown",
        "SendUnsent",
        "SessionEnded",
        "connect",
        "connect_to",
    },
    supervisor.testing: {
        "Client",
        "Conditions",
        "Faults",
        "HandDrivenSession",
        "InjectedFault",
        "Left",
        "Network",
        "PageRefused",
        "Probe",
        "ProcessApp",
        "RunningApp",
        "Scheduled",
        "SendFailed",
        "Started",
        "TestSession",
        "Told",
        "hand_driven",
        "supervise",
        "supervise_process",
    },
}
EVERYTHING = [(package, name) for package, names in PUBLIC.items() for name in sorted(names)]


LAZY = [supervisor, supervisor.testing]
"""Packages whose names are imported when they are asked for."""


def exported(package):
    if package in LAZY:
        return set(package.__all__)
    return {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_the_public_names_are_these(package):
    assert exported(package) == PUBLIC[package]


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_type_checkers_see_the_same_names(package):
    """`from module import X as X`: without the `as`, mypy takes a name for private. And nothing else is imported."""
    source = inspect.getsource(package).partition("if TYPE_CHECKING:\n" if package in LAZY else "\n")[2]
    imports = [line.strip() for line in source.splitlines() if line.lstrip().startswith(("from ", "import "))]
    names = {line.rpartition(" ")[2] for line in imports}
    assert names == PUBLIC[package]
    for line in imports:
        module, name = line.removeprefix("from ").partition(" import ")[0], line.rpartition(" ")[2]
        assert line == f"from {module} import {name} as {name}"
        assert getattr(package, name) is getattr(importlib.import_module(module), name)


def run(code):
    """Run code where nothing is imported yet."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_a_package_imports_nothing_before_it_is_asked_for_a_name(package):
    code = f"import sys, {package.__name__}\nprint(*sys.modules)"
    rooms = {"supervisor", "supervisor._lazy", "supervisor._version", package.__name__}
    assert {name for name in run(code) if name.startswith("supervisor")} == rooms


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_a_name_is_not_a_module_of_its_package(package):
    """An import of that module, by anybody, would put it in the name's place."""
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & PUBLIC[package]


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_all_names_are_listed_and_imported_by_a_star(package):
    code = f"import {package.__name__} as package\nprint(*dir(package))"
    assert set(run(code)) >= PUBLIC[package] | {"__name__", "__doc__", "__path__"}
    code = f"before = {{*globals(), 'before'}}\nfrom {package.__name__} import *\nprint(*({{*globals()}} - before))"
    assert set(run(code)) == PUBLIC[package]


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_a_name_that_is_not_there_is_refused_as_by_any_module(package):
    name = package.__name__
    with pytest.raises(AttributeError, match=f"^module '{name}' has no attribute 'nonsense'$") as raised:
        _ = package.nonsense
    assert (raised.value.name, raised.value.obj) == ("nonsense", package)
    with pytest.raises(ImportError, match=f"^cannot import name 'nonsense' from '{name}'"):
        exec(f"from {name} import nonsense")


def test_public_values_are_pickled():
    for value in (supervisor.Backoff(), supervisor.Rejected("no"), supervisor.testing.Left, supervisor.testing.Told):
        again = pickle.loads(pickle.dumps(value))
        assert again == value or str(again) == str(value)
    pickled = pickle.dumps(supervisor.testing.Left)  # a class that says it is the package's own
    assert run(f"import pickle\nprint(pickle.loads({pickled!r}).__name__)") == ["Left"]


def test_the_version_is_public():
    assert isinstance(supervisor.__version__, str)


def documented(value):
    return bool((inspect.getdoc(value) or "").strip())


@pytest.mark.parametrize(("package", "name"), EVERYTHING, ids=lambda value: getattr(value, "__name__", value))
def test_every_public_name_is_documented(package, name):
    value = getattr(package, name)
    assert value.__doc__
    # attrs, dataclasses and `type()` make docstrings of their own.
    assert not value.__doc__.startswith((f"{name}(", "Method generated by attrs")), "not written by a person"
    assert value.__doc__.strip().splitlines()[0]


@pytest.mark.parametrize(("package", "name"), EVERYTHING, ids=lambda value: getattr(value, "__name__", value))
def test_every_public_method_is_documented(package, name):
    value = getattr(package, name)
    if not inspect.isclass(value):
        return
    for owner in value.__mro__:
        if not owner.__module__.startswith("supervisor"):
            continue
        for method, member in vars(owner).items():
            member = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            if method.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
                continue
            assert documented(member), f"{name}.{method}"

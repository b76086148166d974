"""What is in an app: its hooks, messages and pages, and what is wrong with it; found without running its hooks."""

from __future__ import annotations

import dataclasses
import inspect
import os
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import attrs

from supervisor.actor.restart import FailurePolicy
from supervisor.application.handlers import Application
from supervisor.application.hooks import HOOKS
from supervisor.application.loading import load_application
from supervisor.errors import ApplicationError
from supervisor.protocol.fields import ClientMessages
from supervisor.session.receivers import Receiver, receivers_of
from supervisor.transport.template_check import check_templates


@final
@attrs.frozen(kw_only=True)
class FoundHook:
    """A hook, or `modify_document`."""

    name: str
    where: str
    """File and line."""


@final
@attrs.frozen(kw_only=True)
class FoundMessage:
    """A type of message, and the function that handles it."""

    name: str
    fields: dict[str, str]
    """The types of its fields, as they are written."""
    from_client: bool
    rules: list[str]
    """What its handler's mark says beside: "in a thread", "conflated", "when full: refuse", "on failure: restart"."""
    handler: str
    """The function's name."""
    where: str


@final
@attrs.frozen(kw_only=True)
class Finding:
    """What was found of one app."""

    app: str
    """As it was given."""
    name: str | None = None
    """What it is served under; None if it can't be loaded."""
    description: str = ""
    hooks: list[FoundHook] = attrs.field(factory=list)
    messages: list[FoundMessage] = attrs.field(factory=list)
    failure_policy: str = ""
    """What follows when a session's code fails: "restart, at most 3 times within 60 s, then stop"."""
    templates: list[str] = attrs.field(factory=list)
    """Files; without `templates/index.html` the app has the generic page."""
    static: list[str] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    """What looks wrong, a sentence each."""
    errors: list[str] = attrs.field(factory=list)
    """Why it can't be served, a sentence each."""


def inspect_apps(apps: Sequence[str]) -> list[Finding]:
    """Load apps, and tell what is in them. Their modules are executed; no hook is called."""
    findings = [_inspect(app) for app in apps]
    seen: set[str] = set()
    for finding in findings:
        if finding.name is not None:
            if finding.name in seen:
                finding.errors.append(f"two applications are named {finding.name!r}; rename one of them")
            seen.add(finding.name)
    return findings


def _inspect(app: str) -> Finding:
    try:
        application = load_application(app)
    except ApplicationError as error:
        return Finding(app=app, errors=[_shorten(str(error))])
    receivers = [receiver for handler in application.handlers for receiver in receivers_of(handler.receivers)]
    hooks = [
        FoundHook(name=name, where=_where(found))
        for name in (*HOOKS, "modify_document")
        for handler in application.handlers
        if (found := handler.find_hook(name)) is not None
    ]
    directory = application.directory
    warnings = list(application.warnings)
    if not hooks and not receivers:
        warnings.append(f"{app} has nothing in it: no modify_document(doc), no @receives handler and no hook")
    errors = _undecodable(application)
    for problem in check_templates(directory) if directory is not None else ():
        (errors if problem.is_fatal else warnings).append(_shorten(problem.text))
    return Finding(
        app=app,
        name=application.name,
        description=application.description,
        hooks=hooks,
        messages=[_message(receiver) for receiver in receivers],
        failure_policy=_policy(application.failure_policy),
        templates=_files(directory, "templates"),
        static=_files(directory, "static"),
        warnings=warnings,
        errors=errors,
    )


def _message(receiver: Receiver) -> FoundMessage:
    return FoundMessage(
        name=receiver.type.__name__,
        fields=_fields(receiver.type),
        from_client=receiver.from_client,
        rules=list(_rules(receiver)),
        handler=getattr(receiver.func, "__name__", repr(receiver.func)),
        where=_where(receiver.func),
    )


def _rules(receiver: Receiver) -> Iterator[str]:
    if receiver.thread:
        yield "in a thread"
    if receiver.conflate is not None:
        yield "conflated"
    if receiver.when_full != "wait":
        yield f"when full: {receiver.when_full}"
    if receiver.on_failure is not None:
        yield f"on failure: {receiver.on_failure}"


def _policy(policy: FailurePolicy) -> str:
    if policy.directive != "restart":
        return policy.directive
    return f"restart, at most {policy.max_restarts} times within {policy.within:g} s, then {policy.beyond}"


def _fields(cls: type) -> dict[str, str]:
    if attrs.has(cls):
        names = [field.name for field in attrs.fields(cls) if field.init]
    elif dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls) if field.init]
    else:
        names = list(getattr(cls, "__struct_fields__", ()))
    try:
        types = typing.get_type_hints(cls, include_extras=True)
    except Exception:  # a name that isn't there: then as they are written
        types = dict(getattr(cls, "__annotations__", {}))
    return {name: _type(types.get(name, Any)) for name in names}


def _type(annotation: object) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return repr(annotation).replace("typing.", "")


def _undecodable(application: Application) -> list[str]:
    """Each type that browsers may send and that can't be read: a server with it doesn't begin."""
    errors = []
    for name, cls in application.receivers.from_client.items():
        try:
            ClientMessages({name: cls})
        except TypeError as error:
            errors.append(f"application {application.name!r}: {error}")
    return errors


def _where(func: Callable[..., Any]) -> str:
    """File and line of a function, as short as it can be from here."""
    try:
        found = inspect.unwrap(func)
        code = getattr(getattr(found, "__func__", found), "__code__", None)
    except ValueError:  # wrapped in a circle
        code = None
    return repr(func) if code is None else f"{_shorten(code.co_filename)}, line {code.co_firstlineno}"


def _shorten(text: str) -> str:
    return text.replace(f"{os.getcwd()}{os.sep}", "", 1)


def _files(directory: Path | None, name: str) -> list[str]:
    if directory is None or not (directory / name).is_dir():
        return []
    return sorted(file.relative_to(directory).as_posix() for file in (directory / name).rglob("*") if file.is_file())

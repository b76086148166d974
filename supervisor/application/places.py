"""Where our code calls an author's, and whose work is done there: used to name the code that blocks a thread."""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

from supervisor.actor.base import Actor
from supervisor.actor.stalls import Describe, Work
from supervisor.actor.thread_door import ThreadDoor
from supervisor.application.context import ApplicationContext
from supervisor.application.hooks import call_author
from supervisor.application.producers import Producer
from supervisor.application.visitors import name_connection
from supervisor.session.actor import SessionActor
from supervisor.session.background import Background
from supervisor.session.context import Document, SessionContext


def _of_entry(local: Mapping[str, Any]) -> Work | None:
    """In `Actor.handle` and `Actor._finish`."""
    entry = local.get("entry")
    return None if entry is None else work_of(local["self"], what=entry.describe(), piece=entry)


def _of_hook(local: Mapping[str, Any]) -> Work | None:
    """In `call_author`."""
    func, args = local["func"], local["args"]
    what = getattr(func, "__name__", None) or type(func).__qualname__  # not its repr: that is an app's code
    return work_of(args[0] if args else None, what=what, piece=args)


def _of_producer(local: Mapping[str, Any]) -> Work | None:
    """In `Producer._call`: who reports its failures is its application's actor."""
    producer = local["self"]
    return work_of(getattr(producer._report, "__self__", None), what=f"producer {producer.name}", piece=producer)


def _of_background(local: Mapping[str, Any]) -> Work | None:
    """In `Background._run`: who reports its failures is its session's actor."""
    return work_of(getattr(local["self"]._report, "__self__", None), what=local["name"], piece=local["args"])


def _of_call(local: Mapping[str, Any]) -> Work | None:
    """In `ThreadDoor._run`."""
    call = local["call"]
    return work_of(getattr(local["self"]._report, "__self__", None), what=str(call), piece=call)


def _of_naming(local: Mapping[str, Any]) -> Work | None:
    """In `name_connection`: who reports its failures is its application's actor."""
    return work_of(getattr(local["report"], "__self__", None), what="name_connection", piece=local["request"])


def work_of(owner: object, *, what: str, piece: object) -> Work:
    """A piece of work that is done for a session or an application, given by its actor or context, or for nobody."""
    if isinstance(owner, SessionContext | Document):
        owner = owner._host
    if isinstance(owner, SessionActor):
        name = getattr(owner.application_context, "name", "-")
        return Work(application=name, session=owner.shown_id, what=what, piece=piece)
    if isinstance(owner, ApplicationContext):
        return Work(application=owner.name, what=what, piece=piece)
    # Of a callback's actor, or of the application's own.
    return Work(application=getattr(owner, "application", "-"), what=what, piece=piece)


def code_of(function: Any) -> CodeType:
    """What tells the frames of one of our functions."""
    assert isinstance(function, FunctionType)
    return function.__code__


PLACES: Mapping[CodeType, Describe] = {
    code_of(Actor.handle): _of_entry,
    code_of(Actor._finish): _of_entry,
    code_of(call_author): _of_hook,
    code_of(name_connection): _of_naming,
    code_of(Producer._call): _of_producer,
    code_of(Background._run): _of_background,
    code_of(ThreadDoor.serve): _of_call,
}
"""Our functions inside of which an author's code runs; `transport.places` has one more, for what clients send."""

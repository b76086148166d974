"""Lifecycle hooks: their names, how they are found and called, and their deadlines."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import trio

from supervisor.actor.call_check import call_problem
from supervisor.actor.in_thread import is_marked, threaded_by_host
from supervisor.actor.story import Story
from supervisor.actor.unawaited import catch_unawaited, unawaited
from supervisor.errors import ApplicationError, SessionRefused

ARGUMENTS = {
    "on_application_load": ("app_context",),
    "on_application_unload": ("app_context",),
    "on_session_created": ("session_context",),
    "on_session_destroyed": ("session_context",),
    "on_session_failed": ("session_context", "error"),
    "on_connection_opened": ("session_context", "connection"),
    "on_connection_closed": ("session_context", "connection"),
    "name_connection": ("request",),
    "choose_session_id": ("request",),
    "on_callback_failed": ("app_context", "callback", "error"),
}
"""What each hook is called with."""
HOOKS = tuple(ARGUMENTS)
"""The hooks' names; the first four are those of the seed."""
PLAIN = ("name_connection", "choose_session_id")
"""The hooks that are called with a request alone, before there is anything that a thread could work for."""
ALIASES = {"on_server_loaded": "on_application_load", "on_server_unloaded": "on_application_unload"}
"""Bokeh's other names for them."""

_NEAR = 0.85
_VERY_NEAR = 0.93
"""How near to a hook's name another one must be to be taken for it: more so where the hook's doesn't begin with `on_`,
because an app may well have functions of its own such as `new_connection`."""

Hook = Callable[..., Any]


def is_hook(name: str) -> bool:
    """Whether a function of this name is a hook."""
    return name in HOOKS or name in ALIASES


def find_hooks(namespace: Mapping[str, object], where: str) -> tuple[dict[str, Hook], list[str]]:
    """The hooks of a module by our names, and warnings of names that are nearly a hook's.

    Raises:
        ApplicationError: a hook is not a function of its arguments, or is there under both of its names.
    """
    hooks: dict[str, Hook] = {}
    for name, value in namespace.items():
        if not is_hook(name):
            continue
        hook = ALIASES.get(name, name)
        if hook in hooks and inspect.unwrap(hooks[hook]) is not inspect.unwrap(value):  # type: ignore[arg-type]
            raise ApplicationError(f"{where} has {hook} under two names; keep one of them")
        if not callable(value):
            raise ApplicationError(
                f"{where}: {name} is not a function; write `def {name}({', '.join(ARGUMENTS[hook])}): ...`"
            )
        check_signature(value, *ARGUMENTS[hook], where=where, name=name)
        if name == "name_connection" and inspect.iscoroutinefunction(value):
            raise ApplicationError(f"{where}: name_connection must be a plain function; write `def`, not `async def`")
        if is_marked(value) and hook in PLAIN:
            raise ApplicationError(
                f"{where}: {name} can't run in a thread, since it runs before any session exists; remove @in_thread"
            )
        hooks[hook] = threaded_by_host(value)
    return hooks, _near_misses(namespace, where)


def check_signature(func: Callable[..., Any], *arguments: str, where: str, name: str) -> None:
    """Refuse a function that can't be called with so many arguments, or that does nothing when it is called.

    The arguments' names are for who reads the error.
    """
    code = getattr(func, "__code__", None)
    line = "" if code is None else f", line {code.co_firstlineno}"
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise ApplicationError(
            f"{where}{line}: {name} contains a yield, so calling it runs none of its code; "
            "remove the yield, or write `async def` and `await`"
        )
    problem = call_problem(func, arguments)
    if problem is not None:
        signature, _ = problem
        raise ApplicationError(
            f"{where}{line}: {name}{signature} must take {_count(arguments)}; "
            f"write `def {name}({', '.join(arguments)}): ...`"
        )


def _count(arguments: tuple[str, ...]) -> str:
    return ("one argument", "two arguments", "three arguments")[len(arguments) - 1]


def _near_misses(namespace: Mapping[str, object], where: str) -> list[str]:
    known = [*HOOKS, *ALIASES, "modify_document"]
    warnings = []
    for name, value in namespace.items():
        if name in known or name.startswith("_") or not callable(value):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
        if near and (near[0].startswith("on_") or difflib.get_close_matches(name, near, cutoff=_VERY_NEAR)):
            warnings.append(f"{where}: {name} is not a hook and is never called; did you mean {near[0]}?")
    return warnings


def refusal_in(failure: BaseException | None) -> str | None:
    """The text of a hook's "no", which may be empty; None if this is a failure."""
    if isinstance(failure, SessionRefused):
        return str(failure)
    # An operating system's "permission denied" has an errno; a hook's own PermissionError has none.
    return "" if isinstance(failure, PermissionError) and failure.errno is None else None


async def call_author(
    func: Callable[..., Any],
    *args: Any,
    timeout: float,
    scope: trio.CancelScope | None = None,
    story: Story | None = None,
) -> Any:
    """Call an author's function, await what it returns if that can be awaited, under a deadline.

    `scope` is a new one to call it in, by which others can end it sooner; it may have a nearer deadline already.
    `story` is told that it is called.

    Raises:
        trio.TooSlowError: it took longer than that and was cancelled.
        Unawaited: it made a coroutine and dropped it.
    """
    if story is not None:
        name = getattr(func, "__name__", type(func).__name__)
        has_hook = getattr(getattr(func, "__self__", None), "has_hook", None)
        if has_hook is None or has_hook(name):  # else it does nothing
            story.begin("hook", name, name)
        else:
            story = None
    func = threaded_by_host(func)
    scope = scope or trio.CancelScope()
    began = trio.current_time()
    scope.deadline = min(scope.deadline, began + timeout)
    result: Any = None
    waits = False
    with scope, catch_unawaited() as dropped:
        result = func(*args)
        waits = hasattr(result, "__await__")
        if waits:
            result = await result
        if dropped:
            raise unawaited(dropped)
    # Late is late, also if the function kept the cancellation to itself.
    kept_to_itself = waits and scope.cancel_called and trio.current_time() > began
    if not (scope.cancelled_caught or kept_to_itself):
        if story is not None:
            story.over()
        return result
    name = getattr(func, "__name__", repr(func))
    allowed = scope.deadline - began
    if allowed <= 0:
        raise trio.TooSlowError(f"there was no time left for {name}, and it was cancelled at its first wait")
    raise trio.TooSlowError(f"{name} took longer than {allowed:g} s and was cancelled")

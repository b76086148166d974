"""Faults in an app's own code, on demand: a function that fails at its n-th call, hangs, or is slow.

Handlers and hooks are wrapped where the server looks them up, in the application, and only those that have a fault.
What is handed to an adder, as a producer is, is wrapped as it is added. A server that is no test's wraps nothing.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, final

import attrs
import trio

from supervisor.actor.in_thread import Run, begins_thread, threaded, threaded_by_host
from supervisor.application.handlers import Application, Handler
from supervisor.application.hooks import HOOKS
from supervisor.instruments import Incident
from supervisor.limits import check_whether

_INJECTED = "__supervisor_injected__"
_FAULTY = "__supervisor_faulty__"
_HOOKS = (*HOOKS, "modify_document")


class InjectedFault(Exception):
    """What a struck function raises, unless the test chose another error. It is no `SupervisorError`."""


@attrs.define(eq=False, kw_only=True)
class _Fault:
    """One fault of the functions of one name."""

    name: str
    kind: Literal["fail", "hang", "delay"]
    at: int | None
    """Which call it strikes, from 1; None for each."""
    error: BaseException | type[BaseException] | None = None
    late: bool = False
    seconds: float = math.inf
    calls: int = 0
    """Calls since it was set."""

    def strikes(self) -> bool:
        """Count one call; whether it is struck."""
        self.calls += 1
        return self.at is None or self.calls == self.at


@final
@attrs.frozen(kw_only=True)
class _Place:
    """Where the server looks a function up."""

    names: frozenset[str]
    """By which it goes: its author's, and the hook's."""
    func: Callable[..., Any]
    put: Callable[[Callable[..., Any]], object]
    """Have another one looked up there."""
    restore: Callable[[], object]
    """Have the one looked up again that was there before."""


@final
class Faults:
    """What a test makes go wrong in an app's code: `Faults().fail("on_quote", at=3)`.

    Give it to `supervise(app, faults=…)` for hooks and producers that start before the block, and change it inside the
    block as `app.faults`. It belongs to one app at a time.

    Name functions as their author did; hooks also by the names that the server gives them. You can name message
    handlers, hooks, `modify_document`, producers, callbacks, change listeners, functions that are asked about edits,
    and background tasks. Functions that the app's code hands over are known from then on. Functions of the same name
    share their faults.

    **What is counted:** calls that the server makes from when the fault was set, of all sessions together, including
    those that another fault strikes, that are cancelled, or that fail by themselves. What the app's own code calls
    directly is not counted. A producer is called when the app has loaded, and again after it has failed: a fault that
    is set while it runs doesn't strike it.

    A struck function keeps its name, so logs and incidents name it. A failure that a fault has caused is one of
    `app.incidents`, and isn't raised at the end of the block.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, list[_Fault]] = {}
        self._is_used = False
        # The application that is served, if any; and what takes the wrappers out of it again.
        self._application: Application | None = None
        self._undo: list[Callable[[], object]] = []
        # The names of functions that were handed to adders so far.
        self._added: set[str] = set()
        # The names for which a fault was set before the app was there, and that no function has had so far.
        self._unmet: set[str] = set()
        # The names of functions that were cancelled while a fault held them up.
        self._held_up: set[str] = set()

    def fail(
        self,
        name: str,
        *,
        at: int | None = None,
        error: BaseException | type[BaseException] | None = None,
        late: bool = False,
    ) -> Faults:
        """Raise `error` instead of call number `at`, or of each call; by default an `InjectedFault`.

        Args:
            name: the function's.
            at: which call from now on, from 1; None for each.
            error: an exception, or a class of them that is called without arguments.
            late: raise it after the function has done its work: then what it changed is rolled back.

        Returns:
            These faults, so that several can be set in a row.

        Raises:
            LookupError: the app that is served has no such function, or has not added it yet.
            ValueError: `at` is not a number of 1 or more.
            TypeError: `error` is not an exception, or `late` neither True nor False.
        """
        check_whether("late", late)
        if not (error is None or isinstance(error, BaseException) or _is_exception_class(error)):
            raise TypeError(f"error must be an exception or an exception class, not {error!r}")
        return self._set(_Fault(name=name, kind="fail", at=at, error=error, late=late))

    def hang(self, name: str, *, at: int | None = None) -> Faults:
        """Let call number `at`, or each, wait until it is cancelled, as by a hook's deadline or the session's end.

        A message handler has no deadline of its own: its session handles nothing else until it ends. A function that
        runs in a thread hangs before its thread begins, so that virtual time goes on. Returns and raises as `fail()`.
        """
        return self._set(_Fault(name=name, kind="hang", at=at))

    def delay(self, name: str, *, seconds: float, at: int | None = None) -> Faults:
        """Let call number `at`, or each, begin this many seconds later; so does a thread. Otherwise as `hang()`.

        Raises:
            ValueError: `seconds` is not a finite number, at least 0.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(
                f"seconds must be a finite number, at least 0, not {seconds!r}; use hang() to wait for ever"
            )
        return self._set(_Fault(name=name, kind="delay", at=at, seconds=seconds))

    def clear(self, name: str | None = None) -> None:
        """Let the functions of this name, or all, be as their author wrote them. Calls that already wait still wait."""
        if name is None:
            self._by_name.clear()
            self._unmet.clear()
        else:
            self._by_name.pop(name, None)
            self._unmet.discard(name)

    def caused(self, incident: Incident) -> bool:
        """Whether it comes from one of these faults: it was raised, or a function was late since it was held up."""
        return was_injected(incident.error) or (
            isinstance(incident.error, trio.TooSlowError) and incident.what in self._held_up
        )

    @property
    def names(self) -> list[str]:
        """The functions of the app that a fault can be set for now."""
        return sorted({*self._added, *(name for place in self._places() for name in place.names)})

    # What the harness does with it.

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While this is entered, an application can have these faults: `install` them.

        Raises:
            RuntimeError: another app has them.
            LookupError: in the end, if nothing else was raised: a fault was set for a function that never was there.
        """
        if self._is_used:
            raise RuntimeError("these faults are another app's; make new ones: Faults()")
        self._is_used = True
        self._unmet = set(self._by_name)
        try:
            yield
            for name in sorted(self._unmet):
                raise self._unknown(name, "and no function of that name was added")
        finally:
            while self._undo:
                self._undo.pop()()
            self._is_used = False
            self._application = None
            self._added.clear()

    def install(self, application: Application) -> Application:
        """Have the faults in this application from now on; returns it."""
        self._application = application
        for name in self._by_name:
            self._wrap(name)
        return application

    def prepare(self, func: Callable[..., Any], run: Run | None, *, thread: bool = False) -> Callable[..., Any]:
        """See `Runtime.prepare`: what is called in place of a function that was handed to an adder."""
        called = threaded(func, run, thread=thread)
        if not callable(called) or inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            return called  # for the adder to refuse
        name = _name_of(func)
        self._added.add(name)
        self._unmet.discard(name)
        return self._wrapped(frozenset((name,)), called)

    def _set(self, fault: _Fault) -> Faults:
        name = fault.name
        is_number = isinstance(fault.at, int) and not isinstance(fault.at, bool)
        if not (fault.at is None or (is_number and fault.at >= 1)):
            raise ValueError(f"at must be the number of a call, 1 or more, or None for every call, not {fault.at!r}")
        if fault.kind != "fail" and name == "name_connection":
            raise ValueError(f"{name} is a plain hook, for which nobody waits, so it can only fail: use fail({name!r})")
        if self._application is not None:
            if name not in self.names:
                raise self._unknown(name, "yet")
            self._wrap(name)
        self._by_name.setdefault(name, []).append(fault)
        return self

    def _unknown(self, name: str, when: str) -> LookupError:
        assert self._application is not None
        near = difflib.get_close_matches(name, self.names, n=1)
        return LookupError(
            f"application {self._application.name!r} has no function {name!r} that the server calls, {when}"
            + (f"; did you mean {near[0]}?" if near else "")
            + f"; it has {', '.join(self.names)}. One that is added later can be named before: "
            f"supervise(app, faults=Faults().fail({name!r}))"
        )

    # Wrapping.

    def _places(self) -> Iterator[_Place]:
        if self._application is None:
            return
        by_type = self._application.receivers.by_type
        for message_type, func in by_type.items():
            put = functools.partial(by_type.__setitem__, message_type)
            yield _Place(names=frozenset((_name_of(func),)), func=func, put=put, restore=functools.partial(put, func))
        for handler in self._application.handlers:
            yield from _hooks_of(handler)

    def _wrap(self, name: str) -> None:
        for place in list(self._places()):
            if name in place.names:
                self._unmet.discard(name)
                if not hasattr(place.func, _FAULTY):
                    place.put(self._wrapped(place.names, place.func))
                    self._undo.append(place.restore)

    def _wrapped(self, names: frozenset[str], func: Callable[..., Any]) -> Callable[..., Any]:
        """The same function but for the faults of these names, which are looked up at each call."""
        wrapper: Callable[..., Any]
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def wrapper(*args: Any) -> Any:
                struck = self._struck(names)
                if struck:
                    return await self._call_struck(names, struck, func, args)
                return await func(*args)

        else:

            @functools.wraps(func)
            def wrapper(*args: Any) -> Any:
                struck = self._struck(names)
                if any(fault.kind != "fail" for fault in struck):
                    return self._call_struck(names, struck, func, args)
                _raise_early(struck)
                result = func(*args)
                if struck and hasattr(result, "__await__"):
                    return _finish_struck(struck, result)
                _raise_late(struck)
                return result

        # What has no name is shown as itself, by logs too.
        wrapper.__qualname__ = getattr(func, "__qualname__", repr(func))
        setattr(wrapper, _FAULTY, True)
        return begins_thread(wrapper)

    def _struck(self, names: frozenset[str]) -> list[_Fault]:
        return [fault for name in names for fault in self._by_name.get(name, ()) if fault.strikes()]

    async def _call_struck(
        self, names: frozenset[str], struck: list[_Fault], func: Callable[..., Any], args: Any
    ) -> Any:
        for fault in struck:
            if fault.kind != "fail":
                try:
                    await trio.sleep(fault.seconds)
                except trio.Cancelled:
                    self._held_up |= names
                    raise
        _raise_early(struck)
        return await _finish_struck(struck, func(*args))

    def __repr__(self) -> str:
        set_ = ", ".join(f"{fault.kind} {name}" for name, faults in self._by_name.items() for fault in faults)
        return f"<Faults: {set_ or 'none'}>"


def faults_or_default(faults: Faults | None) -> Faults:
    """What a test gave, or none at all.

    Raises:
        TypeError: it is something else.
    """
    given: object = faults
    if not (given is None or isinstance(given, Faults)):
        raise TypeError(f'faults is a Faults, as in Faults().fail("on_quote", at=3), not {given!r}')
    return Faults() if faults is None else faults


def mark_injected(error: BaseException) -> BaseException:
    """Have it count as expected, whoever reports it; returns it."""
    setattr(error, _INJECTED, True)
    return error


def was_injected(error: BaseException) -> bool:
    """Whether the test wanted it to be raised."""
    return getattr(error, _INJECTED, False) is True


def _hooks_of(handler: Handler) -> Iterator[_Place]:
    for hook in _HOOKS:
        if not handler.has_hook(hook):
            continue
        own = vars(handler).get(hook)
        found = handler.find_hook(hook)
        yield _Place(
            names=frozenset((hook,) if found is None else (hook, _name_of(found))),
            func=threaded_by_host(getattr(handler, hook)),
            # Also of a handler whose class is frozen.
            put=functools.partial(object.__setattr__, handler, hook),
            restore=functools.partial(object.__delattr__, handler, hook)
            if own is None
            else functools.partial(object.__setattr__, handler, hook, own),
        )


def _name_of(func: object) -> str:
    """What its author calls it; of a method only the last part."""
    while isinstance(func, functools.partial):
        func = func.func
    return str(getattr(func, "__name__", type(func).__name__))


def _is_exception_class(error: object) -> bool:
    return isinstance(error, type) and issubclass(error, BaseException)


async def _finish_struck(struck: list[_Fault], result: Any) -> Any:
    if hasattr(result, "__await__"):
        result = await result
    _raise_late(struck)
    return result


def _raise_early(struck: list[_Fault]) -> None:
    for fault in struck:
        if fault.kind == "fail" and not fault.late:
            raise _error_of(fault)


def _raise_late(struck: list[_Fault]) -> None:
    for fault in struck:
        if fault.kind == "fail" and fault.late:
            raise _error_of(fault)


def _error_of(fault: _Fault) -> BaseException:
    error = fault.error or InjectedFault(f"{fault.name} was to fail at call {fault.calls}")
    return mark_injected(error if isinstance(error, BaseException) else error())

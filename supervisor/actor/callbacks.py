"""An actor's callbacks: next tick, timeout, periodic and listeners, each of them a tick in the actor's mailbox.

Essay: one tick each. A callback that is due puts *itself* into the mailbox, as the tick. It is there at most once: a
periodic callback sets its next alarm only after its tick was handled, for the next multiple of its period. So ticks
never overlap, a slow handler skips ticks instead of piling them up, and a full mailbox delays a tick but can't lose it.
Removing a callback removes its tick too: a removed callback never fires.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, Literal, final

from supervisor.actor.call_check import check_arguments, check_callback
from supervisor.actor.entry import Doer, Entry
from supervisor.actor.ref import Recipient
from supervisor.actor.timers import Alarm, TimerQueue
from supervisor.errors import MailboxFull

NEXT_TICKS = 1_000
"""Next ticks that may wait at one actor: as many as messages may."""

Kind = Literal["next tick", "timeout", "periodic", "listener"]


@final
class CallbackHandle(Entry):
    """What an adder returns; give it to `remove_callback()`."""

    __slots__ = ("_alarm", "_args", "_callbacks", "_due", "_func", "_kind", "_on_over", "_seconds", "_shown")
    counted = False
    told_as = "callback"

    def __init__(
        self,
        callbacks: Callbacks,
        kind: Kind,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        seconds: float,
    ) -> None:
        # The callbacks that it is one of; None once it was removed or has finished.
        self._callbacks: Callbacks | None = callbacks
        self._kind: Kind = kind
        self._func = func
        self._args = args
        self._seconds = seconds
        self._due = math.nan
        self._alarm: Alarm | None = None
        # What reports name, and what is called after each call of a listener.
        self._shown: Callable[..., Any] = func
        self._on_over: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self._shown, "__qualname__", repr(self._shown)))

    @property
    def kind(self) -> Kind:
        """What makes it fire: "next tick", "timeout", "periodic" or "listener"."""
        return self._kind

    @property
    def seconds(self) -> float:
        """As they were given: until a timeout fires, or between two calls of a periodic one; 0 for the others."""
        return self._seconds

    @property
    def active(self) -> bool:
        """Whether it may still fire: neither removed nor finished."""
        return self._callbacks is not None

    def start(self, actor: Doer) -> Any | Awaitable[Any]:
        """See `Entry.start`."""
        assert self._callbacks is not None
        if self._kind in ("next tick", "timeout"):
            self._callbacks._finished(self)
        return self._func(*self._args)

    def check(self, result: object) -> object:
        """See `Tell.check`."""
        return None

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`."""
        self._over()

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`: a periodic one goes on, and so does a listener."""
        self._over()

    def cancelled(self) -> None:
        """See `Entry.cancelled`: it was removed while in hand."""

    def describe(self) -> str:
        """See `Entry.describe`."""
        return f"{self._kind} callback {self.name}"

    def told(self) -> str:
        """See `Entry.told`."""
        return f"{self.name} ({self._kind})"

    def __repr__(self) -> str:
        state = "active" if self.active else "over"
        return f"<CallbackHandle {self.describe()} {state}>"

    def _over(self) -> None:
        if self._on_over is not None:
            self._on_over()
        if self._callbacks is None or self._kind != "periodic":
            return
        # The first multiple of the period that is still to come: missed ticks are skipped.
        now = self._callbacks.now()
        self._due = now + self._seconds - math.fmod(now - self._due, self._seconds)
        self._callbacks._arm(self)


@final
class Callbacks:
    """All callbacks of one actor."""

    def __init__(self, actor: Recipient, timers: TimerQueue) -> None:
        self._actor = actor
        self._mailbox = actor.mailbox
        self._timers = timers
        self.now = timers.now
        """The time by which they are due."""
        self._active: dict[CallbackHandle, None] = {}
        self._next_ticks = 0
        # Whether callbacks wait for `start` before they may tick.
        self._held: list[CallbackHandle] | None = None

    def hold(self) -> None:
        """Keep ticks back until `start`."""
        self._held = []

    def start(self) -> None:
        """Let those that were kept back begin: their times count from now."""
        held, self._held = self._held or [], None
        for handle in held:
            if handle.active:
                self._begin(handle)

    def add_next_tick(self, func: Callable[..., Any], args: tuple[Any, ...]) -> CallbackHandle:
        """Call it as soon as what is queued now was handled."""
        if self._next_ticks >= NEXT_TICKS:
            raise MailboxFull(
                f"{NEXT_TICKS:,} next-tick callbacks already wait at {self._actor}; add fewer, or send a message"
            )
        return self._add(CallbackHandle(self, "next tick", func, args, 0.0))

    def add_timeout(self, func: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> CallbackHandle:
        """Call it once, so many seconds from now."""
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds must be a finite number, at least 0, not {seconds!r}")
        check_arguments(func, args)
        return self._add(CallbackHandle(self, "timeout", func, args, seconds))

    def add_periodic(self, func: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> CallbackHandle:
        """Call it every so many seconds, for the first time after that long."""
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds must be a finite number above 0, not {seconds!r}")
        check_arguments(func, args)
        return self._add(CallbackHandle(self, "periodic", func, args, seconds))

    def add_listener(
        self, shown: Callable[..., Any], func: Callable[[], Any], on_over: Callable[[], None]
    ) -> CallbackHandle:
        """Call `func` once for each `ring`. Reports name `shown`; `on_over` is called after each call."""
        handle = CallbackHandle(self, "listener", func, (), 0.0)
        handle._shown, handle._on_over = shown, on_over
        return self._add(handle)

    def ring(self, handle: CallbackHandle) -> None:
        """Call a listener in its turn. It must not wait for its turn already: so there is one tick of it at most."""
        if self._held is None:
            self._mailbox.put_tick(handle)

    def remove(self, handle: CallbackHandle) -> None:
        """See `Document.remove_callback`."""
        if not isinstance(handle, CallbackHandle):
            raise TypeError(
                f"remove_callback() takes a CallbackHandle, which adding a callback returns, not {handle!r}"
            )
        if handle._callbacks is not self:
            if handle._callbacks is None:
                raise ValueError(f"{handle!r} was already removed, or has finished")
            raise ValueError(f"{handle!r} belongs to another actor, not to {self._actor}")
        self._forget(handle)

    def finish(self) -> None:
        """Remove all timers. Next ticks, and listeners that were rung, are part of the work that caused them."""
        for handle in list(self._active):
            if handle._kind in ("timeout", "periodic"):
                self._forget(handle)

    def active(self) -> frozenset[CallbackHandle]:
        """Those that may still fire."""
        return frozenset(self._active)

    def clear(self, *, but: Collection[CallbackHandle] = ()) -> None:
        """Remove all but these."""
        for handle in [handle for handle in self._active if handle not in but]:
            self._forget(handle)

    def __iter__(self) -> Iterator[CallbackHandle]:
        """Those that may still fire, in the order in which they were added."""
        return iter(list(self._active))

    def __len__(self) -> int:
        return len(self._active)

    def _add(self, handle: CallbackHandle) -> CallbackHandle:
        check_callback(handle._shown)
        if handle._kind == "next tick":
            self._next_ticks += 1
        if self._mailbox.is_closed:
            self._finished(handle)
            self._actor.dead_letter(handle)
            return handle
        self._active[handle] = None
        if self._held is not None:
            self._held.append(handle)
        else:
            self._begin(handle)
        return handle

    def _begin(self, handle: CallbackHandle) -> None:
        if handle._kind == "next tick":
            self._mailbox.put_tick(handle)
        elif handle._kind != "listener":
            handle._due = self.now() + handle._seconds
            self._arm(handle)

    def _arm(self, handle: CallbackHandle) -> None:
        handle._alarm = self._timers.call_at(handle._due, lambda: self._mailbox.put_tick(handle))

    def _finished(self, handle: CallbackHandle) -> None:
        """A one-time callback is in hand: it can't be removed any more."""
        handle._callbacks = None
        self._active.pop(handle, None)
        if handle._kind == "next tick":
            self._next_ticks -= 1

    def _forget(self, handle: CallbackHandle) -> None:
        self._finished(handle)
        if handle._alarm is not None:
            handle._alarm.cancel()
        self._mailbox.withdraw(handle)

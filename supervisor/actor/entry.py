"""An entry: one thing for an actor to do, and those who wait for its outcome.

An entry passes through: made → (waits for room) → queued → in hand → over. It ends by exactly one of `succeeded`,
`failed`, `cancelled` or `dropped`, unless it was withdrawn, `displaced` or conflated before it was in hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

from supervisor.actor.brief import brief


class Doer(Protocol):
    """What an entry needs of the actor that handles it."""

    def receive(self, message: object) -> object:
        """Call the author's handler of a message."""

    def call(self, func: Callable[..., object], *args: object) -> object:
        """Call a function of the author's that is given what the actor owns."""


class Entry:
    """One thing to do. Subclasses say what, and who hears of the outcome."""

    __slots__ = ()

    counted: ClassVar[bool] = True
    """Whether it takes up room in the mailbox."""
    is_answered: ClassVar[bool] = False
    """Whether somebody waits for its outcome: then no newer one takes its place unseen."""
    supervised: ClassVar[bool] = True
    """Whether a failure policy looks at what it raises; else that is a matter of who asked for it."""

    told_as: ClassVar[str] = ""
    """What a story calls such things, as "message"; empty if what it does is told otherwise, or not at all."""

    def start(self, actor: Doer) -> Any | Awaitable[Any]:
        """Do it, or return what must be awaited for it to be done."""
        raise NotImplementedError

    def check(self, result: object) -> object:
        """Look at the result while it can still be refused: raising here rolls everything back."""
        return result

    def succeeded(self, result: object) -> None:
        """It is done, and its changes are kept."""

    def failed(self, error: BaseException, incident: str | None) -> None:
        """It raised, and its changes are rolled back; no incident for an author's own "no"."""

    def cancelled(self) -> None:
        """Its asker cancelled it in hand, and it has unwound."""

    def dropped(self) -> None:
        """The actor ended before it was done."""

    def displaced(self, error: Exception) -> None:
        """A newer one of its type got its place, because the mailbox was full; only where a policy says so."""

    def describe(self) -> str:
        """What it is, for reports: "message Quote"."""
        raise NotImplementedError

    def told(self) -> str:
        """What it is, beside its kind, for a story: "Quote(symbol='ACME', price=12.5)"."""
        return self.describe().removeprefix(f"{self.told_as} ")


class Tell(Entry):
    """A message that nobody waits for. One of these may be queued at many actors at once."""

    __slots__ = ("message",)
    told_as = "message"

    def __init__(self, message: object) -> None:
        self.message = message

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        return actor.receive(self.message)

    def check(self, result: object) -> object:
        """See `Entry.check`: nobody gets the result, so it is released while what is dropped with it can still fail."""
        return None

    def describe(self) -> str:
        """See `Entry.describe`."""
        return f"message {type(self.message).__qualname__}"

    def told(self) -> str:
        """See `Entry.told`."""
        return brief(self.message)


class Finish(Entry):
    """Ask the actor to end when nothing waits any more: a soft stop. The mailbox must be closed, or it may never be."""

    __slots__ = ()
    counted = False

    def start(self, actor: Any) -> None:
        """See `Entry.start`. Ticks that have come since go first: what was there has caused them."""
        mailbox = actor.mailbox
        if mailbox.is_empty():
            mailbox.put_system(Stop())
        else:
            mailbox.put_tick(self)

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "finish"


class Stop(Entry):
    """Ask the actor to end; it is looked at before every other entry."""

    __slots__ = ()
    counted = False

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "stop"

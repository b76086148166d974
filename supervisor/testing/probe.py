"""A probe: stands in for another session of the application, records what it is sent, and gives prepared answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn, final

import attrs
import trio

from supervisor.actor.mailbox import Mailbox, MailboxStatistics
from supervisor.actor.ref import TIMEOUT, check_handled
from supervisor.actor.story import StoryEntry
from supervisor.errors import SessionGone
from supervisor.instruments import Incident
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.session.request import Request


@final
@attrs.frozen(kw_only=True)
class Told:
    """One message to other sessions."""

    to: str | None
    """The id of the session; None for all of them."""
    message: object
    """What was sent."""
    how: Literal["tell", "ask", "broadcast"]
    """How it was sent; `tell_nowait()` counts as a tell."""


@final
class Probe:
    """Another session, as the code under test sees it: it has what a `SessionContext` has, but no actor behind it.

    Get one from `HandDrivenSession.neighbour()`. It only records messages, in `received`; no handler runs. It answers
    an `ask()` with the function that the test gave to `answer()`. It has no document. All methods belong to the test's
    thread.
    """

    def __init__(
        self,
        id: str,
        application: Any,
        *,
        request: Request,
        types: frozenset[type],
        note: Callable[[Told], None],
    ) -> None:
        self.id = id
        """See `SessionContext.id`."""
        self.application = application
        """See `SessionContext.application`."""
        self.request = request
        """See `SessionContext.request`."""
        self.connections: tuple[ConnectionContext, ...] = ()
        """See `SessionContext.connections`; a test may set it."""
        self.received: list[object] = []
        """The messages from `tell()`, `ask()` and broadcasts, in order."""
        self.dead_letters: list[object] = []
        """The messages that came after its end."""
        self.ending: Ending | None = None
        """Why it was destroyed; None while it lives."""
        self.restarts = 0
        """See `SessionContext.restarts`."""
        self.last_incident: Incident | None = None
        """See `SessionContext.last_incident`."""
        self._types = types
        self._note = note
        self._answers: dict[type, Callable[[Any], Any]] = {}
        self._ended = trio.Event()

    # For the test.

    def answer(self, message_type: type, func: Callable[[Any], Any]) -> None:
        """Answer `ask()` of this type with `func(message)`, plain or `async`; `ask()` raises what it raises.

        Raises:
            TypeError: the app has no handler for messages of this type, so nobody could ask for it; or `func` is not a
                function.
        """
        self._check_type(message_type)
        if not callable(func):
            raise TypeError(
                f"an answer must be a function of the message, as in lambda message: {func!r}, not {func!r}"
            )
        self._answers[message_type] = func

    # What a session's context has.

    @property
    def document(self) -> NoReturn:
        """It has none.

        Raises:
            RuntimeError: always.
        """
        raise self._without("document")

    @property
    def destroyed(self) -> bool:
        """See `SessionContext.destroyed`."""
        return self.ending is not None

    def tell_nowait(self, message: object) -> None:
        """See `SessionContext.tell_nowait`: recorded, and handled by nobody. There is always room."""
        check_handled(self, message)
        self._take(message, "tell")

    async def tell(self, message: object, *, timeout: float = TIMEOUT) -> None:
        """See `SessionContext.tell`: recorded, and handled by nobody. There is always room."""
        check_handled(self, message)
        await trio.lowlevel.checkpoint_if_cancelled()
        self._take(message, "tell")
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def ask(self, message: object, *, timeout: float = TIMEOUT) -> Any:
        """See `SessionContext.ask`: answered by the function that `answer()` got.

        Raises:
            LookupError: `answer()` got no function for messages of this type.
        """
        check_handled(self, message)
        await trio.lowlevel.checkpoint()
        if not self._take(message, "ask"):
            raise SessionGone(f"{self} has ended")
        name = type(message).__qualname__
        func = self._answers.get(type(message))
        if func is None:
            raise LookupError(
                f"{self} has no answer to {name}; give it one first: probe.answer({name}, lambda message: …)"
            )
        result = func(message)
        return await result if hasattr(result, "__await__") else result

    def locked_document(self, *, timeout: float = TIMEOUT) -> NoReturn:
        """See `SessionContext.locked_document`: it has no document.

        Raises:
            RuntimeError: always.
        """
        raise self._without("document")

    async def with_locked_document(self, func: Callable[..., Any], *args: Any, timeout: float = TIMEOUT) -> NoReturn:
        """See `SessionContext.with_locked_document`: it has no document.

        Raises:
            RuntimeError: always.
        """
        raise self._without("document")

    def start_soon(self, func: Callable[..., Any], *args: Any) -> NoReturn:
        """See `SessionContext.start_soon`: it runs nothing.

        Raises:
            RuntimeError: always.
        """
        raise self._without("tasks")

    def destroy(self, *, reason: str = "") -> None:
        """See `SessionContext.destroy`: from now on it no longer belongs to the application."""
        if self.ending is None:
            self.ending = Ending(kind="destroyed", reason=reason)
            self._ended.set()

    async def wait_destroyed(self) -> None:
        """See `SessionContext.wait_destroyed`."""
        await self._ended.wait()

    @property
    def story(self) -> tuple[StoryEntry, ...]:
        """See `SessionContext.story`: always empty."""
        return ()

    def statistics(self) -> MailboxStatistics:
        """See `SessionContext.statistics`: nothing ever waits."""
        return Mailbox().statistics()

    # What the application around it needs.

    def knows(self, message_type: type) -> bool:
        """Whether the app has a handler for messages of this type."""
        return message_type in self._types

    def take_broadcast(self, message: object) -> None:
        """A broadcast has reached it; the broadcast itself is recorded once, for all sessions."""
        self.received.append(message)

    def _take(self, message: object, how: Literal["tell", "ask"]) -> bool:
        self._note(Told(to=self.id, message=message, how=how))
        (self.dead_letters if self.destroyed else self.received).append(message)
        return not self.destroyed

    def _check_type(self, message_type: type) -> None:
        if not self.knows(message_type):
            raise TypeError(f"the app has no handler for {message_type.__qualname__}, so nobody can ask {self} for it")

    def _without(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"{self} is a Probe, which only records messages and has no {what}; test several sessions with supervise()"
        )

    def __str__(self) -> str:
        return f"neighbour {self.id}"

    def __repr__(self) -> str:
        state = " destroyed" if self.destroyed else ""
        return f"<Probe {self.id}{state}, {len(self.received)} received>"

"""What authors hold of a session: its context and its document. Both are facades; the actor behind them does the work.

They share a file because each leads to the other: `session_context.document`, `doc.session_context`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, final

from supervisor.actor.base import Runtime
from supervisor.actor.callbacks import CallbackHandle, Callbacks
from supervisor.actor.guard import check_thread
from supervisor.actor.mailbox import MailboxStatistics
from supervisor.actor.ref import TIMEOUT, ActorRef
from supervisor.actor.story import Story, StoryEntry
from supervisor.document.json_document import JsonDocument
from supervisor.instruments import Incident
from supervisor.session.changes import Change, ChangeListeners
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.session.custody import Custody
from supervisor.session.editing import EditRules, Judge
from supervisor.session.request import Request
from supervisor.session.restarting import Recovery


class Host(Protocol):
    """What the faces need of the session's actor."""

    id: str
    name: str
    runtime: Runtime
    request: Request
    context: SessionContext
    document: Document
    custody: Custody
    stored: JsonDocument
    working: JsonDocument
    callbacks: Callbacks
    edit_rules: EditRules
    change_listeners: ChangeListeners
    connection_in_hand: ConnectionContext | None
    ref: ActorRef
    recovery: Recovery
    story: Story | None

    @property
    def has_ended(self) -> bool:
        """Whether the end has begun."""

    @property
    def application_context(self) -> Any:
        """See `SessionContext.application`."""

    @property
    def connection_contexts(self) -> tuple[ConnectionContext, ...]:
        """Who is attached now."""

    async def run_in_thread(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a function in a worker thread, which is lent the document."""

    def borrow(self, timeout: float) -> AbstractAsyncContextManager[Document]:
        """See `SessionContext.locked_document`."""

    def start_background(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """See `SessionContext.start_soon`."""

    def end(self, ending: Ending) -> None:
        """See `SessionContext.destroy`."""

    async def wait_ended(self) -> None:
        """See `SessionContext.wait_destroyed`."""


@final
class SessionContext:
    """One session, as hooks, producers and handlers see it. You may keep it: it outlives its session, and says so.

    Call its methods in the server's thread only; from another thread, go through
    `ApplicationContext.call_from_thread()`.
    """

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def id(self) -> str:
        """The session's id. Whoever knows it may attach to the session: don't show it to others."""
        return self._host.id

    @property
    def application(self) -> Any:
        """The application that this session belongs to: its `ApplicationContext`."""
        return self._host.application_context

    @property
    def request(self) -> Request:
        """The request that created the session; untrusted input."""
        return self._host.request

    @property
    def document(self) -> Document:
        """The document. Only its holder may touch its `data`; any task may add callbacks to it."""
        return self._host.document

    @property
    def connections(self) -> tuple[ConnectionContext, ...]:
        """Who is attached now: one entry for each tab or other client. The entries are values and never change.

        A client that has come back is listed twice until its older connection is known to be lost.
        """
        return self._host.connection_contexts

    @property
    def destroyed(self) -> bool:
        """Whether the session's end has begun: it handles no more messages."""
        return self._host.has_ended

    async def tell(self, message: object, *, timeout: float = TIMEOUT) -> None:
        """Send a message; wait for room in the mailbox only, never for its handling: OTP's cast, Pekko's tell.

        If the session has ended, or ends meanwhile, the message is a dead letter, as in Pekko: it is counted, and
        nothing is raised. Safe to cancel: then it was not sent. Messages of one sender are handled in the order in
        which they were sent.

        Raises:
            trio.TooSlowError: there was no room for `timeout` seconds; the message was not sent.
            MailboxFull: there is no room, and senders of this type don't wait for it (`when_full=` of `@receives`).
            DeadlockError: the mailbox is full, and the session waits for the sender.
            TypeError: the app has no handler for messages of this type; nothing was sent.
            Exception: whatever the type's `conflate` function raised; nothing was sent.
        """
        await self._host.ref.tell(message, timeout=timeout)

    def tell_nowait(self, message: object) -> None:
        """Send a message without waiting at all; a plain call.

        If the session has ended, the message is a dead letter: it is counted, and nothing is raised.

        Raises:
            MailboxFull: there is no room; the message was not sent.
            TypeError: the app has no handler for messages of this type; nothing was sent.
            Exception: whatever the type's `conflate` function raised; nothing was sent.
        """
        self._host.ref.tell_nowait(message)

    async def ask(self, message: object, *, timeout: float = TIMEOUT) -> Any:
        """Send a message and wait for what its handler returns, which may be any object: OTP's call, Pekko's ask.

        On cancellation, or after `timeout` seconds, a message that is still queued is withdrawn. A handler in hand is
        cancelled, and the ask waits until it has unwound: its changes are rolled back, except for those that a
        `doc.commit()` kept. If the handler finishes all the same, the ask returns its result.

        Raises:
            Exception: whatever the handler raised; `Rejected` if it said no. Both are the handler's.
            HandlerFailed: it raised something that would end the caller's task, such as `SystemExit`; the log has it.
            SessionGone: the session has ended, or ends before it answers; nobody's fault.
            trio.TooSlowError: the answer took longer than `timeout` seconds.
            MailboxFull: there was no room, or a newer message took this one's place, and senders of this type don't
                wait for room (`when_full=` of `@receives`); the handler was not called.
            DeadlockError: the session waits for the caller.
            TypeError: the app has no handler for messages of this type; nothing was sent.
        """
        return await self._host.ref.ask(message, timeout=timeout)

    def locked_document(self, *, timeout: float = TIMEOUT) -> AbstractAsyncContextManager[Document]:
        """Borrow the document: `async with session_context.locked_document() as doc: ...`.

        The session handles nothing else meanwhile. When the block is left, its changes are kept and sent; if it raises
        or is cancelled, they are rolled back. `timeout` (seconds) bounds the wait for the document. The block itself
        may take 30 seconds, after which it is cancelled. If the session is destroyed while the borrow waits or is in
        hand, the borrow still gets its turn, within 5 seconds, but its changes are sent to nobody.

        Raises:
            trio.TooSlowError: the wait took longer than `timeout`, or the block longer than 30 seconds.
            SessionGone: the session had ended, or ended and the 5 seconds were over.
            DeadlockError: the session waits for the borrower, or this task holds the document already.
        """
        return self._host.borrow(timeout)

    async def with_locked_document(self, func: Callable[..., Any], *args: Any, timeout: float = TIMEOUT) -> Any:
        """Borrow the document for `func(doc, *args)`, plain or `async`, and return what it returns.

        See `locked_document()` for time limits, errors and what is rolled back; `timeout` doesn't count the function's
        own time.

        Raises:
            Exception: whatever the function raised; its changes are rolled back, and nothing is reported.
        """
        async with self._host.borrow(timeout) as doc:
            result = func(doc, *args)
            if hasattr(result, "__await__"):
                result = await result
            return result

    def start_soon(self, func: Callable[..., Any], *args: Any) -> None:
        """Start `func(*args)`, plain or `async`, as a background task in the session's scope.

        It doesn't hold the document: let it send messages, or borrow. It is cancelled when the session is destroyed. A
        failure in it is reported and ends nothing else. After the session's end this does nothing.
        """
        check_thread()
        self._host.start_background(self._host.runtime.prepare(func, None), args)

    def destroy(self, *, reason: str = "") -> None:
        """Destroy the session: a plain call that begins the end and doesn't wait for it. May be called again.

        Handlers in hand are cancelled and rolled back, timers and tasks end, connections are closed with `reason`,
        borrowers get their turn, then the destroyed hooks run. Called from the session's own handler or hook, it takes
        effect when that returns, with its changes kept and sent; called from anywhere else, at once. If the session is
        still being created, its visitor is refused and may read `reason`.
        """
        check_thread()
        self._host.end(Ending(kind="destroyed", reason=reason))

    async def wait_destroyed(self) -> None:
        """Wait until nothing of the session runs any more, its destroyed hooks included. Safe to cancel.

        Raises:
            DeadlockError: the session's end waits for the caller.
        """
        await self._host.wait_ended()

    @property
    def restarts(self) -> int:
        """How often the session has been restarted by its application's failure policy.

        Counted when the new document is shown: `modify_document` still sees the number of those before.
        """
        return self._host.recovery.restarts

    @property
    def last_incident(self) -> Incident | None:
        """The last failure of the session's code, as it was reported; None if there was none.

        In a restarted session, `modify_document` can tell from it what happened.
        """
        return self._host.recovery.last_incident

    @property
    def story(self) -> tuple[StoryEntry, ...]:
        """What happened to the session lately, the oldest first: messages, patches, callbacks, hooks, connections.

        At most the last `ServerOptions.story_length` entries; empty if that is 0, the default. It can still be read
        after the session's end.
        """
        return () if self._host.story is None else self._host.story.entries

    def statistics(self) -> MailboxStatistics:
        """The state of the session's mailbox now."""
        return self._host.ref.statistics()

    def __repr__(self) -> str:
        state = " destroyed" if self.destroyed else ""
        return f"<SessionContext {self._host.name}{state}>"


@final
class Document:
    """One session's document. Only its holder may touch `data`; any task may add and remove callbacks.

    The session's handlers, hooks and callbacks hold it, and so does a borrower, by `locked_document()`. Tasks in
    nurseries that these open hold it too, and share the transaction: it is kept and sent when the handler returns, or
    rolled back when it raises or is cancelled.
    """

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def data(self) -> dict[str, Any]:
        """The document's content: plain, nested dict, list, str, int, float, bool and None.

        Change it in place, with any method of dict and list; each change becomes an operation of a JSON Patch (RFC
        6902). A container that you put in is copied. Assigning to `data` replaces all of it.

        Raises:
            DocumentNotHeld: the current task doesn't hold the document.
            InvalidValue: (at a change) JSON can't carry the value; nothing has changed.
        """
        self._host.custody.check()
        return self._host.working.root

    @data.setter
    def data(self, value: dict[str, Any]) -> None:
        self._host.custody.check()
        self._host.working.replace(value)

    @property
    def revision(self) -> int:
        """Rises by one with each kept transaction that changed something, and with a restart; 0 at first.

        Any task may read it.
        """
        return self._host.stored.revision

    @property
    def session_context(self) -> SessionContext:
        """The session that this document belongs to."""
        return self._host.context

    @property
    def connection(self) -> ConnectionContext | None:
        """Whose message or edit is being handled; None while the server's own code runs, as callbacks and hooks do."""
        return self._host.connection_in_hand

    def commit(self) -> None:
        """Keep and send what has changed since the transaction began, or since the last commit.

        For long handlers, `async` or in threads, that show their progress. What is committed stays, even if the handler
        raises later.

        Raises:
            DocumentNotHeld: the current task doesn't hold the document.
            InvalidValue: the document would be larger than allowed; nothing was kept by this call.
        """
        self._host.custody.commit()

    def add_next_tick_callback(self, func: Callable[..., Any], *args: Any, thread: bool = False) -> CallbackHandle:
        """Call `func(*args)` once, after whatever is queued at the session now; any task may call this.

        The function may be plain or `async`. It holds the document and is a transaction, like a handler: if it raises,
        that is reported, and its changes are rolled back. After the session's end nothing is called. With `thread`, or
        if it is marked `@in_thread`, a plain function runs in a worker thread; the same holds for every adder.

        Raises:
            MailboxFull: 1,000 next ticks wait already; it was not added.
        """
        check_thread()
        return self._host.callbacks.add_next_tick(self._prepared(func, thread), args)

    add_callback = add_next_tick_callback

    def add_periodic_callback(
        self, func: Callable[..., Any], *args: Any, seconds: float, thread: bool = False
    ) -> CallbackHandle:
        """Call `func(*args)` every `seconds` seconds, for the first time after that long.

        Calls never overlap; ticks that were missed meanwhile are skipped. After a failure, which is reported, it goes
        on. There may be any number of them. Otherwise as `add_next_tick_callback()`.

        Raises:
            TypeError: the function can't be called with `args`.
            ValueError: `seconds` isn't a finite number above 0.
        """
        check_thread()
        return self._host.callbacks.add_periodic(self._prepared(func, thread), args, seconds)

    def add_timeout_callback(
        self, func: Callable[..., Any], *args: Any, seconds: float, thread: bool = False
    ) -> CallbackHandle:
        """Call `func(*args)` once, `seconds` seconds from now. Otherwise as `add_next_tick_callback()`.

        Raises:
            TypeError: the function can't be called with `args`.
            ValueError: `seconds` is not a finite number, at least 0.
        """
        check_thread()
        return self._host.callbacks.add_timeout(self._prepared(func, thread), args, seconds)

    def on_change(self, path: str, func: Callable[[Document, Change], Any], *, thread: bool = False) -> CallbackHandle:
        """Call `func(doc, change)` after each kept transaction that changed the place, or something in or above it.

        `path` is a JSON Pointer (RFC 6901): "/notes", or "" for everything. It names one place and can't be a pattern.
        An index names a position and not an item, so listen to the list. The function may be plain or `async`. Each
        call is a transaction in a turn of its own, after whatever is queued at the session by then. A listener doesn't
        hear of its own changes, but other listeners do; none hears of the building of the document. If the function
        fails, that is reported, and it still hears of later changes. Any task may call this; `remove_callback()` ends
        it.

        Raises:
            TypeError: the function can't be called with a document and a change.
            ValueError: the path is not a JSON Pointer, or has a `*`.
        """
        check_thread()
        return self._host.change_listeners.add(path, self._prepared(func, thread), self)

    def allow_edits(self, pattern: str, func: Judge | None = None, *, thread: bool = False) -> None:
        """Let clients edit what `pattern` names, from now on; everything else stays read-only to them.

        The pattern is a JSON Pointer (RFC 6901) in which `*` stands for any one step. Clients may set the place that it
        names, and make any edit inside it. They may insert and remove at the place itself only if the pattern ends with
        `*`: "/notes" may be set; items of "/todo/*" may be inserted, set and removed.

        `func(doc, edit)`, plain or `async`, is asked about each such edit, in its transaction and before it is done. It
        returns None to accept it as it is, or `attrs.evolve(edit, value=…)` to put another value in, or raises
        `Rejected(text)` to refuse it with that text. `edit` is untrusted input; see `Edit`. If several patterns allow
        an edit, the longest pattern's function is asked; among equally long ones, the one that was added last. Calling
        this again with the same pattern replaces the function. It takes effect at once and is not part of a
        transaction; any task may call it.

        Raises:
            TypeError: the function can't be called with a document and an edit.
            ValueError: the pattern is not a JSON Pointer, or has `*` as a part of a step, such as `**`.
        """
        check_thread()
        judge = None if func is None else self._prepared(func, thread)
        self._host.edit_rules.allow(pattern, judge)

    def forbid_edits(self, pattern: str) -> None:
        """Undo `allow_edits()` for this pattern, at once: edits that already wait for their turn are refused too.

        Raises:
            ValueError: it was not allowed.
        """
        check_thread()
        self._host.edit_rules.forbid(pattern)

    def remove_callback(self, handle: CallbackHandle) -> None:
        """Remove a callback: it never fires again, even if its tick was queued. Doesn't cancel one in hand.

        Raises:
            ValueError: it was removed already, has finished, or is another document's.
        """
        check_thread()
        self._host.callbacks.remove(handle)

    def _prepared(self, func: Callable[..., Any], thread: bool) -> Callable[..., Any]:
        """What an adder hands on in place of `func`."""
        return self._host.runtime.prepare(func, self._host.run_in_thread, thread=thread)

    def __repr__(self) -> str:
        return f"<Document of {self._host.name} at revision {self._host.stored.revision}>"

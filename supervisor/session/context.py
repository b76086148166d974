"""What authors hold of a session: its context, and its document. Both are faces; the actor behind them does the work.

They stand in one file because each leads to the other: `session_context.document`, `doc.session_context`.
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
    """One session, as hooks, producers and handlers meet it. It may be kept; it outlives its session and then says so.

    All methods must be called in the server's thread; from another one go through
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
        """The document. Its `data` is only for who holds it; its callbacks may be added by anybody."""
        return self._host.document

    @property
    def connections(self) -> tuple[ConnectionContext, ...]:
        """Who is attached now: one for each tab, and for each other client; values, which don't change afterwards.

        A client that has come back is here twice for as long as its older connection isn't known to be lost.
        """
        return self._host.connection_contexts

    @property
    def destroyed(self) -> bool:
        """Whether the session is being destroyed, or was: it handles no message any more."""
        return self._host.has_ended

    async def tell(self, message: object, *, timeout: float = TIMEOUT) -> None:
        """Send a message; waits for room in the mailbox only, never for its handling: OTP's cast, Pekko's tell.

        To a session that has ended, or ends meanwhile, it is a dead letter, as in Pekko: counted, and no error. Safe to
        cancel: then it was not sent. Messages of one sender are handled in the order in which they were sent.

        Raises:
            trio.TooSlowError: there was no room for `timeout` seconds; the message was not sent.
            MailboxFull: there is no room, and messages of this type aren't waited for (`when_full=` of `@receives`).
            DeadlockError: the mailbox is full, and the session waits for the one that sends.
            TypeError: the app has no handler for messages of this type; nothing was sent.
            Exception: whatever the type's `conflate` function raised; nothing was sent.
        """
        await self._host.ref.tell(message, timeout=timeout)

    def tell_nowait(self, message: object) -> None:
        """Send a message and don't wait at all; a plain call.

        To a session that has ended it is a dead letter: counted, and no error.

        Raises:
            MailboxFull: there is no room; the message was not sent.
            TypeError: the app has no handler for messages of this type; nothing was sent.
            Exception: whatever the type's `conflate` function raised; nothing was sent.
        """
        self._host.ref.tell_nowait(message)

    async def ask(self, message: object, *, timeout: float = TIMEOUT) -> Any:
        """Send a message and wait for what its handler returns, which may be any object: OTP's call, Pekko's ask.

        On cancellation, or after `timeout` seconds, a message that is still queued is withdrawn. A handler in hand is
        cancelled, and the ask waits until it has unwound: its changes are rolled back, but for what a `doc.commit()`
        kept. If the handler finishes all the same, the ask returns its result.

        Raises:
            Exception: whatever the handler raised; `Rejected` if it said no. Both are the handler's.
            HandlerFailed: it raised what would end the caller's task, as `SystemExit`; the log has it.
            SessionGone: the session has ended, or ends before it answers; nobody's fault.
            trio.TooSlowError: the answer took longer than `timeout` seconds.
            MailboxFull: there was no room, or a newer message got this one's place, and messages of this type aren't
                waited for (`when_full=` of `@receives`); the handler was not called.
            DeadlockError: the session waits for the one that asks.
            TypeError: the app has no handler for messages of this type; nothing was sent.
        """
        return await self._host.ref.ask(message, timeout=timeout)

    def locked_document(self, *, timeout: float = TIMEOUT) -> AbstractAsyncContextManager[Document]:
        """Borrow the document: `async with session_context.locked_document() as doc: ...`.

        The session handles nothing else meanwhile. What the block changed is kept and sent when it is left; leaving it
        by an exception, or cancelled, rolls back. `timeout` (seconds) bounds the wait for the document; holding it has
        30 seconds of its own, after which the block is cancelled. If the session is destroyed while the borrow waits or
        is in hand, it gets its turn all the same, within 5 seconds; its changes then go to nobody.

        Raises:
            trio.TooSlowError: the wait took longer than `timeout`, or the block longer than 30 seconds.
            SessionGone: the session had ended, or ended and the 5 seconds were over.
            DeadlockError: the session waits for the one that borrows, or this task holds the document already.
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

        It doesn't hold the document: it sends messages, or borrows. It is cancelled when the session is destroyed, and
        a failure in it is reported and ends nothing else. After the session's end this does nothing.
        """
        check_thread()
        self._host.start_background(self._host.runtime.prepare(func, None), args)

    def destroy(self, *, reason: str = "") -> None:
        """Destroy the session: a plain call that begins the end and doesn't wait for it. May be called again.

        Handlers in hand are cancelled and rolled back, timers and tasks end, connections are closed with `reason`,
        borrowers get their turn, then the destroyed hooks run. From the session's own handler or hook it takes effect
        when that returns, with its changes kept and sent; called by somebody else meanwhile, it takes effect at once. A
        session that is still being created is refused to its visitor, who may read `reason`: by its own hook's call
        when the hook returns, by anybody else's at once.
        """
        check_thread()
        self._host.end(Ending(kind="destroyed", reason=reason))

    async def wait_destroyed(self) -> None:
        """Wait until nothing of the session runs any more, its destroyed hooks included. Safe to cancel.

        Raises:
            DeadlockError: the session's end waits for the one that calls this.
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

        So `modify_document` can tell, in a restarted session, what happened.
        """
        return self._host.recovery.last_incident

    @property
    def story(self) -> tuple[StoryEntry, ...]:
        """What happened to the session lately, the oldest first: messages, patches, callbacks, hooks, connections.

        Its last entries, `ServerOptions.story_length` of them at most; empty if that is 0, as it is by default. It can
        be read after the session's end too.
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
    """One session's document. Only who holds it may touch `data`; adding and removing callbacks is free to all.

    The session's handlers, hooks and callbacks hold it, and so does who borrowed it with `locked_document()`; tasks in
    nurseries that those open hold it too. All of them share one transaction: it is kept and sent when the handler
    returns, or rolled back when it raises or is cancelled.
    """

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def data(self) -> dict[str, Any]:
        """The document's content: plain, nested dict, list, str, int, float, bool and None.

        Change it in place, with every method that dict and list have; each change becomes an operation of a JSON Patch
        (RFC 6902). A container that is put in is copied. Assigning to `data` replaces all of it.

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

        Anybody may read it.
        """
        return self._host.stored.revision

    @property
    def session_context(self) -> SessionContext:
        """The session that this document belongs to."""
        return self._host.context

    @property
    def connection(self) -> ConnectionContext | None:
        """Whose message or edit is being handled; None while the server's own code works, as callbacks and hooks."""
        return self._host.connection_in_hand

    def commit(self) -> None:
        """Keep and send what has changed since the transaction began, or since the last commit.

        For long `async` handlers, and those in threads, that show their progress. What is committed stays, also if the
        handler raises later.

        Raises:
            DocumentNotHeld: the current task doesn't hold the document.
            InvalidValue: the document would be larger than it may be; nothing was kept yet.
        """
        self._host.custody.commit()

    def add_next_tick_callback(self, func: Callable[..., Any], *args: Any, thread: bool = False) -> CallbackHandle:
        """Call `func(*args)` once, after what is queued at the session now; any task may call this.

        The function may be plain or `async`; it holds the document and is a transaction, like a handler: if it raises,
        that is reported, and its changes are rolled back. After the session's end nothing is called. With `thread`, or
        marked `@in_thread`, a plain function runs in a worker thread; so it does with every adder.

        Raises:
            MailboxFull: 1,000 next ticks wait already; it was not added.
        """
        check_thread()
        return self._host.callbacks.add_next_tick(self._prepared(func, thread), args)

    add_callback = add_next_tick_callback

    def add_periodic_callback(
        self, func: Callable[..., Any], *args: Any, seconds: float, thread: bool = False
    ) -> CallbackHandle:
        """Call `func(*args)` every `seconds` seconds, first after that long.

        Calls never overlap; ticks that were missed meanwhile are skipped. Else as `add_next_tick_callback()`, but that
        there may be any number of them. It goes on after a failure, which is reported.

        Raises:
            ValueError: `seconds` isn't a finite number above 0.
        """
        check_thread()
        return self._host.callbacks.add_periodic(self._prepared(func, thread), args, seconds)

    def add_timeout_callback(
        self, func: Callable[..., Any], *args: Any, seconds: float, thread: bool = False
    ) -> CallbackHandle:
        """Call `func(*args)` once, `seconds` seconds from now. Else as `add_next_tick_callback()`.

        Raises:
            ValueError: `seconds` isn't a finite number from 0 on.
        """
        check_thread()
        return self._host.callbacks.add_timeout(self._prepared(func, thread), args, seconds)

    def on_change(self, path: str, func: Callable[[Document, Change], Any], *, thread: bool = False) -> CallbackHandle:
        """Call `func(doc, change)` after each kept transaction that changed the place, something in it, or above it.

        `path` is a JSON Pointer (RFC 6901): "/notes", or "" for everything. It is no pattern, and an index names a
        place and not an item, so listen to the list. The function may be plain or `async`; each call is a transaction in a turn of its own, after
        what is queued at the session by then. What it changes itself isn't told to it, but it is told to others; the
        building of the document is told to nobody. Any task may call this; `remove_callback()` ends it. A failure in it
        is reported, and it goes on.

        Raises:
            ValueError: the path is no JSON Pointer, or has a `*`.
        """
        check_thread()
        return self._host.change_listeners.add(path, self._prepared(func, thread), self)

    def allow_edits(self, pattern: str, func: Judge | None = None, *, thread: bool = False) -> None:
        """Let clients edit what `pattern` names, from now on; everything else stays read-only to them.

        The pattern is a JSON Pointer (RFC 6901) in which `*` stands for any one step. It allows to set the place that
        it names, and all edits inside of that; to insert and to remove at the place itself only if it ends with `*`:
        "/notes" may be set, "/todo/*" may be put in, set and taken out.

        `func(doc, edit)`, plain or `async`, is asked about each such edit, in its transaction and before it is done. It
        returns None to take it as it is, or `attrs.evolve(edit, value=…)` to put another value in, or raises
        `Rejected(text)` to refuse it with that text. `edit` is untrusted input; see `Edit`. Where several patterns
        allow an edit, the longest one's function is asked, of equally long ones that added last. Called again with the
        same pattern, this replaces the function. It takes effect at once and is no part of a transaction; any task may
        call it.

        Raises:
            ValueError: the pattern is no JSON Pointer, or has `*` as a part of a step, such as `**`.
        """
        check_thread()
        judge = None if func is None else self._prepared(func, thread)
        self._host.edit_rules.allow(pattern, judge)

    def forbid_edits(self, pattern: str) -> None:
        """Take back `allow_edits()` of this pattern: it takes effect at once, on edits too that wait for their turn.

        Raises:
            ValueError: it was not allowed.
        """
        check_thread()
        self._host.edit_rules.forbid(pattern)

    def remove_callback(self, handle: CallbackHandle) -> None:
        """Remove a callback: it never fires after this, also if its tick was queued. Doesn't cancel one in hand.

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

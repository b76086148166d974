"""What authors hold of an application: its context, and the sequence of its sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Protocol, final, overload

from supervisor.actor.base import Runtime
from supervisor.actor.callbacks import CallbackHandle, Callbacks
from supervisor.actor.guard import check_thread
from supervisor.actor.restart import Backoff, RestartKind
from supervisor.actor.stopping import Stopping
from supervisor.actor.story import Story, StoryEntry
from supervisor.actor.waiting import WaitStatistics
from supervisor.application.broadcast import TIMEOUT, BroadcastReport, UpdateReport
from supervisor.application.producer_life import ProducerLife
from supervisor.application.producers import Producer
from supervisor.application.statistics import ApplicationStatistics
from supervisor.limits import check_whether
from supervisor.session.connection import ConnectionContext
from supervisor.session.context import SessionContext


class Host(Protocol):
    """What the context needs of the application's actor."""

    application: str
    runtime: Runtime
    callbacks: Callbacks
    # Whether clients may know who is attached to the whole application.
    shares_presence: bool
    story: Story | None

    def snapshot(self) -> tuple[SessionContext, ...]:
        """The live sessions."""

    def connections(self) -> tuple[ConnectionContext, ...]:
        """See `ApplicationContext.connections`."""

    def waits(self) -> tuple[WaitStatistics, ...]:
        """See `ApplicationContext.waits`."""

    def destroy_session(self, id: str) -> bool:
        """See `ApplicationContext.destroy_session`."""

    def add_producer(
        self, func: Callable[..., Any], args: tuple[Any, ...], *, life: ProducerLife, name: str | None, escalates: bool
    ) -> Producer:
        """See `ApplicationContext.add_callback`."""

    def remove_producer(self, producer: Producer) -> None:
        """See `ApplicationContext.remove_callback`."""

    def look_at_stopping(self) -> Stopping:
        """See `ApplicationContext.stopping`."""

    async def run_in_thread(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a function in a worker thread."""

    async def broadcast(self, message: object, timeout: float) -> BroadcastReport:
        """See `ApplicationContext.broadcast`."""

    async def update_sessions(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> UpdateReport:
        """See `ApplicationContext.update_sessions`."""

    def statistics(self) -> ApplicationStatistics:
        """See `ApplicationContext.statistics`."""

    def call_from_thread(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """See `ApplicationContext.call_from_thread`."""


@final
class Sessions(Sequence[SessionContext]):
    """The sessions that were live when this was taken: a sequence that never changes.

    Iterating it, also by `reversed()`, skips the sessions that have ended by then. So a loop that awaits between its
    steps meets no session that is gone, whoever comes and leaves meanwhile. `len()`, indices, slices and `in` speak of
    the moment when the sequence was taken: the loop may run fewer times than `len()` says, and a context got by index
    may be `destroyed`.
    """

    __slots__ = ("_contexts",)

    def __init__(self, contexts: tuple[SessionContext, ...]) -> None:
        self._contexts = contexts

    @overload
    def __getitem__(self, index: int) -> SessionContext: ...
    @overload
    def __getitem__(self, index: slice) -> Sessions: ...
    def __getitem__(self, index: int | slice) -> SessionContext | Sessions:
        return Sessions(self._contexts[index]) if isinstance(index, slice) else self._contexts[index]

    def __len__(self) -> int:
        return len(self._contexts)

    def __iter__(self) -> Iterator[SessionContext]:
        return (context for context in self._contexts if not context.destroyed)

    def __reversed__(self) -> Iterator[SessionContext]:
        return (context for context in reversed(self._contexts) if not context.destroyed)

    def __contains__(self, context: object) -> bool:
        return context in self._contexts

    def __repr__(self) -> str:
        return f"<Sessions: {len(self)}>"


@final
class ApplicationContext:
    """One application, as its hooks and producers see it.

    Its methods belong to the server's thread, except `call_from_thread()`.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.state = SimpleNamespace()
        """The app's own things, for as long as the application lives: `app_context.state.feed = ...`."""

    @property
    def name(self) -> str:
        """The application's name: the last part of its URL."""
        return self._host.application

    @property
    def sessions(self) -> Sessions:
        """The sessions that are live now: from when the created hooks accepted them until their end begins.

        A message to a session whose document is not built yet waits until it is. Empty while the unload hooks run.
        """
        return Sessions(self._host.snapshot())

    @property
    def connections(self) -> tuple[ConnectionContext, ...]:
        """Who is attached to any of the live sessions now. See `SessionContext.connections`."""
        return self._host.connections()

    @property
    def waits(self) -> tuple[WaitStatistics, ...]:
        """Who waits for whom now, since when and until when: the waits in which a session of the app takes part.

        These are asks, borrows, tells and broadcasts without room, `update_sessions()` and `wait_destroyed()`, also by
        tasks that belong to no session, and sessions that wait for the return of their document or for their turn to
        build it. A wait for a group names those that are still waited for.
        """
        return self._host.waits()

    def share_presence(self) -> None:
        """Let clients know who is attached to any session of the application: ids, names and metadata.

        Without it they can only know who is attached to their own session. Call it in `on_application_load`: a client
        that asked earlier was told that nobody is there, and hears nothing more.
        """
        check_thread()
        self._host.shares_presence = True

    @property
    def stopping(self) -> bool:
        """Whether the application is asked to stop, because the server goes down or new code takes its place.

        The producers of an app that has looked at this, or waits in `wait_stopping()`, get 2 seconds to return by
        themselves before they are cancelled. Those of an app that never looks are cancelled at once. Sessions go on
        meanwhile, so a producer may still send them what it has.
        """
        check_thread()
        return self._host.look_at_stopping().has_begun

    async def wait_stopping(self) -> None:
        """Wait until the application is asked to stop. See `stopping`. Safe to cancel."""
        await self._host.look_at_stopping().wait()

    def add_callback(
        self,
        func: Callable[..., Any],
        *args: Any,
        restart: RestartKind = "transient",
        max_restarts: int | None = None,
        within: float = 60.0,
        backoff: Backoff | None = None,
        name: str | None = None,
        escalate: bool = False,
        thread: bool = False,
    ) -> Producer:
        """Run `func(*args)` in a task of its own, for as long as it likes: a producer. Waits for nothing.

        It starts when all load hooks are done, or at once if they are, and is cancelled when the application ends. If
        it raises, that is reported, `on_callback_failed` is called, and it is called again after 0.5 s, then 1 s,
        doubling up to 60 s, each up to a tenth longer or shorter by chance; once it has run for 60 s, pauses begin
        with 0.5 s again. When it returns, it is done. A producer that fails for good stops no session and no other
        producer; the health page says `degraded` until it is removed.

        Args:
            func: plain or `async`; a plain one must return soon, unless it runs in a thread.
            args: what it is called with.
            restart: when it is called again: `permanent`, always; `transient`, if it raised; `temporary`, never: then
                it has failed for good as soon as it raises.
            max_restarts: how many restarts are allowed within `within` seconds; with one more it has failed for good.
                None for any number.
            within: the period in which restarts are counted, in seconds; after a run that long, pauses begin with the
                first one again.
            backoff: the pauses before it is called again; by default `Backoff()`.
            name: what logs and statistics call it; by default the function's name.
            escalate: whether the application ends, and no other one, when this producer has failed for good.
            thread: whether a plain function runs in a worker thread, as one marked `@in_thread` does: it reaches the
                server by `call_from_thread()`, which raises `ActorGone` once the producer was removed.

        Raises:
            TypeError: the function can't be called with `args`, or has a yield in it; the name or the backoff has the
                wrong type; or `escalate` or `thread` is neither True nor False.
            ValueError: another argument is out of range.
        """
        check_thread()
        check_whether("escalate", escalate)
        life = ProducerLife(restart=restart, max_restarts=max_restarts, within=within, backoff=backoff)
        func = self._prepared(func, thread)
        return self._host.add_producer(func, args, life=life, name=name, escalates=escalate)

    def add_periodic_callback(
        self, func: Callable[..., Any], *args: Any, seconds: float, thread: bool = False
    ) -> CallbackHandle:
        """Call `func(*args)` every `seconds` seconds, in the application's callback task: one callback at a time.

        Calls never overlap, and missed ticks are skipped. Times count from the end of the load hooks. What the function
        raises is reported, and it is called again the next time. It holds no document. With `thread`, or if it is
        marked `@in_thread`, a plain function runs in a worker thread.

        Raises:
            TypeError: the function can't be called with `args`.
            ValueError: `seconds` isn't a finite number above 0.
        """
        check_thread()
        return self._host.callbacks.add_periodic(self._prepared(func, thread), args, seconds)

    def add_timeout_callback(
        self, func: Callable[..., Any], *args: Any, seconds: float, thread: bool = False
    ) -> CallbackHandle:
        """Call `func(*args)` once after `seconds` seconds. See `add_periodic_callback()`.

        Raises:
            TypeError: the function can't be called with `args`.
            ValueError: `seconds` is not a finite number, at least 0.
        """
        check_thread()
        return self._host.callbacks.add_timeout(self._prepared(func, thread), args, seconds)

    def add_next_tick_callback(self, func: Callable[..., Any], *args: Any, thread: bool = False) -> CallbackHandle:
        """Call `func(*args)` once, soon, after the callbacks that wait already. See `add_periodic_callback()`.

        Raises:
            MailboxFull: 1,000 next ticks wait already; it was not added.
        """
        check_thread()
        return self._host.callbacks.add_next_tick(self._prepared(func, thread), args)

    def remove_callback(self, handle: CallbackHandle | Producer) -> None:
        """Remove what an adder returned: it never fires again. A producer is cancelled, or forgotten if it has failed.

        Raises:
            ValueError: it was removed already, has finished, or is another's.
        """
        check_thread()
        if isinstance(handle, Producer):
            self._host.remove_producer(handle)
        else:
            self._host.callbacks.remove(handle)

    async def broadcast(self, message: object, *, timeout: float = TIMEOUT) -> BroadcastReport:
        """Send one message to every session; wait for room only, at most `timeout` seconds for all together.

        A session without room by then has lagged: it did not get the message, and the next broadcast doesn't wait for
        it. Senders don't wait at all for types with another `when_full=` of `@receives`. The report tells what became
        of each session; none of that is raised. If cancelled, this withdraws what waits for room; what was accepted by
        then stays accepted. All sessions get the same object: don't change it afterwards.

        Raises:
            TypeError: the app has no handler for messages of this type; nothing was sent.
            Exception: whatever the type's `conflate` function raised; nothing was sent.
        """
        return await self._host.broadcast(message, timeout)

    async def update_sessions(self, func: Callable[..., Any], *args: Any, timeout: float = TIMEOUT) -> UpdateReport:
        """Run `func(doc, *args)` in every session, as a transaction of its own, and wait until all have.

        The function may be plain or `async`. At the deadline (`timeout` seconds for all together), or on cancellation,
        calls that are queued are withdrawn, and those in hand are cancelled and rolled back; these sessions have
        lagged, and the next update includes them only if they are idle then. What the function raises in one session
        is logged and stands in the report; it stops no other session.

        Raises:
            DeadlockError: called from a session's own handler, hook or borrow; no session was touched.
        """
        return await self._host.update_sessions(func, args, timeout)

    def destroy_session(self, id: str) -> bool:
        """Destroy the session with this id, without waiting; False if there is none.

        One that is still being created ends too, and is refused to its visitor. See `SessionContext.destroy()`.
        """
        check_thread()
        return self._host.destroy_session(id)

    def call_from_thread(self, func: Callable[..., Any], *args: Any, timeout: float = 30.0) -> Any:
        """From any other thread: call `func(*args)` in the server's thread, and return what it returns.

        This is the one door for threads: `app_context.call_from_thread(session_context.tell, message)`. The function
        may be plain or `async`, and runs in the application's scope. The call blocks the calling thread, not the
        server.

        Raises:
            Exception: whatever the function raised.
            HandlerFailed: it raised something that would end the thread, such as `SystemExit`; the log has it.
            TimeoutError: it took longer than `timeout` seconds; it was cancelled, and what it raises then is logged.
            ActorGone: the application has not loaded yet, has ended, or ended meanwhile.
            RuntimeError: called in the server's own thread, where you can call the function yourself.
            ValueError: `timeout` is not a number of seconds, which may be infinite; nothing was called.
        """
        return self._host.call_from_thread(func, args, timeout)

    @property
    def story(self) -> tuple[StoryEntry, ...]:
        """What happened to the application lately, the oldest first: load hooks, producers, callbacks, broadcasts.

        See `SessionContext.story`.
        """
        return () if self._host.story is None else self._host.story.entries

    def statistics(self) -> ApplicationStatistics:
        """The state of the application now: its status, sessions, dead letters, producers and callbacks."""
        return self._host.statistics()

    def _prepared(self, func: Callable[..., Any], thread: bool) -> Callable[..., Any]:
        """What an adder hands on in place of `func`."""
        return self._host.runtime.prepare(func, self._host.run_in_thread, thread=thread)

    def __repr__(self) -> str:
        return f"<ApplicationContext {self.name} sessions={len(self.sessions)}>"

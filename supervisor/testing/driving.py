"""A session's work, done step by step by whoever calls: entries of its mailbox, and timers as time is moved on.

Essay: plain and asynchronous. The same steps serve both: a generator handles entry after entry, and yields what must be
awaited. A plain call can't await, so what would have to be is refused before any of it has run: the entry is rolled
back, as if its handler had said no, and the caller is told which call can wait. One entry is ours and a coroutine all
the same: the turn in which a session does something about a failure. It mostly waits for nothing, and then a plain call
runs it to its end; where it may wait, for a restart or for hooks that are `async`, it stays in the mailbox, and the
next call that can wait does it first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, final

import trio
import trio.testing

from supervisor.actor.entry import Doer, Entry, Stop
from supervisor.actor.in_thread import is_marked
from supervisor.errors import HandlerFailed, MailboxFull, Rejected
from supervisor.session.actor import SessionActor
from supervisor.session.restarting import RecoveryTurn
from supervisor.testing.surroundings import Surroundings

MAX_ENTRIES = 10_000
"""Entries that one moment may bring: ten times as many as wait at most. More come only of code that causes itself."""


@final
class HandTime:
    """A session's time: that of the run, and what it was moved on by hand.

    A clock that can be moved is moved itself, so that all code sees it; of another, the session is ahead.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds."""
        return trio.current_time() + self._ahead

    def move_to(self, at: float) -> None:
        """Go on to that time, unless it has passed."""
        seconds = at - self.now()
        clock = trio.lowlevel.current_clock()
        if seconds <= 0:
            return
        if isinstance(clock, trio.testing.MockClock):
            clock.jump(seconds)
        else:
            self._ahead += seconds


@final
class Waits(Rejected):
    """What a plain call was to do must be awaited: nobody's failure in the app."""


@final
class Driven(Entry):
    """An entry that is handled by hand: it keeps what became of it.

    Nobody else has it, and it is under no policy: so it is never cancelled alone, and gives its place to no other.

    Args:
        entry: what it stands for.
        call: the method that handles it, for errors.
        may_wait: whether what it starts may be awaited.
    """

    def __init__(self, entry: Entry, call: str, *, may_wait: bool) -> None:
        self.message = getattr(entry, "message", None)
        self.is_over = False
        self.is_done = False
        """Whether it succeeded."""
        self.result: object = None
        self.error: BaseException | None = None
        self._entry = entry
        self._call = call
        self._may_wait = may_wait

    def start(self, actor: Doer) -> object:
        """See `Entry.start`."""
        result = self._entry.start(actor)
        if self._may_wait or not hasattr(result, "__await__"):
            return result
        if hasattr(result, "close"):
            result.close()
        # What it would have awaited goes with it, and counts as this call's. From Python 3.12 on, closing what has not
        # begun frees nothing, and the traceback of what is raised would keep it for a later call to be blamed.
        del result
        raise Waits(
            f"{self.describe()} is asynchronous, so none of its changes were kept; write"
            f" `await session.{self._call}_async(…)`"
        )

    def check(self, result: object) -> object:
        """See `Entry.check`."""
        self.result = self._entry.check(result)
        return self.result

    def succeeded(self, result: object) -> None:
        """See `Entry.succeeded`."""
        self.is_over = self.is_done = True
        self._entry.succeeded(result)

    def failed(self, error: BaseException, incident: str | None) -> None:
        """See `Entry.failed`."""
        self.is_over, self.error = True, error
        if not isinstance(error, Exception):  # as an asker gets it: it would end the test's task, and more
            self.error = HandlerFailed(f"{error!r} ended {self.describe()} (incident {incident})")
            self.error.__cause__ = error
        self._entry.failed(error, incident)

    def dropped(self) -> None:
        """See `Entry.dropped`."""
        self.is_over = True
        self._entry.dropped()

    def describe(self) -> str:
        """See `Entry.describe`."""
        return self._entry.describe()


@final
class Driver:
    """Does one session's work in the task that calls, one call at a time."""

    def __init__(self, session: SessionActor, surroundings: Surroundings, time: HandTime) -> None:
        self._session = session
        self._time = time
        self._timers = surroundings.runtime.timers
        self._incidents = surroundings.seen.incidents
        hooks = [each.find_hook("on_session_failed") for each in surroundings.definition.handlers]
        # Whether what follows a failure waits in any case.
        self._failed_hooks_wait = any(inspect.iscoroutinefunction(hook) or is_marked(hook) for hook in hooks)
        # The call that goes on.
        self._call: str | None = None
        self.raised = 0
        """Incidents that some call has raised, or had the chance to."""

    def handle(self, entry: Entry, call: str) -> object:
        """Handle what waits, up to this entry, and it; returns its result, or raises what failed."""
        driven = Driven(entry, call, may_wait=False)
        try:
            self._do(self._up_to(driven, call, may_wait=False), call)
        finally:
            self._give_up(driven)
        return self._outcome(driven)

    async def handle_async(self, entry: Entry, call: str) -> object:
        """The same; what is asynchronous is awaited. Cancelled, what is in hand is rolled back."""
        driven = Driven(entry, call, may_wait=True)
        try:
            await self._do_async(self._up_to(driven, call, may_wait=True), call)
        finally:
            self._give_up(driven)
        return self._outcome(driven)

    def _give_up(self, driven: Driven) -> None:
        """Take it back if it had no turn: else it would be done by a later call."""
        if not driven.is_over and self._session.mailbox.withdraw(driven):
            driven.dropped()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass: ring what is due, in order, and handle all that comes of it."""
        self._do(self._pass(seconds, may_wait=False), "advance")
        self._outcome(None)

    async def advance_async(self, seconds: float) -> None:
        """The same; what is asynchronous is awaited."""
        await self._do_async(self._pass(seconds, may_wait=True), "advance")
        self._outcome(None)

    def _do(self, steps: Iterator[Any], call: str) -> None:
        with self._calling(call), self._session.at_work(), self._session.catching():
            try:
                for _ in steps:
                    raise AssertionError("a plain call awaits nothing")
            except Waits as error:
                del self._incidents[self.raised :]  # what it had not awaited was never to be
                raise TypeError(str(error)) from None

    async def _do_async(self, steps: Iterator[Any], call: str) -> None:
        failure: Exception | None = None
        with self._calling(call):
            async with trio.open_nursery() as nursery:  # the session's end cancels it, and so what is in hand
                with self._session.at_work(nursery), self._session.catching():
                    try:
                        for waiting in steps:
                            await waiting
                    except Exception as error:  # raised outside, where no nursery wraps it
                        failure = error
        if failure is not None:
            raise failure

    @contextmanager
    def _calling(self, call: str) -> Iterator[None]:
        if not trio.lowlevel.in_trio_run():
            raise RuntimeError(f"session.{call}() works only inside the trio run that opened the session")
        if self._call is not None:
            raise RuntimeError(
                f"session.{call}() was called while session.{self._call}() is running, and a session does one thing at"
                " a time; from its own code send it a message: session_context.tell_nowait(message)"
            )
        if self._session.has_ended:
            raise self._session.gone()
        self._call, self.raised = call, len(self._incidents)
        try:
            yield
        finally:
            self._call = None

    # The steps.

    def _up_to(self, driven: Driven, call: str, *, may_wait: bool) -> Iterator[Any]:
        self._timers.ring_due(self._time.now())
        if self._session.has_ended:  # by that
            return
        if not self._session.mailbox.put(driven):
            raise MailboxFull(f"the mailbox of {self._session} is full: let it handle what waits with advance(0)")
        yield from self._handle_until(lambda: driven.is_over, call, may_wait=may_wait)

    def _pass(self, seconds: float, *, may_wait: bool) -> Iterator[Any]:
        if not seconds >= 0:  # NaN is not a number of seconds
            raise ValueError(f"seconds must be a number, at least 0, not {seconds!r}")
        mailbox, timers, time = self._session.mailbox, self._timers, self._time
        until = time.now() + seconds
        timers.ring_due(time.now())
        yield from self._handle_until(mailbox.is_empty, "advance", may_wait=may_wait)
        while timers.next_at <= until and not self._session.has_ended:
            at = timers.next_at
            time.move_to(at)
            timers.ring_due(max(at, time.now()))
            yield from self._handle_until(mailbox.is_empty, "advance", may_wait=may_wait)
        time.move_to(until)

    def _handle_until(self, is_done: Callable[[], bool], call: str, *, may_wait: bool) -> Iterator[Any]:
        """Handle entries until that is so and no lifecycle entry waits; yields what must be awaited."""
        session, mailbox = self._session, self._session.mailbox
        handled = 0
        while not is_done() or mailbox.has_system_entry:
            entry = mailbox.take()
            if entry is None or type(entry) is Stop:
                session.begin_end()  # else nothing is left of it already
                return
            if type(entry) is RecoveryTurn and not may_wait:
                if self._follows_later(entry, is_done(), call):
                    return
                continue
            if handled >= MAX_ENTRIES:
                raise RuntimeError(f"{session} never comes to rest: {entry.describe()} came after {handled:,} others")
            handled += 1
            if not may_wait and type(entry) is not Driven:
                entry = Driven(entry, call, may_wait=False)
            waiting = session.handle(entry)
            if waiting is not None:
                yield waiting
                mailbox.note_backlog()
            session.report_unawaited(entry)
            if type(entry) is Driven and isinstance(entry.error, Waits):
                raise entry.error

    def _follows_later(self, turn: RecoveryTurn, is_done: bool, call: str) -> bool:
        """Carry out what follows a failure, or put it back because it may wait: then a call that can wait is next."""
        due = self._session.recovery.due
        if not self._failed_hooks_wait and (due is None or due.directive != "restart"):
            waiting = self._session.handle(turn)
            if waiting is not None:
                _finish(waiting, call)
            return False
        self._session.mailbox.put_system(turn)
        if not is_done:
            raise RuntimeError(
                f"what follows a failure of {self._session} waits, and comes before session.{call}(): "
                "write `await session.advance_async(0)`"
            )
        return True

    def _outcome(self, driven: Driven | None) -> object:
        """Return the result, or raise what has failed; all of it at once, if several things have."""
        failed = driven.error if driven is not None else None
        errors = [incident.error for incident in self._incidents[self.raised :]]
        cause = failed.__cause__ if isinstance(failed, HandlerFailed) else failed
        errors = [error for error in errors if error is not failed and error is not cause]
        self.raised = len(self._incidents)
        if failed is not None:
            errors.insert(0, failed)
        if len(errors) > 1:
            raise BaseExceptionGroup(f"several things failed in {self._session}", errors)
        if errors:
            raise errors[0]
        if driven is None:
            return None
        if not driven.is_done:
            raise self._session.gone()
        return driven.result


def _finish(waiting: Coroutine[Any, Any, None], call: str) -> None:
    """Run a coroutine that waits for nothing to its end; what waits all the same is told that it can't."""
    error = RuntimeError(
        f"what follows a failure is no `async def` and waits all the same, which session.{call}() can't; "
        f"write `await session.{call}_async(…)`"
    )
    try:
        trap = waiting.send(None)
        while True:
            # What it waits for must forget the task, as when trio cancels a wait: else that is woken by it later.
            abort = getattr(trap, "abort_func", None)
            if abort is not None:
                abort(lambda: None)
            trap = waiting.throw(error)
    except StopIteration:
        return

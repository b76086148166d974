"""Producers: an application's background work, each a supervised task of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, final

import trio

from supervisor.actor.call_check import check_arguments, check_callback
from supervisor.actor.guard import pass_on, split_failure
from supervisor.actor.story import Story
from supervisor.application.producer_life import ProducerLife, ProducerState
from supervisor.application.statistics import ProducerStatistics
from supervisor.instruments import Incident

LONGEST_NAME = 100
"""Characters of a producer's name: that of a `partial` shows all its arguments."""


async def _tell_nobody(producer: Producer, error: BaseException) -> None:
    """No hook hears of it."""


@final
class Producer:
    """One background function of an application, called again as its policy says. Give it to `remove_callback()`.

    `app_context.add_callback()` makes it, and says what the policy is. Everything here can be read at any time.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        life: ProducerLife,
        chance: Callable[[], float],
        report: Callable[[str, BaseException, str], Incident],
        story: Story | None = None,
        name: str | None = None,
        tell: Callable[[Producer, BaseException], Awaitable[None]] = _tell_nobody,
        on_failed: Callable[[Incident], object] = lambda incident: None,
        on_over: Callable[[Producer], object] = lambda producer: None,
    ) -> None:
        """`on_failed` is called when it fails for good, `on_over` when it is over, then `tell` after each failure."""
        check_callback(func)
        check_arguments(func, args)
        if not (name is None or (isinstance(name, str) and name)):
            raise TypeError(f"a producer's name must be a str, not {name!r}")
        self._func = func
        self._args = args
        self._life = life
        self._chance = chance
        self._report = report
        self._story = story
        self._tell = tell
        self._on_failed = on_failed
        # Called once, when it becomes clear that it isn't called again.
        self._on_over = on_over
        self._was_over = False
        self._scope: trio.CancelScope = trio.CancelScope()
        self.name = str(name or getattr(func, "__qualname__", repr(func)))[:LONGEST_NAME]
        """What logs and statistics call it: as it was named, or else the function's name."""
        self.last_incident: str | None = None
        """The id of its last failure, which the log has too; None if it has not failed."""

    @property
    def state(self) -> ProducerState:
        """`waiting` (for the load hooks), `running`, `backing off`, `done`, `failed` (for good) or `removed`."""
        return self._life.state

    @property
    def over(self) -> bool:
        """Whether it is never called again."""
        return self._life.is_over

    @property
    def failures(self) -> int:
        """How often it has raised."""
        return self._life.failures

    @property
    def next_call_at(self) -> float | None:
        """When it is called again, by `trio.current_time()`; None unless it backs off."""
        return self._life.next_call_at

    def cancel(self) -> None:
        """End it as soon as it can; if its task has not begun yet, the function is never called."""
        self._scope.cancel()
        self._life.remove()
        self._settle()

    async def run(self) -> None:
        """Call it until it is over. Raises nothing but a cancellation from outside: this is its outer guard.

        The pause counts from the failure, so a hook that hears of it doesn't make it longer.
        """
        try:
            with self._scope:
                await trio.lowlevel.checkpoint_if_cancelled()
                while not self._life.is_over:
                    self._life.call(trio.current_time())
                    if self._story is not None:
                        self._story.add("producer", f"{self.name} begins")
                    await self._call_once()
                    if self._life.next_call_at is not None:
                        await trio.sleep_until(self._life.next_call_at)
        except BaseException as error:
            failure, rest = split_failure(error)
            if failure is not None:  # of the inner guard itself
                self._life.give_up()
                self._failed(failure)
            if rest is not None:
                pass_on(error, rest)
        finally:
            if not self._life.is_over:  # what is above it ends
                self._life.remove()
            self._settle()

    async def _call_once(self) -> None:
        """Call it, decide what follows, and tell of a failure."""
        raised: BaseException | None = None
        failure: BaseException | None = None
        rest: BaseException | None = None
        try:
            await self._call()
        except BaseException as error:
            raised = error
            failure, rest = split_failure(error)
        if failure is not None or rest is None:  # else it has not ended by itself
            self._life.end(trio.current_time(), failed=failure is not None, chance=self._chance())
        if failure is None and self._life.state == "failed":
            failure = RuntimeError(f"{self.name} returned once more than its max_restarts allow")
        try:
            if failure is not None:
                self._failed(failure)
            self._settle()
            if failure is not None:
                await self._tell(self, failure)
            if rest is not None:
                assert raised is not None
                pass_on(raised, rest)
        finally:
            del raised, failure, rest  # a traceback and its frame would keep each other

    async def _call(self) -> None:
        result = self._func(*self._args)
        if hasattr(result, "__await__"):
            await result
        elif isinstance(result, Generator | AsyncGenerator):
            raise TypeError(f"{self.name} contains a yield, so none of its code ran; write `async def` and `await`")

    def _failed(self, failure: BaseException) -> None:
        incident = self._report(f"producer {self.name}", failure, self._life.decision(trio.current_time()))
        self.last_incident = incident.id
        if self._life.state == "failed":
            self._on_failed(incident)

    def _settle(self) -> None:
        if self._life.is_over and not self._was_over:
            if self._story is not None:
                self._story.add("producer", f"{self.name} is over ({self._life.state})")
            self._was_over = True
            self._on_over(self)

    def statistics(self) -> ProducerStatistics:
        """The state of this producer now."""
        life = self._life
        return ProducerStatistics(
            name=self.name,
            restart=life.restart,
            state=life.state,
            failures=life.failures,
            restarts=life.restarts,
            last_incident=self.last_incident,
            next_call_after=None if life.next_call_at is None else max(0.0, life.next_call_at - trio.current_time()),
        )

    def __repr__(self) -> str:
        return f"<Producer {self.name} {self.state} failures={self.failures}>"

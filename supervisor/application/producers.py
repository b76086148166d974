"""Producers: an application's background work, each a supervised task of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, final

import trio

from supervisor.actor.guard import Report, pass_on, split_failure

FIRST_DELAY = 0.5
"""Seconds before the first new try: long enough not to spin, short enough that nobody reloads the page."""
LONGEST_DELAY = 60.0
"""The longest pause between tries, and how long a producer must have run for its next failure to count as the first."""


def next_delay(delay: float, *, ran: float) -> float:
    """The pause after a failure: twice the last one, from the start again after a long run. Pure."""
    return FIRST_DELAY if ran >= LONGEST_DELAY else min(max(2 * delay, FIRST_DELAY), LONGEST_DELAY)


@final
class Producer:
    """One background function of an application, called again when it fails. Give it to `remove_callback()`."""

    def __init__(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        report: Report,
        on_over: Callable[[Producer], object] = lambda producer: None,
    ) -> None:
        if not callable(func):
            raise TypeError(f"a callback must be callable, not {func!r}")
        self._func = func
        self._args = args
        self._report = report
        # Called once, when it becomes clear that it isn't called again: it was removed, or has returned.
        self._on_over = on_over
        self._scope: trio.CancelScope = trio.CancelScope()
        self.over = False
        """Whether it returned, or was removed."""
        self.failures = 0
        """How often it has failed."""

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self._func, "__qualname__", repr(self._func)))

    def cancel(self) -> None:
        """End it as soon as it can; if its task has not begun yet, the function is never called."""
        self._scope.cancel()
        self._is_over()

    async def run(self) -> None:
        """Call it until it returns. Raises nothing but a cancellation from outside: this is its outer guard."""
        try:
            with self._scope:
                await trio.lowlevel.checkpoint_if_cancelled()
                await self._repeat()
        except BaseException as error:
            self._pass(error)
        finally:
            self._is_over()

    def _is_over(self) -> None:
        if not self.over:
            self.over = True
            self._on_over(self)

    async def _repeat(self) -> None:
        delay = 0.0
        while True:
            began = trio.current_time()
            try:
                result = self._func(*self._args)
                if hasattr(result, "__await__"):
                    await result
                elif isinstance(result, Generator | AsyncGenerator):
                    raise TypeError(
                        f"{self.name} has a yield in it, so nothing of it was run; write `async def` and `await`"
                    )
                return
            except BaseException as error:
                self._pass(error)
            delay = next_delay(delay, ran=trio.current_time() - began)
            await trio.sleep(delay)

    def _pass(self, error: BaseException) -> None:
        failure, rest = split_failure(error)
        if failure is not None:
            self.failures += 1
            self._report(f"callback {self.name}", failure)
        if rest is not None:
            pass_on(error, rest)

    def __repr__(self) -> str:
        return f"<Producer {self.name} {'over' if self.over else 'running'} failures={self.failures}>"

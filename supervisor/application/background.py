"""What an application does besides its sessions: its producers, and the actor of its callbacks.

All of it runs in one nursery, which is around those of connections and sessions. It begins only with `start`, and ends
before the sessions do: it is asked to stop, if the app ever looks whether it is asked; then it is cancelled, and waited
for until a grace is over. What goes on after that is a blocked thread, or shields itself, and holds up only the
nursery.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, final

import trio

from supervisor.actor.base import Runtime
from supervisor.actor.callbacks import Callbacks
from supervisor.actor.ref import ActorStatistics
from supervisor.actor.stopping import Stopping
from supervisor.actor.story import Story
from supervisor.application.callback_actor import CallbackActor
from supervisor.application.callback_failed_hooks import CallbackFailedHooks
from supervisor.application.deadline import HOOKS_ONLY, UNLOAD_RESERVE
from supervisor.application.handlers import Application
from supervisor.application.options import ApplicationOptions
from supervisor.application.producer_life import ProducerLife
from supervisor.application.producers import Producer
from supervisor.application.roster import Roster
from supervisor.instruments import Incident

PRODUCER_GRACE = 2.0
"""Seconds that producers get to return, if their app looks whether it is stopping, and then as many to unwind once they
are cancelled, before the sessions begin to end all the same."""


@final
class Background:
    """One application's.

    Args:
        definition: the application.
        context: it, as its hooks meet it.
        runtime: the server's.
        options: the application's.
        stopping: the application's.
        report: tells the instruments of a failure.
        story: where it is told what they do; None: nowhere.
        escalate: ends the application, because a producer that may do so has failed for good.
        idle: producers and callbacks that are added never run.
    """

    def __init__(
        self,
        definition: Application,
        *,
        context: Any,
        runtime: Runtime,
        options: ApplicationOptions,
        stopping: Stopping,
        report: Callable[[str, BaseException, str], Incident],
        story: Story | None = None,
        escalate: Callable[[Incident], None],
        idle: bool,
    ) -> None:
        self._name = definition.name
        self._stopping = stopping
        self._report = report
        self._story = story
        self._escalate = escalate
        self._chance = runtime.random
        self._idle = idle

        def report_id(what: str, error: BaseException) -> str:
            return report(what, error, "").id

        self._callback_failed_hooks = CallbackFailedHooks(
            definition,
            context=context,
            timeout=options.hook_timeout,
            stopping=stopping,
            report=report_id,
            instruments=runtime.instruments,
            story=story,
        )
        self._actor = CallbackActor(definition.name, runtime, report_id, self._callback_failed_hooks.call, story=story)
        self.callbacks = Callbacks(self._actor, runtime.timers)
        """The application's own: periodic, timeout and next tick."""
        self.callbacks.hold()
        self._callback_scope = trio.CancelScope()
        self._producers = Roster()
        # Where all of it runs; None before `start`.
        self._nursery: trio.Nursery | None = None
        # How many tasks there are, and whether all of them have ended.
        self._tasks = 0
        self._over = trio.Event()
        # When those that were cancelled are waited for no longer; set as they are cancelled.
        self._unwound_by = math.inf

    def start(self, nursery: trio.Nursery) -> None:
        """Let all begin that was added, and what will be at once; times of callbacks count from now."""
        if self._idle:
            self._over.set()
            return
        self._nursery = nursery
        self._start(self._run_callbacks, name=f"callbacks of {self._name}")
        self.callbacks.start()
        for producer in self._producers:
            self._start(producer.run, name=producer.name)

    def _start(self, run: Callable[[], Awaitable[None]], *, name: str) -> None:
        assert self._nursery is not None
        self._tasks += 1
        self._nursery.start_soon(self._run, run, name=name)

    async def _run(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        finally:
            self._tasks -= 1
            if not self._tasks:
                self._over.set()

    async def _run_callbacks(self) -> None:
        with self._callback_scope:
            await self._actor.run()

    # Its end.

    async def wait_returned(self) -> None:
        """Wait until all producers have returned, who were asked to; for `PRODUCER_GRACE` at most. Safe to cancel."""
        with self._stopping.working(HOOKS_ONLY, timeout=PRODUCER_GRACE):
            await self._producers.wait_empty()

    async def end(self, *, shield: bool = False) -> None:
        """Cancel producers and callbacks, and wait for them, but not too long; called again, no longer than that."""
        if not self._callback_scope.cancel_called:
            self._unwound_by = trio.current_time() + PRODUCER_GRACE
            self._callback_failed_hooks.end_by(self._unwound_by)
        self._callback_scope.cancel()
        self._actor.mailbox.close()
        self.callbacks.clear()
        self._producers.end()
        timeout = self._unwound_by - trio.current_time()
        with self._stopping.working(UNLOAD_RESERVE, timeout=timeout, shield=shield):
            await self._over.wait()

    def leave(self) -> None:
        """The application is over: no failure is told to a hook any more."""
        self._callback_failed_hooks.leave()

    # Its producers.

    def add_producer(
        self, func: Callable[..., Any], args: tuple[Any, ...], *, life: ProducerLife, name: str | None, escalates: bool
    ) -> Producer:
        """See `ApplicationContext.add_callback`."""
        producer = Producer(
            func,
            args,
            life=life,
            chance=self._chance,
            report=self._report,
            story=self._story,
            name=name,
            tell=self._callback_failed_hooks.call,
            on_failed=self._escalate if escalates else lambda incident: None,
            on_over=self._producers.over,
        )
        self._producers.add(producer)
        if self._stopping.has_begun:
            producer.cancel()
        elif self._nursery is not None:
            self._start(producer.run, name=producer.name)
        return producer

    @property
    def producers(self) -> Roster:
        """Those that are not over, and those that have failed for good."""
        return self._producers

    def statistics(self) -> ActorStatistics:
        """Of the actor that runs callbacks."""
        return self._actor.statistics()

    def __repr__(self) -> str:
        return f"<Background of {self._name}: {self._producers}>"

"""The application around a hand-driven session: its context, its neighbours, and nothing that runs by itself.

The session's household is the real registry, so hooks are called as in a server. What the app's hooks add beside
sessions, producers and callbacks of the application, is kept and never runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, cast, final

import attrs
import trio

from supervisor.actor.base import Runtime
from supervisor.actor.guard import new_incident_id, unwrap
from supervisor.actor.stopping import Stopping
from supervisor.actor.story import Story
from supervisor.actor.timers import TimerQueue
from supervisor.actor.waiting import WaitStatistics
from supervisor.actor.workers import Workers, WorkOwner, current_work
from supervisor.application.background import Background
from supervisor.application.broadcast import (
    BroadcastReport,
    UpdateReport,
    broadcast,
    check_received,
    update_sessions,
)
from supervisor.application.context import ApplicationContext
from supervisor.application.handlers import Application
from supervisor.application.options import ApplicationOptions
from supervisor.application.producer_life import ProducerLife
from supervisor.application.producers import Producer
from supervisor.application.registry import SessionRegistry
from supervisor.application.statistics import ApplicationStatistics
from supervisor.errors import ActorGone
from supervisor.instruments import Incident
from supervisor.session.actor import SessionActor
from supervisor.session.connection import ConnectionContext
from supervisor.session.context import SessionContext
from supervisor.testing.faults import Faults
from supervisor.testing.incidents import Incidents
from supervisor.testing.probe import Probe, Told


@final
class Surroundings:
    """What the context of the application reaches.

    Args:
        definition: the application.
        options: its options.
        now: the session's time.
        faults: what is to go wrong in the app's code.
        on_session: called with the session as it is made.
    """

    def __init__(
        self,
        definition: Application,
        *,
        options: ApplicationOptions,
        now: Callable[[], float],
        faults: Faults,
        on_session: Callable[[SessionActor], None],
    ) -> None:
        self.application = definition.name
        self.definition = definition
        self.seen = Incidents()
        """What has failed."""
        self.told: list[Told] = []
        """What other sessions were sent."""
        self.neighbours: dict[str, Probe] = {}
        """The other sessions, by id."""
        self.escalated: list[Incident] = []
        """What a failure policy has handed on to the application, which goes on here."""
        self.runtime = Runtime(
            timers=TimerQueue(now), instruments=self.seen, random=lambda: 0.5, prepare=faults.prepare
        )
        self.workers = Workers(options.max_threads)
        self.stopping = Stopping()
        self.context = ApplicationContext(self)
        self.shares_presence = False
        self.story: Story | None = None
        self._hook_timeout = options.hook_timeout
        self._has_ended = False
        epochs = (f"epoch{number}" for number in itertools.count(1))
        self.registry = SessionRegistry(
            definition,
            context=self.context,
            runtime=self.runtime,
            options=options,
            stopping=self.stopping,
            make_epoch=lambda: next(epochs),
            show_id=lambda id: id,
            on_session=on_session,
            workers=self.workers,
            on_escalation=self.escalated.append,
        )
        self._background = Background(
            definition,
            context=self.context,
            runtime=self.runtime,
            options=options,
            stopping=self.stopping,
            report=self._incident,
            escalate=self.escalated.append,
            idle=True,
        )
        self.callbacks = self._background.callbacks
        self._work_owner = WorkOwner(
            name=f"application {self.application}",
            report=self.report,
            gone=lambda: ActorGone(f"application {self.application!r} has ended, or its thread's work was cancelled"),
            has_ended=lambda: self._has_ended,
            stopping=self.stopping,
        )

    async def load(self) -> None:
        """Run the load hooks; what they raise passes."""
        await self.definition.on_application_load(self.context)

    async def unload(self) -> None:
        """Run the unload hooks, under the deadline that they have in a server; what they raise passes."""
        with trio.fail_after(self._hook_timeout, shield=True):
            await self.definition.on_application_unload(self.context)
        self._has_ended = True

    @property
    def _live_neighbours(self) -> tuple[SessionContext, ...]:
        # A probe has what a context has, which its tests compare; to be one it would need an actor.
        return tuple(cast(SessionContext, probe) for probe in self.neighbours.values() if not probe.destroyed)

    # What the context of the application needs.

    def snapshot(self) -> tuple[SessionContext, ...]:
        """See `ApplicationContext.sessions`."""
        return self.registry.contexts() + self._live_neighbours

    def connections(self) -> tuple[ConnectionContext, ...]:
        """See `ApplicationContext.connections`."""
        others = [connection for probe in self._live_neighbours for connection in probe.connections]
        return (*self.registry.connections(), *others)

    def waits(self) -> tuple[WaitStatistics, ...]:
        """See `ApplicationContext.waits`."""
        return self.registry.waits()

    def destroy_session(self, id: str) -> bool:
        """See `ApplicationContext.destroy_session`."""
        probe = self.neighbours.get(id)
        if probe is None or probe.destroyed:
            return self.registry.destroy(id)
        probe.destroy()
        return True

    def add_producer(
        self, func: Callable[..., Any], args: tuple[Any, ...], *, life: ProducerLife, name: str | None, escalates: bool
    ) -> Producer:
        """See `ApplicationContext.add_callback`: it never runs."""
        return self._background.add_producer(func, args, life=life, name=name, escalates=escalates)

    def remove_producer(self, producer: Producer) -> None:
        """See `ApplicationContext.remove_callback`."""
        self._background.producers.remove(producer)

    def look_at_stopping(self) -> Stopping:
        """See `ApplicationContext.stopping`."""
        return self.stopping

    async def run_in_thread(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a function in a worker thread."""
        return await self.workers.run(func, args, self._work_owner)

    async def broadcast(self, message: object, timeout: float) -> BroadcastReport:
        """See `ApplicationContext.broadcast`: the session gets it in its turn, neighbours at once."""
        receivers = self.definition.receivers
        check_received(self.application, receivers.by_type, message)
        report = await broadcast(
            tuple(self.registry.accepted),
            message,
            holds=self.runtime.holds,
            timeout=timeout,
            policy=receivers.policies.get(type(message)),
        )
        self.told.append(Told(to=None, message=message, how="broadcast"))
        reached = self._live_neighbours
        for probe in self.neighbours.values():
            if not probe.destroyed:
                probe.take_broadcast(message)
        return attrs.evolve(report, accepted=report.accepted + reached)

    async def update_sessions(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> UpdateReport:
        """See `ApplicationContext.update_sessions`: it is an error in a handler, and here nobody else could call it.

        Raises:
            RuntimeError: it was called by the test.
        """
        if not self.runtime.holds.held_up():
            raise RuntimeError("a hand-driven session has no task that could take part; use supervise()")
        return await update_sessions(
            tuple(self.registry.accepted), func, args, holds=self.runtime.holds, timeout=timeout
        )

    def call_from_thread(self, func: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """See `ApplicationContext.call_from_thread`."""
        work = current_work()
        if work is None or work.door is None:
            raise ActorGone(
                f"application {self.application!r} is driven by hand, and accepts calls only from its own threads"
            )
        return work.door.call(func, args, timeout)

    def statistics(self) -> ApplicationStatistics:
        """See `ApplicationContext.statistics`."""
        producers = self._background.producers
        return ApplicationStatistics(
            status="unloaded" if self._has_ended else "serving",
            sessions=self.registry.statistics(),
            producers=producers.live,
            failed_producers=producers.failed,
            producer_states=producers.statistics(),
            callbacks=self._background.statistics(),
            threads=self.workers.at_work,
        )

    # Reports.

    def report(self, what: str, error: BaseException) -> str:
        """Note a failure that is no session's; returns the incident's id."""
        return self._incident(what, error, "").id

    def _incident(self, what: str, error: BaseException, decision: str) -> Incident:
        incident = Incident(
            id=new_incident_id(),
            application=self.application,
            session="-",
            what=what,
            error=unwrap(error),
            decision=decision,
        )
        self.seen.failed(incident)
        return incident

    def __repr__(self) -> str:
        return f"<Surroundings of {self.application}: {len(self.neighbours)} neighbours>"

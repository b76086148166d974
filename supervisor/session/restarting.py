"""What a session does about its failures: it calls the failed hooks, and carries out what the policy decided.

Essay: what a restart is. Only the document begins anew, and nothing else that others hold on to.

1. The message that failed is over: it is rolled back, and its sender has the error.
2. What waits in the mailbox stays, in order; waiting borrowers, broadcasts and asks keep their place and their
   deadlines. Until the restart is done nothing is handled, and the mailbox's bounds and policies apply.
3. What was added after the created hooks ends first, like an actor's children and timers in Pekko: callbacks, change
   listeners and background tasks. What the created hooks started goes on.
4. After a pause, which grows and which clients are told of, `modify_document` builds a separate document from what the
   created hooks had left. Nobody sees it before it is complete. If `modify_document` fails, that is one more failure:
   the old document stays visible, and the policy decides about the next restart.
5. In one step, the new document replaces the old one, edit rules included, in a new epoch. Connections stay, and get
   one snapshot. The revision keeps increasing, so that edits of the old document are recognised by their base, and are
   in conflict. Listeners of the created hooks are told that everything has changed.
6. Neither created nor destroyed hooks run, nor those of connections. Refs and contexts stay the same objects.

All of this is one entry in the mailbox's system lane, put there by the failure. So it comes before any other message,
costs nothing where nothing fails, and is cancelled like a handler when the session ends, at any await: the destroyed
hooks then see the old document, rolled back.

Essay: exactly once. A failure is reported at once, with the decision. The failed hooks run after the rollback: each is
a transaction of its own, and what they raise is only reported, so they can't cause a loop. A session that ends first
still owes them, and runs them before its destroyed hooks. `MAX_UNTOLD` bounds the failures that wait for their hooks,
since background tasks can fail by the thousand while one handler waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from typing import Protocol, final

import trio

from supervisor.actor.base import Runtime
from supervisor.actor.callbacks import CallbackHandle, Callbacks
from supervisor.actor.entry import Doer, Entry
from supervisor.actor.guard import new_incident_id, pass_on, split_failure
from supervisor.actor.mailbox import Mailbox
from supervisor.actor.restart import Directive
from supervisor.actor.story import Story, told
from supervisor.document.json_document import JsonDocument
from supervisor.instruments import Incident, shown
from supervisor.session.background import Tasks
from supervisor.session.changes import ChangeListeners
from supervisor.session.connection import Audience, Ending
from supervisor.session.editing import EditRules
from supervisor.session.household import Household
from supervisor.session.policy import ENDING, Decider, Decision

MAX_UNTOLD = 100
"""Failures of which the failed hooks have yet to be told; what fails beyond that is reported, and not told to them."""
MAILBOX_SHOWN = 5
"""Entries that wait in the mailbox, as an incident tells of them: enough to see what a session was busy with."""


class Restartable(Protocol):
    """What is needed of the session's actor."""

    runtime: Runtime
    mailbox: Mailbox
    story: Story | None
    shown_id: str
    epoch: str
    audience: Audience
    # The document as it is shown, and the one that the session's code works on.
    stored: JsonDocument
    working: JsonDocument
    # Whether nobody is shown what is kept.
    is_silent: bool
    callbacks: Callbacks
    change_listeners: ChangeListeners
    edit_rules: EditRules
    background: Tasks
    ending: Ending | None
    # What its end will be that comes from what is above it.
    ending_from_above: Ending

    def end(self, ending: Ending) -> None:
        """Begin the end."""

    @property
    def has_ended(self) -> bool:
        """Whether the end has begun."""


@final
class _Beginnings:
    """What the created hooks have left: where each restart begins."""

    def __init__(self, session: Restartable) -> None:
        self.document = session.stored.snapshot()
        self.callbacks: Collection[CallbackHandle] = session.callbacks.active()
        self.edit_rules = session.edit_rules.copy()
        self.tasks: Collection[trio.CancelScope] = session.background.running()


@final
class RecoveryTurn(Entry):
    """The recovery, in the mailbox: it comes before any message."""

    __slots__ = ("_recovery",)
    counted = False
    supervised = False

    def __init__(self, recovery: Recovery) -> None:
        self._recovery = recovery

    def start(self, actor: Doer) -> Awaitable[None]:
        """See `Entry.start`."""
        return self._recovery.run()

    def describe(self) -> str:
        """See `Entry.describe`."""
        return "restart"


@final
class Recovery:
    """What one session does about its failures."""

    __slots__ = (
        "_because",
        "_beginnings",
        "_decider",
        "_household",
        "_last_due",
        "_queued",
        "_session",
        "_untold",
        "is_restarting",
        "last_incident",
        "restarts",
    )

    def __init__(self, session: Restartable, household: Household, by_type: Mapping[type, Directive]) -> None:
        self._session = session
        self._household = household
        self._decider = Decider(household.failure_policy, by_type)
        self._untold: list[BaseException] = []
        self._queued = False
        # What has become due last, and the failure that led to it.
        self._last_due: Decision | None = None
        self._because: Incident | None = None
        # Set once the created hooks are through, if the policy can lead to a restart.
        self._beginnings: _Beginnings | None = None
        self.is_restarting = False
        """Whether a restart is under way, its pause included."""
        self.restarts = 0
        """How often the session has been restarted."""
        self.last_incident: Incident | None = None
        """The last failure that the policy had to decide on."""

    @property
    def due(self) -> Decision | None:
        """What was decided and is yet to be carried out; None: nothing, or only to resume."""
        return self._decider.due

    def mark(self) -> None:
        """The created hooks are through: a restart begins here."""
        if self._decider.may_restart:
            self._beginnings = _Beginnings(self._session)

    def report(self, what: str, error: BaseException, *, message: str = "", decision: str = "") -> Incident:
        """Hand a failure to the instruments; nothing follows of it."""
        session, story = self._session, self._session.story
        incident = Incident(
            id=new_incident_id(),
            application=self._household.application,
            session=session.shown_id,
            what=what,
            error=error,
            message=message,
            mailbox=tuple(entry.describe() for entry in session.mailbox.tail(MAILBOX_SHOWN)),
            decision=decision,
            story=() if story is None else story.until_now(),
        )
        if story is not None:
            story.failed(what, told(incident))
        session.runtime.instruments.failed(incident)
        return incident

    def failed(self, what: str, error: BaseException, message: object | None = None) -> str:
        """Something failed and is undone: report it, with what is to follow. Returns the incident's id."""
        session, decision = self._session, None
        if session.ending is None:
            message_type = None if message is None else type(message)
            decision = self._decider.decide(
                message_type, now=session.runtime.timers.now(), chance=session.runtime.random()
            )
        return self._note(what, error, decision, "" if message is None else shown(message)).id

    def finish(self) -> None:
        """The session takes nothing more, and ends when all is handled: from now on a failure restarts nothing."""
        self._decider.is_finishing = True

    def next_untold(self) -> BaseException | None:
        """The failure of which the failed hooks are to be told next, once: from now on it is told. None: no more."""
        return self._untold.pop(0) if self._untold else None

    def _note(self, what: str, error: BaseException, decision: Decision | None, message: str = "") -> Incident:
        words = ENDING if decision is None else decision.words
        incident = self.report(what, error, message=message, decision=words)
        self.last_incident = incident
        if decision is not None and decision is self._decider.due and decision is not self._last_due:
            self._last_due, self._because = decision, incident
        if self._household.has_failed_hooks and len(self._untold) < MAX_UNTOLD:
            self._untold.append(incident.error)
        if not self._queued and self._session.ending is None and (self._untold or self._decider.due is not None):
            self._queued = True
            self._session.mailbox.put_system(RecoveryTurn(self))
        return incident

    async def run(self) -> None:
        """Do all that is due. Cancelled, which is the session's end, it leaves the document that is shown."""
        try:
            while self._session.ending is None:
                if self._untold:
                    await self._household.tell_failures(self._session)
                elif self._decider.due is not None:
                    await self._carry_out(self._decider.due)
                else:
                    return
        finally:
            self._queued = False

    async def _carry_out(self, decision: Decision) -> None:
        incident = self._because
        assert incident is not None
        if decision.directive == "restart" and not self._decider.is_finishing:
            self.is_restarting = True
            try:
                await self._restart(decision, incident)
            finally:
                self.is_restarting = False
            return
        self._session.end(self._session.ending_from_above if decision.directive == "restart" else stopped_by(incident))
        if decision.directive == "escalate":
            self._household.escalate(self._session, incident)

    async def _restart(self, decision: Decision, incident: Incident) -> None:
        session, beginnings = self._session, self._beginnings
        assert beginnings is not None
        session.audience.restarting(decision.pause)
        session.callbacks.clear(but=beginnings.callbacks)
        for late in await session.background.end(but=beginnings.tasks):
            self.report("restart", trio.TooSlowError(f"{late} has not ended after its cancellation, and goes on"))
        await trio.sleep(decision.pause)
        if self._decider.due is not decision:  # something worse has happened meanwhile
            return
        try:
            is_built = await self._build(beginnings)
        except BaseException as error:
            self._restart_failed(error)
            return
        if is_built:
            self._decider.carried_out(decision)
            self._show(incident)

    async def _build(self, beginnings: _Beginnings) -> bool:
        """Build a document that nobody sees; False, and it is gone, if `modify_document` destroyed the session.

        It is gone also if this raises.
        """
        session = self._session
        is_built = False
        session.is_silent = True
        session.working = session.stored.successor()
        try:
            session.working.restore(beginnings.document)
            session.edit_rules.restore(beginnings.edit_rules)
            await self._household.rebuild(session)
            session.working.commit()  # an application may have nothing that builds: else this is done
            is_built = session.ending is None
        finally:
            if not is_built:
                session.working = session.stored
            session.is_silent = session.has_ended
        return is_built

    def _show(self, incident: Incident) -> None:
        """The document that was built takes the place of the one that is shown."""
        session = self._session
        self.restarts += 1
        session.stored = session.working
        session.epoch = self._household.make_epoch()
        session.audience.renewed(session.edit_rules.patterns)
        session.change_listeners.renewed()
        if session.story is not None:
            session.story.add(
                "session", f"restarted, because of incident {incident.id}, at revision {session.stored.revision}"
            )
        session.runtime.instruments.session_restarted(
            application=self._household.application, session=session.shown_id, incident=incident.id
        )

    def _restart_failed(self, error: BaseException) -> None:
        failure, rest = split_failure(error)
        if failure is not None:
            decision = None
            if rest is None and self._session.ending is None:
                now, chance = self._session.runtime.timers.now(), self._session.runtime.random()
                decision = self._decider.restart_failed(now=now, chance=chance)
            self._note("modify_document of a restart", failure, decision)
        if rest is not None:
            pass_on(error, rest)

    def __repr__(self) -> str:
        return f"<Recovery {self._decider!r}, {self.restarts} restarts, {len(self._untold)} untold>"


def stopped_by(incident: Incident) -> Ending:
    """The end of a session that the policy stops."""
    return Ending(kind="destroyed", reason=f"The session has failed and was stopped (incident {incident.id}).")

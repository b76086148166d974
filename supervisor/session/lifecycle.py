"""The life of a session as a table: states, events, and what each event brings about. Pure.

    CREATING ──built──► WAITING ──attached──► ACTIVE ──last connection left──► LINGERING
       │                   │                    │  ◄────────attached────────────  │
       │                   │ waited too long    │                                │ linger ran out
       │                   ├─────── finished ───┼────────────────────────────────┤
       │                   │                    ▼                                │
       │                   │                FINISHING                            │
       └───────────────────┴───────── ended ────┴────────────────────────────────┘
                                        ▼
                                     DRAINING ──closed──► DESTROYED

CREATING: hooks accept it and its document is built. WAITING: nobody has attached yet. ACTIVE: somebody is attached.
LINGERING: nobody is attached any more. FINISHING: the server shuts down; the session accepts nothing more, and handles
what waits. DRAINING: it handles no further messages, borrowers get their turn, and its closed and destroyed hooks run.
DESTROYED: nothing of it runs any more. A session that is refused, or can't be built, goes from CREATING to DRAINING
like any other.

WAITING is not LINGERING, because a page needs seconds to load and attach, however briefly an app lets sessions linger.
"""

from __future__ import annotations

import enum
from typing import final


class State(enum.Enum):
    """Where a session is in its life."""

    CREATING = "creating"
    WAITING = "waiting"
    ACTIVE = "active"
    LINGERING = "lingering"
    FINISHING = "finishing"
    DRAINING = "draining"
    DESTROYED = "destroyed"


class Event(enum.Enum):
    """What can happen to a session."""

    BUILT = "built"
    ATTACHED = "attached"
    LEFT = "last connection left"
    FINISHED = "told to finish"
    ENDED = "ended"
    CLOSED = "closed"


class Effect(enum.Enum):
    """What its actor must do then."""

    START_WAIT = "start the timer of the first attach"
    STOP_WAIT = "stop the timer of the first attach"
    START_LINGER = "start the linger timer"
    STOP_LINGER = "stop the linger timer"
    TAKE_NO_MORE = "close the mailbox behind what waits, stop callbacks"
    LEAVE = "leave the application's sessions, close mailbox and connections, cancel the scope"
    ANNOUNCE_END = "tell those who wait for the end"


_TABLE: dict[tuple[State, Event], tuple[State, tuple[Effect, ...]]] = {
    (State.CREATING, Event.BUILT): (State.WAITING, (Effect.START_WAIT,)),
    (State.CREATING, Event.ENDED): (State.DRAINING, (Effect.LEAVE,)),
    (State.WAITING, Event.ATTACHED): (State.ACTIVE, (Effect.STOP_WAIT,)),
    (State.WAITING, Event.FINISHED): (State.FINISHING, (Effect.STOP_WAIT, Effect.TAKE_NO_MORE)),
    (State.WAITING, Event.ENDED): (State.DRAINING, (Effect.STOP_WAIT, Effect.LEAVE)),
    (State.ACTIVE, Event.ATTACHED): (State.ACTIVE, ()),
    (State.ACTIVE, Event.LEFT): (State.LINGERING, (Effect.START_LINGER,)),
    (State.ACTIVE, Event.FINISHED): (State.FINISHING, (Effect.TAKE_NO_MORE,)),
    (State.ACTIVE, Event.ENDED): (State.DRAINING, (Effect.LEAVE,)),
    (State.LINGERING, Event.ATTACHED): (State.ACTIVE, (Effect.STOP_LINGER,)),
    (State.LINGERING, Event.FINISHED): (State.FINISHING, (Effect.STOP_LINGER, Effect.TAKE_NO_MORE)),
    (State.LINGERING, Event.ENDED): (State.DRAINING, (Effect.STOP_LINGER, Effect.LEAVE)),
    (State.FINISHING, Event.ATTACHED): (State.FINISHING, ()),
    (State.FINISHING, Event.LEFT): (State.FINISHING, ()),
    (State.FINISHING, Event.ENDED): (State.DRAINING, (Effect.LEAVE,)),
    (State.DRAINING, Event.LEFT): (State.DRAINING, ()),
    (State.DRAINING, Event.ENDED): (State.DRAINING, ()),
    (State.DRAINING, Event.CLOSED): (State.DESTROYED, (Effect.ANNOUNCE_END,)),
    (State.DESTROYED, Event.ENDED): (State.DESTROYED, ()),
}


STORY = 8
"""Events that are told with a bug of ours: more than lead from one state to any other."""


class InvalidTransition(AssertionError):
    """A bug of ours: an event in a state that has no place for it. It carries the story so far."""


@final
class Lifecycle:
    """The state of one session, and its story."""

    def __init__(self) -> None:
        self.state = State.CREATING
        self.story: tuple[Event, ...] = ()
        """The last few events, oldest first: at most `STORY`."""
        self.was_attached = False
        """Whether anybody ever attached."""
        self.has_ended = False
        """Whether the end has begun: no message is handled from then on. Asked with each transaction, so stored."""

    def handle(self, event: Event) -> tuple[Effect, ...]:
        """Go on; returns what must be done now."""
        self.story = (*self.story[1 - STORY :], event)
        try:
            self.state, effects = _TABLE[self.state, event]
        except KeyError:
            told = ", ".join(past.value for past in self.story)
            raise InvalidTransition(f"{event.value!r} in state {self.state.value!r} after: {told}") from None
        if event is Event.ATTACHED:
            self.was_attached = True
        self.has_ended = self.state in {State.DRAINING, State.DESTROYED}
        return effects

"""What the sessions of a test have gone through, as text: for tests that ask, and in reports of those that fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, final

from supervisor.actor.story import Story, lines
from supervisor.instruments import Incident

if TYPE_CHECKING:  # the plugin imports this module for tests of all kinds
    from supervisor.server import Server

LENGTH = 100
"""Entries of each story, unless the test's options say otherwise: what a test of a minute leaves, and more."""
KEPT = 100
"""Stories that are kept, of sessions that have ended too: the youngest."""
INVOLVED = 3
"""Sessions of which a failure tells."""
LINES = 30
"""Lines that it tells of each: the last ones."""
SHORT_ID = 20
"""Characters of an id that a test has given; longer ones are random, and say nothing."""
HEADING = "story of "
"""How each begins."""
_BY_CLIENTS = ("connection", "edit")
"""Kinds of entries that clients have caused; and so are messages that name a connection."""

current: ContextVar[list[StoryBook] | None] = ContextVar("current", default=None)
"""Where a block of `supervise` notes its stories, for a report of the test around it; None where there is none."""


@final
class StoryBook:
    """The stories of one block of `supervise`. Times are in seconds since it began.

    Args:
        began: when it began, by `trio.current_time()`.
        run: the trio run that it belongs to; a report tells of the last one, as of many that hypothesis makes.
    """

    def __init__(self, began: float = 0.0, run: object = None) -> None:
        self._began = began
        self._run = run
        self._application: Story | None = None
        # With the session's id, the one that began last at the end.
        self._sessions: deque[tuple[str, Story]] = deque(maxlen=KEPT)
        # The clients that joined, and which session; as many as stories.
        self._clients: deque[tuple[object, str]] = deque(maxlen=KEPT)
        told = current.get()
        if told is not None:
            told[:] = [*(each for each in told if each._run is run), self]

    def begins(self, id: str, story: Story) -> None:
        """See `Stories.on_begin`."""
        self._sessions.append((id, story))

    def joins(self, client: object, id: str) -> None:
        """A client of the test joins this session."""
        self._clients.append((client, id))

    def follow(self, server: Server) -> None:
        """Keep what this server's application and its sessions tell from now on."""
        (application,) = server.applications.values()
        self._application = application.story
        server.runtime.stories.on_begin = self.begins

    def tell(self, error: BaseException, incidents: Iterable[Incident]) -> None:
        """Add to a failure what happened before, for whoever reads of it; once."""
        story = self.involved([incident.session for incident in incidents], error)
        if story and not is_told(error):
            error.add_note(story)

    def text_of(self, id: str | None) -> str:
        """The story of the session of this id, the newest one; of the application if it is None.

        Raises:
            LookupError: there was no such session, or too many others since.
        """
        if id is None:
            return "" if self._application is None else self._told(self._application)
        for known, story in reversed(self._sessions):
            if known == id:
                return self._told(story, id)
        raise LookupError(f"no story of a session {id!r} is kept; the {KEPT} newest are, and there are {len(self)} now")

    def texts(self) -> tuple[str, ...]:
        """All that are kept: the application's, then sessions' as they began."""
        own = () if self._application is None else (self._told(self._application),)
        return (*own, *(self._told(story, id) for id, story in self._sessions))

    def involved(self, incidents: Iterable[str], error: BaseException | None) -> str:
        """The stories that tell most of a failure, three at most, each with its last lines.

        First those of the sessions that incidents name, by their short names or "-" for the application, then of the
        client in whose methods the error was raised, then those with which clients had to do last.
        """
        names = {f"session {name}" for name in incidents}
        found: dict[Story, str] = {}
        if "session -" in names and self._application is not None:
            found[self._application] = ""
        clients = set() if error is None else {id(each) for each in _selves(error)}
        raising = {session for client, session in self._clients if id(client) in clients}
        by_turn = sorted(self._sessions, key=lambda pair: _last_by_client(pair[1]), reverse=True)
        by_turn.sort(key=lambda pair: (pair[1].name not in names, pair[0] not in raising))
        found.update((story, id) for id, story in by_turn[: INVOLVED - len(found)])
        if not found and self._application is not None and self._application.told:
            found[self._application] = ""
        return "\n".join(self._told(story, id, most=LINES) for story, id in found.items())

    def _told(self, story: Story, id: str = "", *, most: int | None = None) -> str:
        entries = story.entries if most is None else story.entries[-most:]
        told = f" (id {id!r})" if 0 < len(id) <= SHORT_ID else ""
        left = story.told - len(entries)
        earlier = f", after {left:,} earlier entries" if left else ""
        return "\n".join([f"{HEADING}{story.name}{told}{earlier}:", *lines(entries, since=self._began)])

    def __len__(self) -> int:
        return len(self._sessions)

    def __repr__(self) -> str:
        return f"<StoryBook of {len(self)} sessions>"


def is_told(error: BaseException) -> bool:
    """Whether it has stories as a note, or what is in it has."""
    if any(note.startswith(HEADING) for note in getattr(error, "__notes__", ())):
        return True
    return isinstance(error, BaseExceptionGroup) and any(map(is_told, error.exceptions))


def id_of(session: Any) -> str | None:
    """The id of what a test has of a session: a `TestSession`, a `SessionContext`, or the id itself."""
    return session if session is None or isinstance(session, str) else str(session.id)


def _last_by_client(story: Story) -> float:
    """When a client had to do with it last."""
    for entry in reversed(story.entries):
        if entry.kind in _BY_CLIENTS or " of connection " in entry.text:
            return entry.at
    return float("-inf")


def _selves(error: BaseException) -> Iterator[object]:
    """The objects in whose methods an error was raised."""
    traceback = error.__traceback__
    while traceback is not None:
        if "self" in traceback.tb_frame.f_locals:
            yield traceback.tb_frame.f_locals["self"]
        traceback = traceback.tb_next
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _selves(inner)

"""The story of one actor: what happened to it lately, a line each. Bounded in entries and in characters. Pure.

Essay: what a line is. A thing that begins, such as the handling of a message, opens a line. Its result is appended to
that line if nothing else has happened meanwhile and no time has passed, so a message and its patch are one line.
Otherwise the result is a line of its own that names the thing again. Hence lines are in the order of events, times only
increase, and apart from such results no line changes later.

A story turns values into text at once: it holds texts, and no value of the app's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, final

import attrs

from supervisor.actor.brief import clip
from supervisor.instruments import Incident

LONGEST_STORY = 10_000
"""Entries that a story may have: some 2 MB, of each session."""
MAX_TEXT: Final = 240
"""Characters of one entry's text, kind included: what fits into two lines of a terminal."""
MAX_THING: Final = 130
"""Characters of a thing's own words, so that what came of it has room beside them."""
SAME_MOMENT = 0.005
"""Seconds within which what came of a thing still stands in its line; on a clock that jumps, none pass."""


@final
@attrs.frozen(kw_only=True)
class StoryEntry:
    """One thing that happened to a session, or to an application."""

    at: float
    """When, by `trio.current_time()`."""
    kind: str
    """What kind of thing: `message`, `edit`, `callback`, `hook`, `connection`, `session`, `failure` and others."""
    text: str
    """What happened, in words, with what came of it: "Quote(symbol='ACME', price=12.5)  → revision 8: …"."""

    def __str__(self) -> str:
        return f"{self.kind} {self.text}"


@final
class Story:
    """What happened lately to one actor. Told by the server's own thread; get one by `Stories.begin`."""

    def __init__(self, name: str, length: int, now: Callable[[], float]) -> None:
        self.name = name
        """Whose story it is: "session 1a2b3c4d"."""
        self.told = 0
        """Entries so far, those too that were forgotten since."""
        self._now = now
        self._entries: deque[StoryEntry] = deque(maxlen=length)
        # The thing that began last: its kind, its text, and what reports call it.
        self._thing = ("", "", "")
        self._began = 0.0
        # Its line; None once something else was told.
        self._line: StoryEntry | None = None

    @property
    def entries(self) -> tuple[StoryEntry, ...]:
        """The last entries, the oldest first."""
        return tuple(self._entries)

    def add(self, kind: str, text: str) -> None:
        """Something has happened."""
        self._line = None
        self._put(kind, text)

    def begin(self, kind: str, text: str, what: str = "") -> None:
        """Something begins, of which more will be told by `then`; `what` is what reports call it."""
        text = clip(text, MAX_THING)
        self._thing = (kind, text, what)
        self._line = self._put(kind, text)
        self._began = self._line.at

    def then(self, text: str) -> None:
        """This came of the thing that began last."""
        line = self._line
        longer = "" if line is None else f"{line.text}  → {text}"
        if line is not None and self._now() - line.at <= SAME_MOMENT and len(longer) <= MAX_TEXT - len(line.kind) - 1:
            self._line = self._entries[-1] = StoryEntry(at=line.at, kind=line.kind, text=clip(longer, MAX_TEXT))
        else:
            kind, thing, _ = self._thing
            self._line = self._put(kind or "then", f"{thing}  → {text}" if thing else text)

    def over(self) -> None:
        """The thing that began last is over; told if it took its time and nothing came of it at the end."""
        if self._now() - (self._began if self._line is None else self._line.at) > SAME_MOMENT:
            self.then("done")

    def failed(self, what: str, text: str) -> None:
        """Something failed: the thing that began last, if reports call it so; else it is told for itself."""
        if what and what == self._thing[2]:
            self.then(text)
        else:
            self.add("failure", f"{what}: {text}")

    def _put(self, kind: str, text: str) -> StoryEntry:
        entry = StoryEntry(at=self._now(), kind=kind, text=clip(text, MAX_TEXT - len(kind) - 1))
        self._entries.append(entry)
        self.told += 1
        return entry

    def until_now(self) -> tuple[str, ...]:
        """The entries as lines, each with how long ago it was: "-0.250 s  message Quote(…)"."""
        return tuple(line.strip() for line in lines(self._entries, since=self._now()))

    def __repr__(self) -> str:
        return f"<Story of {self.name}, {len(self._entries)} of {self.told} entries>"


def told(incident: Incident) -> str:
    """What a story says of a failure: "KeyError: 'ACME' (incident 1a2b3c4d, resumed)"."""
    decision = f", {incident.decision}" if incident.decision else ""
    return f"{clip(incident.cause, 120)} (incident {incident.id}{decision})"


@final
class Stories:
    """Where the stories of one server begin; with a length of 0 there are none.

    Args:
        length: entries of each.
        now: tells the time in seconds; it never goes back.
        on_begin: told of each that begins, with the id of its session: for those who keep stories of what has ended.
    """

    def __init__(
        self,
        length: int = 0,
        *,
        now: Callable[[], float] = lambda: 0.0,
        on_begin: Callable[[str, Story], None] = lambda id, story: None,
    ) -> None:
        self.length = length
        self._now = now
        self.on_begin = on_begin

    def begin(self, name: str, *, id: str = "") -> Story | None:
        """The story of a new actor; None if there are to be none: then nothing is told, at no cost."""
        if not self.length:
            return None
        story = Story(name, self.length, self._now)
        self.on_begin(id, story)
        return story


def lines(entries: Iterable[StoryEntry], *, since: float) -> list[str]:
    """One line for each entry, its time in seconds from `since`: "  12.500 s  message Quote(…)  → revision 8: …"."""
    times = [(f"{entry.at - since:.3f}", entry) for entry in entries]
    width = max((len(time) for time, _ in times), default=0)
    return [f"  {time:>{width}} s  {entry}" for time, entry in times]

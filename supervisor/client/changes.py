"""A session's changes, for a reader that takes them in its own time: several revisions may come as one change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import attrs

from supervisor.client.difference import NOTHING, Operation, difference, resolve, same
from supervisor.protocol.pointer import split


@final
@attrs.frozen(kw_only=True)
class Moment:
    """What a client knew at some moment. Its data never change."""

    data: dict[str, Any]
    revision: int
    sessions: int


@final
@attrs.frozen(kw_only=True)
class Change:
    """What became of the document, or of the part at `path`, since the change before it.

    Both `data` and `before` are plain Python, stay as they are, and share what is equal: read them, don't change them.
    """

    revision: int
    """The document's, after this change; several revisions may be in one change."""
    data: dict[str, Any]
    """The whole document after it."""
    path: str
    """The JSON Pointer that the changes were asked for; `""` is the whole document."""
    value: Any
    """What is at the path after it; None if nothing is."""
    before: Any
    """What was at the path before it; None if nothing was, and in the first change."""
    is_first: bool
    """It tells what was there already."""
    is_new_session: bool
    """The session was gone, and the page was loaded anew: this is another document."""
    _old: Any = attrs.field(repr=False)
    _new: Any = attrs.field(repr=False)

    @property
    def operations(self) -> list[Operation]:
        """The change as a JSON Patch (RFC 6902) for the whole document; worked out when it is asked for.

        The first change, and that to a new session, is one operation that replaces all.
        """
        if self._old is NOTHING:
            if self._new is NOTHING:
                return []
            return [{"op": "add" if self.path else "replace", "path": self.path, "value": self.value}]
        if self._new is NOTHING:
            return [{"op": "remove", "path": self.path}]
        return difference(self._old, self._new, self.path)

    @property
    def paths(self) -> list[str]:
        """JSON Pointers of what was added, removed or replaced."""
        return [operation["path"] for operation in self.operations]


@final
class Differences:
    """What differs from one look at a session to the next: it keeps what was seen last, and no queue."""

    def __init__(self, now: Callable[[], Moment], path: str) -> None:
        self._now = now
        self._path = path
        self._steps = split(path)
        self._seen: Moment | None = None

    def take(self) -> Change | None:
        """The change from the last look to now; None if there is none."""
        now, seen = self._now(), self._seen
        if seen is now:
            return None
        is_new = seen is not None and seen.sessions != now.sessions
        new = resolve(now.data, self._steps)
        old = NOTHING if seen is None or is_new else resolve(seen.data, self._steps)
        self._seen = now
        if self._steps and seen is not None and not is_new and same(old, new):
            return None  # something else has changed
        return Change(
            revision=now.revision,
            data=now.data,
            path=self._path,
            value=None if new is NOTHING else new,
            before=None if old is NOTHING else old,
            is_first=seen is None,
            is_new_session=is_new,
            old=old,
            new=new,
        )

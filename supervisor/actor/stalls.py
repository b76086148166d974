"""What code blocks a thread: read from the thread's frames while it runs, at no cost beforehand.

Essay: nothing is recorded beforehand, since the thread's frames say it all. Recording before each message whose it is
would cost something per message, to be read once a month. Any thread may look at another's frames. Where our code calls
an author's, there is a frame of a function that we know, and its local variables say whose work it is. So a table of
those functions is enough: the innermost of their frames gives application, session and work, and the frames inside it
are the author's own code.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any, final

import attrs

MAX_FRAMES = 40
"""Frames of a stack that are told, the innermost ones: an endless recursion has a thousand."""


@final
@attrs.frozen(kw_only=True)
class Work:
    """A piece of work that an author's code does for us."""

    application: str = "-"
    """The application's name, or "-"."""
    session: str = "-"
    """The session's short name, or "-"."""
    what: str
    """What it is, in words: "message Quote"."""
    piece: object
    """The same object for as long as it is the same piece of work; compared by identity."""


Describe = Callable[[Mapping[str, Any]], Work | None]
"""Describe(local variables of a frame): whose work is done inside of it; None if they don't say."""


@final
@attrs.frozen(kw_only=True)
class Held:
    """What held a thread at one moment."""

    application: str
    """The application's name, or "-"."""
    session: str
    """The session's short name, or "-"."""
    what: str
    """The piece of work, in words: "message Quote"."""
    where: str
    """Function, line and file of the app's code, or of whoever's it is: "parse, line 12 of /srv/ticker/feed.py"."""
    stack: str
    """What was called, the innermost last, as a traceback shows it."""

    def __str__(self) -> str:
        return f"application {self.application}, session {self.session}: {self.what}, in {self.where}"


@final
class Sample:
    """A thread's frames at one moment. Drop it soon: it keeps alive whatever their functions hold."""

    __slots__ = ("_frames", "_is_own", "_task", "_work")

    def __init__(
        self, frame: FrameType | None, places: Mapping[CodeType, Describe], is_own: Callable[[str], bool]
    ) -> None:
        self._is_own = is_own
        # The innermost first; of a known place only what lies inside of it.
        self._frames: list[FrameType] = []
        self._work: Work | None = None
        self._task: Any = None
        while frame is not None:
            describe = places.get(frame.f_code)
            if describe is not None and (work := describe(frame.f_locals)) is not None:
                self._work = work
                break
            if _runs_tasks(frame):
                self._task = frame.f_locals.get("task")
                break
            if not frame.f_code.co_filename.startswith("<frozen importlib"):  # as tracebacks leave them out
                self._frames.append(frame)
            frame = frame.f_back

    def is_same_piece(self, other: Sample) -> bool:
        """Whether both were taken in one and the same piece of work."""
        if self._work is None or other._work is None:
            return self._work is other._work and self._task is not None and self._task is other._task
        return self._work.piece is other._work.piece

    @property
    def what(self) -> str:
        """The piece of work, in words."""
        if self._work is not None:
            return self._work.what
        return "the server's own code" if self._task is None else f"task {self._task.name}"

    def tell(self, what: str | None = None) -> Held:
        """All of it as text; `what` in place of the piece of work, where it is nobody's."""
        work = self._work if what is None else None
        return Held(
            application="-" if work is None else work.application,
            session="-" if work is None else work.session,
            what=what or self.what,
            where=self._where(),
            stack=self._stack(),
        )

    def _where(self) -> str:
        if not self._frames:
            return "code that has no frame"
        frame = next((each for each in self._frames if self._is_own(each.f_code.co_filename)), self._frames[0])
        return f"{frame.f_code.co_qualname}, line {frame.f_lineno} of {frame.f_code.co_filename}"

    def _stack(self) -> str:
        frames = [(frame, frame.f_lineno) for frame in reversed(self._frames[:MAX_FRAMES])]
        return "".join(traceback.StackSummary.extract(frames).format())


def _runs_tasks(frame: FrameType) -> bool:
    """Whether a frame is trio's loop, around all that it calls. Known by name: trio doesn't offer it."""
    return frame.f_code.co_name == "unrolled_run" and frame.f_globals.get("__name__") == "trio._core._run"


@final
@attrs.frozen
class StackReader:
    """Reads what holds a thread.

    Args:
        places: our functions that call an author's code, and what their local variables say of it.
        is_own: whether a file is an app's own code, and no library's.
    """

    places: Mapping[CodeType, Describe]
    is_own: Callable[[str], bool]

    def sample(self, thread: int) -> Sample | None:
        """The frames of a thread now, by its `threading.get_ident()`; None if there is no such thread."""
        frame = sys._current_frames().get(thread)
        return None if frame is None else Sample(frame, self.places, self.is_own)

    def read(self, thread: int) -> Held | None:
        """What holds a thread now; None if there is no such thread. May be called in any thread."""
        sample = self.sample(thread)
        return None if sample is None else sample.tell()

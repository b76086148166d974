"""What stands in for what a session has in a server: who looks at its document, its background tasks, connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import attrs
import trio

from supervisor.document.base import Patch
from supervisor.document.json_document import decode_patch
from supervisor.session.connection import ConnectionContext, Ending
from supervisor.transport.wire import SessionWire


@final
@attrs.frozen(kw_only=True)
class Started:
    """One background task that the session started. It was not run: `func(*args)` is the test's to call."""

    func: Callable[..., Any]
    args: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self.func, "__qualname__", repr(self.func)))


@final
class Onlooker:
    """The session's audience: the wire, and who keeps the patches."""

    def __init__(self, wire: SessionWire, patches: list[list[dict[str, Any]]]) -> None:
        self._wire = wire
        self._patches = patches

    def committed(self, patch: Patch) -> None:
        """See `Audience.committed`."""
        self._patches.append(decode_patch(patch))
        self._wire.committed(patch)

    def editable(self, patterns: tuple[str, ...]) -> None:
        """See `Audience.editable`."""
        self._wire.editable(patterns)

    def restarting(self, pause: float) -> None:
        """See `Audience.restarting`."""
        self._wire.restarting(pause)

    def renewed(self, patterns: tuple[str, ...]) -> None:
        """See `Audience.renewed`."""
        self._wire.renewed(patterns)


@final
class Unrun:
    """Background tasks that are noted and not run; see `Tasks`."""

    def __init__(self, started: list[Started]) -> None:
        self._started = started

    def start(self, nursery: trio.Nursery | None, func: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        """See `Tasks.start`."""
        self._started.append(Started(func=func, args=args))
        return True

    def running(self) -> tuple[trio.CancelScope, ...]:
        """See `Tasks.running`."""
        return ()

    async def end(self, *, but: Any = ()) -> list[str]:
        """See `Tasks.end`."""
        return []


@final
class Link:
    """A connection that is attached; the session's end is all that it would hear."""

    def __init__(self, context: ConnectionContext) -> None:
        self.context = context

    def end(self, ending: Ending) -> None:
        """See `Connection.end`."""

    def cancel(self) -> None:
        """See `Connection.cancel`."""

"""The last hooks of an application's end: how their time is divided, and how they are called."""

from __future__ import annotations

from typing import Any

import trio

from supervisor.actor.guard import Report, pass_on, split_failure
from supervisor.actor.stopping import Stopping
from supervisor.actor.story import Story
from supervisor.application.handlers import Handler
from supervisor.application.hooks import call_author

CLOSING = 2.0
"""Seconds, from the end of the last session, in which connections that have none still say goodbye."""
UNLOAD_RESERVE = 2.0
"""Seconds of a shutdown's time that load and destroyed hooks must leave to the unload hooks."""
DESTROY_RESERVE = 2.0
"""Seconds of a shutdown's time that the closed hooks of connections must leave to the destroyed hooks, beside that."""
CLOSE_RESERVE = 2.0
"""Seconds of a shutdown's time that sessions which finish must leave to the closed hooks, beside these."""
HOOKS_ONLY = CLOSE_RESERVE + DESTROY_RESERVE + UNLOAD_RESERVE
"""Seconds that a shutdown has left when it is cut short: each kind of hook has its time, and nothing else has any."""


async def call_last_hook(
    stopping: Stopping,
    name: str,
    handler: Handler,
    *args: Any,
    timeout: float,
    reserve: float = 0.0,
    report: Report,
    story: Story | None = None,
) -> bool:
    """Call a closed, destroyed or unload hook, whose failure stops nobody: it is reported. Whether it succeeded.

    `story` is told that it is called.

    It must leave `reserve` seconds of what is left of the end's time, also if that becomes less while it runs.
    """
    try:
        scope = trio.CancelScope()
        with stopping.bounding(scope, reserve):
            await call_author(getattr(handler, name), *args, timeout=timeout, scope=scope, story=story)
    except BaseException as error:
        failure, rest = split_failure(error)
        if failure is not None:
            report(name, failure)
        if rest is not None:
            pass_on(error, rest)
        return False
    return True

"""Starting several applications: one whose load hooks fail doesn't keep the others from being served."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from supervisor.actor.stopping import Stopping
from supervisor.application.actor import ApplicationActor
from supervisor.application.stand_in import one_of
from supervisor.errors import ApplicationError


async def start_all(applications: Iterable[ApplicationActor], nursery: trio.Nursery, *, until: Stopping) -> None:
    """Start them in this nursery, one after the other, until it is told to stop; those that can't be loaded fail alone.

    Raises:
        ApplicationError: none could be loaded.
    """
    loaded, errors = 0, list[ApplicationError]()
    for application in applications:
        if not until.has_begun:
            try:
                await application.start(nursery)
                loaded += 1
            except ApplicationError as error:
                errors.append(error)
    if errors and not loaded:
        raise one_of(errors)

"""The gate: only signed links open a session, and HAProxy is told where it is."""

from __future__ import annotations

import logging

import trio

from supervisor import ApplicationContext, SessionContext, SessionRefused

from .balancer import Balancer, BalancerError
from .links import check_signature
from .settings import KEY, MAP, NODE, SOCKET

REPAIR_EVERY = 2.0
"""Seconds after which an HAProxy that was started anew has the whole map again."""

log = logging.getLogger(__name__)
balancer = Balancer(socket=SOCKET, map=MAP, node=NODE)


# Hooks may be async. The visitor waits for this one, and no other session does.
async def on_session_created(session_context: SessionContext) -> None:
    if not check_signature(session_context.id, KEY):
        raise SessionRefused("This link is not signed. Ask whoever gave it to you for a new one.")
    # Whatever this raises is a failure, not a refusal: the visitor gets an incident id, and the log has the reason.
    await balancer.enter(session_context.id)


# Called for exactly those sessions that were let in.
async def on_session_destroyed(session_context: SessionContext) -> None:
    await balancer.leave(session_context.id)


async def repair() -> None:
    try:
        await balancer.repair()
    except (OSError, trio.TooSlowError, BalancerError) as error:
        log.warning("HAProxy can't be told where sessions are: %s", error or type(error).__name__)


async def on_application_load(app_context: ApplicationContext) -> None:
    await repair()
    app_context.add_periodic_callback(repair, seconds=REPAIR_EVERY)

"""Hooks that count, and that misbehave where the session's name says so: `created~hang~17`, `closed~raise~3`."""

import ledger
import trio

HOOKS = ("created", "built", "opened", "closed", "destroyed")


async def misbehave(session_context, hook):
    """Do what the session's name says of this hook."""
    which, _, rest = session_context.id.partition("~")
    if which != hook:
        return
    kind = rest.partition("~")[0]
    if kind == "raise":
        raise ValueError(f"{hook} was to raise")
    if kind == "exit":
        raise SystemExit(3)
    if kind == "group":
        raise BaseExceptionGroup(f"{hook} was to raise several", [ValueError("one"), SystemExit(2)])
    if kind == "hang":
        await trio.sleep_forever()
    if kind == "late":
        await trio.sleep(0.2)
    if kind == "stubborn":  # goes on for a while after it was cancelled
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.2)
    if kind == "spawn":
        session_context.start_soon(background, "hook")
        session_context.start_soon(background, "hook")
    if kind == "destroy":
        session_context.destroy(reason=f"by its {hook} hook")


async def background(kind):
    ledger.seen_alive[kind] += 1
    try:
        await trio.sleep_forever()
    finally:
        ledger.seen_alive[kind] -= 1


def on_application_load(app_context):
    ledger.work = app_context
    app_context.share_presence()
    app_context.state.producers = {}


async def on_session_created(session_context):
    ledger.note(session_context.id, "created")
    await misbehave(session_context, "created")


async def on_session_destroyed(session_context):
    ledger.note(session_context.id, "destroyed")
    await misbehave(session_context, "destroyed")


async def on_connection_opened(session_context, connection):
    ledger.note(session_context.id, "opened")
    await misbehave(session_context, "opened")


async def on_connection_closed(session_context, connection):
    ledger.note(session_context.id, "closed")
    await misbehave(session_context, "closed")


def on_application_unload(app_context):
    print(f"unloaded with {len(app_context.sessions)} sessions", flush=True)

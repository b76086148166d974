"""The document that is stressed: an append-only log of labels, counters for each client, and what clients may edit."""

import attrs
import ledger
import trio

from supervisor import Rejected, receives

from .lifecycle import background, misbehave


async def modify_document(doc):
    doc.data.update(log=[], counters={}, todo=[], notes={}, tick=0, blob="")
    doc.allow_edits("/todo/*")
    doc.allow_edits("/notes/*", judge)
    ledger.note(doc.session_context.id, "built")
    await misbehave(doc.session_context, "built")


def judge(doc, edit):
    """Counts those that it lets pass, and raises for what it is told to."""
    if edit.value == "refuse":
        raise Rejected("This is refused.")
    if edit.value == "crash":
        doc.data["counters"]["judge"] = -1
        raise ValueError("the judge was to raise")
    doc.data["counters"]["judge"] = doc.data["counters"].get("judge", 0) + 1


@attrs.frozen
class Add:
    """Put a label into the log, and count it for who sends it; the answer is the log's length."""

    label: str
    who: str


@receives(Add, from_client=True)
def on_add(doc, message):
    data = doc.data
    data["log"].append(message.label)
    data["counters"][message.who] = data["counters"].get(message.who, 0) + 1
    return len(data["log"])


@attrs.frozen
class Late:
    """As `Add`, in two halves with a wait between them."""

    label: str
    seconds: float


@receives(Late, from_client=True)
async def on_late(doc, message):
    doc.data["counters"]["late"] = doc.data["counters"].get("late", 0) + 1
    await trio.sleep(message.seconds)
    doc.data["log"].append(message.label)


@attrs.frozen
class Crash:
    """Fail at a step, in a way."""

    label: str
    step: str
    how: str


def failure(how):
    if how == "SystemExit":
        return SystemExit(7)
    if how == "group":
        return BaseExceptionGroup("both", [ValueError("one"), SystemExit(7)])
    if how == "KeyError":
        return KeyError("missing")
    return ValueError("a handler was to raise")


async def fail(how):
    raise failure(how)


@receives(Crash, from_client=True)
async def on_crash(doc, message):
    data = doc.data
    if message.step == "before":
        raise failure(message.how)
    data["log"].append(message.label)
    data["counters"]["crash"] = data["counters"].get("crash", 0) + 1
    if message.step == "committed":
        doc.commit()
        data["log"].append(f"{message.label}-rolled-back")
    if message.step == "awaited":
        await trio.lowlevel.checkpoint()
    if message.step == "nested":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, message.how)
            nursery.start_soon(trio.sleep_forever)
    if message.step == "scope":
        with trio.move_on_after(0.01):
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                raise failure(message.how) from None
    if message.step == "answer":
        return {"no JSON": object()}
    if message.step == "value":
        data["counters"]["bad"] = float("nan")
    raise failure(message.how)


@attrs.frozen
class Hang:
    """Change something and never return; when it is cancelled, raise `how`, if that isn't empty."""

    label: str
    how: str = ""


@receives(Hang, from_client=True)
async def on_hang(doc, message):
    doc.data["log"].append(message.label)
    try:
        await trio.sleep_forever()
    finally:
        if message.how:
            raise failure(message.how)


@attrs.frozen
class Refuse:
    label: str


@receives(Refuse, from_client=True)
def on_refuse(doc, message):
    doc.data["log"].append(message.label)
    raise Rejected("No.")


@attrs.frozen
class Destroy:
    """Destroy the own session, from the handler."""

    label: str


@receives(Destroy, from_client=True)
def on_destroy(doc, message):
    doc.data["log"].append(message.label)
    doc.session_context.destroy(reason="by its own handler")
    doc.session_context.destroy(reason="twice")
    return "destroyed"


@attrs.frozen
class Fill:
    """Put a blob of so many characters into the document."""

    size: int
    letter: str


@receives(Fill, from_client=True)
def on_fill(doc, message):
    doc.data["blob"] = message.letter * message.size


@attrs.frozen
class Spawn:
    """Start background tasks of the session: `forever` ones, or such as `crash`."""

    kind: str
    count: int


@receives(Spawn, from_client=True)
def on_spawn(doc, message):
    for _ in range(message.count):
        if message.kind == "crash":
            doc.session_context.start_soon(fail, "ValueError")
        else:
            doc.session_context.start_soon(background, "message")


@attrs.frozen
class Timers:
    """Add periodic callbacks, of which some raise, and next ticks; `0` ms removes all."""

    count: int
    milliseconds: int
    crashing: int = 0


@receives(Timers, from_client=True)
def on_timers(doc, message):
    handles = getattr(ledger.work.state, "timers", None)
    if handles is None:
        handles = ledger.work.state.timers = {}
    own = handles.pop(doc.session_context.id, [])
    for handle in own:
        doc.remove_callback(handle)
    if message.milliseconds == 0:
        return len(own)

    def ring():
        doc.data["counters"]["rung"] = doc.data["counters"].get("rung", 0) + 1

    def crash():
        doc.data["counters"]["rung"] = -1
        raise ValueError("a timer was to raise")

    seconds = message.milliseconds / 1000
    own = [doc.add_periodic_callback(ring, seconds=seconds) for _ in range(message.count)]
    for _ in range(message.crashing):
        doc.add_timeout_callback(crash, seconds=seconds)
    handles[doc.session_context.id] = own
    return len(own)


@receives(ledger.Tick)
def on_tick(doc, tick):
    doc.data["tick"] = tick.number
    return tick.number


@receives(ledger.Work)
async def on_work(doc, message):
    doc.data["log"].append(message.label)
    if message.kind == "raise":
        raise failure("ValueError")
    if message.kind == "hang":
        await trio.sleep_forever()
    if message.kind == "late":
        await trio.sleep(0.02)
    return message.label

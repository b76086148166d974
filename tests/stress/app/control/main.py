"""What the checker gives orders by: it reads what the server holds, and plays the server's own side of a scenario."""

import math
from collections import Counter

import attrs
import ledger
import trio

from supervisor import MailboxFull, SessionGone, receives

from .measures import measure


def modify_document(doc):
    doc.data["ready"] = True


def find(id):
    return next((context for context in ledger.work.sessions if context.id == id), None)


@attrs.frozen
class Report:
    pass


@receives(Report, from_client=True)
def on_report(doc, message):
    statistics = ledger.work.statistics()
    return {
        **measure(),
        "sessions": len(ledger.work.sessions),
        "connections": len(ledger.work.connections),
        "producers": statistics.producers,
        "alive": +ledger.seen_alive,
    }


@attrs.frozen
class Read:
    """The document of a session, and its revision; nothing if there is none."""

    session: str


@receives(Read, from_client=True)
async def on_read(doc, message):
    context = find(message.session)
    if context is None:
        return None
    async with context.locked_document(timeout=10) as work:
        return {"data": plain(work.data), "revision": work.revision}


def plain(value):
    if hasattr(value, "items"):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return [plain(each) for each in value]


@attrs.frozen
class Hooks:
    """How often each hook has run, by session."""

    forget: bool = False


@receives(Hooks, from_client=True)
def on_hooks(doc, message):
    counts = {session: dict(each) for session, each in ledger.hooks.items()}
    if message.forget:
        live = {context.id for context in ledger.work.sessions}
        for session in list(ledger.hooks):
            if session not in live:
                del ledger.hooks[session]
    return counts


@attrs.frozen
class Broadcast:
    """Broadcast ticks, so many a second (0: as fast as it goes); what became of them, added up."""

    first: int
    count: int
    rate: float = 0.0
    timeout: float = 1.0


@receives(Broadcast, from_client=True)
async def on_broadcast(doc, message):
    fates = Counter()
    began = trio.current_time()
    for number in range(message.first, message.first + message.count):
        if message.rate:
            await trio.sleep_until(began + (number - message.first) / message.rate)
        report = await ledger.work.broadcast(ledger.Tick(number), timeout=message.timeout)
        fates.update(accepted=len(report.accepted), lagged=len(report.lagged), gone=len(report.gone))
        fates["slowest_ms"] = max(fates["slowest_ms"], math.ceil(1000 * (trio.current_time() - began)))
    return dict(fates)


@attrs.frozen
class Produce:
    """Have a producer of the work app broadcast ticks; a rate of 0 ends it."""

    key: str
    rate: float


@receives(Produce, from_client=True)
def on_produce(doc, message):
    producers = ledger.work.state.producers
    old = producers.pop(message.key, None)
    if old is not None:
        ledger.work.remove_callback(old)
    if message.rate:
        producers[message.key] = ledger.work.add_callback(produce, message.rate)


async def produce(rate):
    number = 0
    while True:
        number += 1
        await ledger.work.broadcast(ledger.Tick(number))
        await trio.sleep(1 / rate)


@attrs.frozen
class Flood:
    """Send a session many messages without waiting; how many it took, and for how many it had no room."""

    session: str
    count: int


@receives(Flood, from_client=True)
def on_flood(doc, message):
    fates, context = Counter(), find(message.session)
    for number in range(message.count):
        try:
            context.tell_nowait(ledger.Tick(number))
            fates["taken"] += 1
        except MailboxFull:
            fates["full"] += 1
    return dict(fates)


@attrs.frozen
class Ask:
    """Ask a session so many times at once; how each ask ended."""

    session: str
    count: int
    kind: str
    prefix: str
    timeout: float = 5.0


@receives(Ask, from_client=True)
async def on_ask(doc, message):
    context, ends = find(message.session), []

    async def ask(number):
        label = f"{message.prefix}-{number}"
        try:
            answer = await context.ask(ledger.Work(label, message.kind), timeout=message.timeout)
        except (SessionGone, trio.TooSlowError, ValueError) as error:
            ends.append([label, type(error).__name__])
        else:
            ends.append([label, "answered" if answer == label else "answered wrongly"])

    async with trio.open_nursery() as nursery:
        for number in range(message.count):
            nursery.start_soon(ask, number)
    return ends


@attrs.frozen
class Borrow:
    """Borrow a session's document so many times at once, and leave the block in a way; how each borrow ended."""

    session: str
    count: int
    kind: str
    prefix: str


@receives(Borrow, from_client=True)
async def on_borrow(doc, message):
    context, ends = find(message.session), []

    async def borrow(number):
        label = f"{message.prefix}-{number}"
        try:
            with trio.move_on_after(0.2 if message.kind in ("cancelled", "hang") else 20) as scope:
                async with context.locked_document(timeout=10) as work:
                    work.data["log"].append(label)
                    if message.kind == "raise":
                        raise ZeroDivisionError
                    if message.kind == "exit":
                        raise SystemExit(9)
                    if message.kind in ("cancelled", "hang"):
                        await trio.sleep_forever()
            ends.append([label, "cancelled" if scope.cancelled_caught else "kept"])
        except (ZeroDivisionError, SystemExit, SessionGone, trio.TooSlowError) as error:
            ends.append([label, type(error).__name__])

    async with trio.open_nursery() as nursery:
        for number in range(message.count):
            nursery.start_soon(borrow, number)
    return ends


@attrs.frozen
class Update:
    """Run a function in every session of the work app; what became of it."""

    label: str
    kind: str
    timeout: float = 1.0


@receives(Update, from_client=True)
async def on_update(doc, message):
    async def update(work):
        work.data["log"].append(message.label)
        if message.kind == "late":
            await trio.sleep(0.01)
        if message.kind == "raise":
            raise ValueError("an update was to raise")
        if message.kind == "hang":
            await trio.sleep_forever()

    began = trio.current_time()
    report = await ledger.work.update_sessions(update, timeout=message.timeout)
    return {
        "done": sorted(each.id for each in report.done),
        "lagged": sorted(each.id for each in report.lagged),
        "gone": sorted(each.id for each in report.gone),
        "failed": sorted(each.id for each in report.failed),
        "seconds": trio.current_time() - began,
    }


@attrs.frozen
class DestroySession:
    session: str
    times: int = 1


@receives(DestroySession, from_client=True)
async def on_destroy_session(doc, message):
    context = find(message.session)
    found = [ledger.work.destroy_session(message.session) for _ in range(message.times)]
    if context is not None:
        await context.wait_destroyed()
    return found


@attrs.frozen
class DestroyAll:
    """Destroy all sessions of the work app, and this app's other ones, and wait for their ends."""


@receives(DestroyAll, from_client=True)
async def on_destroy_all(doc, message):
    own = doc.session_context
    contexts = [*ledger.work.sessions, *(each for each in own.application.sessions if each is not own)]
    for context in contexts:
        context.destroy(reason="the scenario is over")
    for context in contexts:
        await context.wait_destroyed()
    return len(contexts)


@attrs.frozen
class Prices:
    """Send a session prices of a kind without waiting, of several symbols in turn; how many it took."""

    session: str
    kind: str
    count: int
    symbols: int


@receives(Prices, from_client=True)
def on_prices(doc, message):
    fates, context = Counter(), find(message.session)
    for number in range(message.count):
        try:
            context.tell_nowait(ledger.PRICES[message.kind](f"S{number % message.symbols}", number))
            fates["taken"] += 1
        except MailboxFull:
            fates["full"] += 1
    return dict(fates)

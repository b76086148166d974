"""A fast feed for sessions that may be slow: of the ticks that wait, each session handles the newest per symbol."""

import random

import attrs
import trio

from supervisor import receives


@attrs.frozen
class Quote:
    symbol: str
    price: float


@attrs.frozen
class Trade:
    symbol: str
    size: int


@attrs.frozen
class Report:
    """Asks for a long calculation; one at a time is enough."""


async def run_feed(app_context):
    while True:
        symbol = random.choice(["ACME", "INIT", "OMNI"])
        await app_context.broadcast(Quote(symbol, round(random.uniform(90, 110), 2)))
        await app_context.broadcast(Trade(symbol, random.randint(1, 9)))
        await trio.sleep(0.001)


def on_application_load(app_context):
    app_context.add_callback(run_feed, app_context)


def modify_document(doc):
    doc.data = {"prices": {}, "trades": [], "reports": 0}


# A price that waits is worth nothing once there is a newer one.
@receives(Quote, conflate=lambda quote: quote.symbol)
def on_quote(doc, quote):
    doc.data["prices"][quote.symbol] = quote.price


# Each trade counts, but the feed must not wait: without room the oldest goes.
@receives(Trade, when_full="drop_oldest")
def on_trade(doc, trade):
    doc.data["trades"] = [*doc.data["trades"][-9:], f"{trade.size} {trade.symbol}"]


# Who asks for a report while the session is busy is told so at once.
@receives(Report, from_client=True, when_full="refuse")
async def on_report(doc, report):
    await trio.sleep(0.5)  # a long calculation
    doc.data["reports"] += 1
    return doc.data["reports"]

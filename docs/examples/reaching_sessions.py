"""The ways from a producer to the sessions, one after the other."""

import attrs
import trio

from supervisor import receives


@attrs.frozen
class Quote:
    symbol: str
    price: float


def modify_document(doc):
    doc.data = {"price": None, "updates": 0}


@receives(Quote)
def on_quote(doc, quote):
    doc.data["price"] = quote.price


def show(doc, price):
    doc.data["price"] = price
    doc.data["updates"] += 1


async def reach_sessions(app_context):
    while True:
        report = await app_context.broadcast(Quote("ACME", 12.5))  # one message to all; each session handles it
        assert not report.lagged
        report = await app_context.update_sessions(show, 12.5)  # show(doc, 12.5) in all; waits until it has run
        assert not report.failed
        for session_context in app_context.sessions:  # or one by one
            async with session_context.locked_document() as doc:
                show(doc, 12.5)
        await trio.sleep(1)


def on_application_load(app_context):
    app_context.add_callback(reach_sessions, app_context)

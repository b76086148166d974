"""A session's part: what its document begins with, and what it does with messages."""

import attrs

from supervisor import Rejected, receives

from .feed import prices


@attrs.frozen
class Quote:
    """A price has changed."""

    symbol: str
    price: float


@attrs.frozen
class Watch:
    """A visitor wants to see a symbol."""

    symbol: str


def modify_document(doc):
    doc.data = {"symbols": list(prices), "watched": {}}


@receives(Quote)
def on_quote(doc, quote):
    if quote.symbol in doc.data["watched"]:
        doc.data["watched"][quote.symbol] = quote.price


@receives(Watch, from_client=True)
def on_watch(doc, watch):
    if watch.symbol not in prices:
        raise Rejected(f"There is no symbol {watch.symbol}.")
    doc.data["watched"][watch.symbol] = prices[watch.symbol]
    return len(doc.data["watched"])

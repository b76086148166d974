"""An app with handlers of every kind."""

import attrs

from supervisor.actor.in_thread import in_thread
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.errors import Rejected
from supervisor.session.receivers import receives


@attrs.frozen
class Quote:
    symbol: str
    price: float


@attrs.frozen
class Call:
    """Calls a function with the document."""

    func: object


@attrs.frozen
class Slowly:
    func: object


@attrs.frozen
class Threaded:
    func: object


@attrs.frozen
class Unknown:
    pass


@receives(Quote, from_client=True)
def on_quote(doc, quote):
    if quote.price < 0:
        doc.data["prices"][quote.symbol] = "?"
        raise ValueError(quote.price)
    if quote.price == 0:
        raise Rejected("free")
    doc.data["prices"][quote.symbol] = quote.price
    return (quote.symbol, len(doc.data["prices"]))


@receives(Call)
def on_call(doc, call):
    return call.func(doc)


@receives(Slowly)
async def on_slowly(doc, message):
    return await message.func(doc)


@receives(Threaded)
@in_thread
def on_threaded(doc, message):
    return message.func(doc)


def modify_document(doc):
    doc.data["prices"] = {}


def ticker(failure_policy=None, **hooks):
    receivers = {each.__name__: each for each in (on_quote, on_call, on_slowly, on_threaded)}
    namespace = {"modify_document": modify_document, **receivers, **hooks}
    return Application(NamespaceHandler(namespace, where="ticker"), name="ticker", failure_policy=failure_policy)

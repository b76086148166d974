"""The shop's part: one offer after the other, for all visitors."""

import itertools

import trio

from .main import Offer

OFFERS = [("apples", 1.2), ("coffee", 4.5), ("rice", 0.9)]


async def make_offers(app_context):
    for name, price in itertools.cycle(OFFERS):
        await trio.sleep(5)
        await app_context.broadcast(Offer(name, price))


def choose_session_id(request):
    """All visitors come to one session; without this function each gets a new one."""
    return "family"


def on_application_load(app_context):
    app_context.add_callback(make_offers, app_context)

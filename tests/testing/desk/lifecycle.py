"""A desk with a bug that is kept: it depends on the order of three tasks, and trio's own scheduler never shows it.

Two feeds know the first price, and whichever runs first writes it down; the ticker that is started between them reads
it. Trio by itself runs what can run forwards or backwards. Forwards the exchange comes before the ticker, backwards the
replay does; the ticker is never the first.
"""


async def listen_to_exchange(app_context):
    app_context.state.prices.setdefault("ACME", 12.0)


async def show_first_price(app_context):
    app_context.state.first = app_context.state.prices["ACME"]


async def listen_to_replay(app_context):
    app_context.state.prices.setdefault("ACME", 12.0)


def on_application_load(app_context):
    app_context.state.prices = {}
    app_context.add_callback(listen_to_exchange, app_context)
    app_context.add_callback(show_first_price, app_context)
    app_context.add_callback(listen_to_replay, app_context)

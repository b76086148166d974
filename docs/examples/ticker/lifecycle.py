"""The application's part: one producer reads the feed, however many visitors there are."""

from .feed import next_quote
from .main import Quote


async def listen_for_changes(app_context):
    while True:
        symbol, price = await next_quote()
        await app_context.broadcast(Quote(symbol, price))


def on_application_load(app_context):
    app_context.add_callback(listen_for_changes, app_context)

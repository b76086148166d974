"""Made-up prices: a random walk, which stands for a source that costs something to read."""

import random

import trio

INTERVAL = 0.5
prices = {"ACME": 120.0, "GLOBEX": 45.0, "INITECH": 12.0}


async def next_quote():
    """Wait for the next price; returns symbol and price."""
    await trio.sleep(INTERVAL)
    symbol = random.choice(list(prices))
    prices[symbol] = round(prices[symbol] * random.uniform(0.98, 1.02), 2)
    return symbol, prices[symbol]

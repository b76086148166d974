"""Waits until a symbol of the ticker costs more than a limit, and says its price.

python price_alarm.py http://localhost:5006/ticker ACME 120
"""

import sys

import trio

from supervisor.client import ConnectFailed, SendRejected, SessionEnded, connect


async def wait_for_price(url, symbol, limit, **options):
    async with connect(url, **options) as session:
        await session.send("Watch", {"symbol": symbol})
        async for change in session.changes(f"/watched/{symbol}"):
            if change.is_new_session:  # it knows nothing of what was sent to the old one
                await session.send("Watch", {"symbol": symbol})
            elif change.value is not None and change.value > limit:
                break
        return change.value


if __name__ == "__main__":
    url, symbol, limit = sys.argv[1:]
    try:
        print(trio.run(wait_for_price, url, symbol, float(limit)))
    except (ConnectFailed, SendRejected, SessionEnded, trio.TooSlowError) as error:
        sys.exit(str(error))

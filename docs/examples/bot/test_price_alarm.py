"""The tests of the bot: it talks to a whole server in memory, and no minute is waited for."""

import importlib.util
from pathlib import Path

import pytest

from supervisor.client import SendRejected

HERE = Path(__file__).parent


def load_bot():
    spec = importlib.util.spec_from_file_location("price_alarm", HERE / "price_alarm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_bot_tells_a_price_above_the_limit(supervise):
    bot = load_bot()
    async with supervise(HERE.parent / "ticker") as app:

        async def open_stream(host, port):
            return await app.transport.connect()

        url = "http://localhost/ticker"
        assert await bot.wait_for_price(url, "ACME", 1, open_stream=open_stream) > 1
        with pytest.raises(SendRejected, match="There is no symbol NONE"):
            await bot.wait_for_price(url, "NONE", 1, open_stream=open_stream)

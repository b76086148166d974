"""The tests of `ticker`, as its author would write them."""

from pathlib import Path

import pytest
import trio

from supervisor import Handler, SessionRefused
from supervisor.testing import PageRefused, SendFailed

TICKER = Path(__file__).parent / "ticker"


async def test_prices_arrive_in_each_session(supervise):
    async with supervise(TICKER) as app:
        first = await (await app.new_session()).connect()
        second = await (await app.new_session()).connect()
        assert await first.send("Watch", symbol="ACME") == 1
        price = first.data["watched"]["ACME"]
        await first.until(lambda data: data["watched"]["ACME"] != price)
        assert second.data["watched"] == {}


async def test_only_known_symbols_can_be_watched(supervise):
    async with supervise(TICKER) as app:
        client = await (await app.new_session()).connect()
        with pytest.raises(SendFailed, match="There is no symbol NONE") as refused:
            await client.send("Watch", symbol="NONE")
        assert refused.value.kind == "rejected"
        with pytest.raises(SendFailed, match="symbol") as refused:
            await client.send("Watch", symbol=5)
        assert refused.value.kind == "invalid"
        assert client.data["watched"] == {}


async def test_a_client_that_comes_back_misses_nothing(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        client = await session.connect()
        await client.send("Watch", symbol="ACME")
        await client.drop()
        await trio.sleep(10)
        await client.reconnect()
        revision = session.context.document.revision
        await client.until(lambda data: client.revision >= revision)


async def test_a_failure_shows_in_the_test(supervise):
    class Broken(Handler):
        def modify_document(self, doc):
            raise ZeroDivisionError

    async with supervise(Broken()) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session()
        assert refused.value.status == 500
        assert [type(incident.error) for incident in app.incidents] == [ZeroDivisionError]
        app.incidents.clear()


async def test_a_hook_refuses_visitors(supervise):
    class MembersOnly(Handler):
        def on_session_created(self, session_context):
            if "member" not in session_context.request.cookies:
                raise SessionRefused("Please log in first.")

    async with supervise(MembersOnly()) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session()
        assert refused.value.status == 403
        assert "Please log in first." in refused.value.text
        await app.new_session(cookies={"member": "Ada"})

"""The tests of `members`."""

from pathlib import Path

import pytest

from supervisor.testing import PageRefused

MEMBERS = Path(__file__).parent
ADA = {"member": "Ada.9310b5bd1982553c564fef2efff269e51df92a69616affceba9506ffe54b7716"}
EVE = {"member": "Eve.743fc1cc3618fe8c409dd84af206f58ba9383ae2d3ceb93fe6f304cfae31ce61"}
FORGED = {"member": EVE["member"].replace("Eve", "Ada")}


async def test_a_signed_cookie_lets_in(supervise):
    async with supervise(MEMBERS) as app:
        session = await app.new_session(cookies=ADA)
        client = await session.connect()
        assert client.data == {"member": "Ada"}


@pytest.mark.parametrize("cookies", [{}, {"member": "Ada"}, FORGED])
async def test_nobody_else_gets_in(supervise, cookies):
    async with supervise(MEMBERS) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session(cookies=cookies)
        assert refused.value.status == 403
        assert "Please log in first." in refused.value.text


async def test_nobody_attaches_to_the_session_of_another(supervise):
    async with supervise(MEMBERS) as app:
        session = await app.new_session(cookies=ADA)
        await session.connect()
        followed = await app.new_session(id=session.id, cookies=EVE)  # Eve was given the page's address
        ended = await followed.client().until_ended()
        assert (ended.code, "somebody else" in ended.reason) == (4403, True)

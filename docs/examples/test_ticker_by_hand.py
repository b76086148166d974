"""One session of `ticker`, driven by hand: no server, and each line has happened when the next one is reached."""

from pathlib import Path

import pytest

from supervisor import Rejected
from supervisor.testing import hand_driven

TICKER = Path(__file__).parent / "ticker"


async def test_a_session_shows_what_is_watched():
    async with hand_driven(TICKER) as session:
        messages = session.messages
        assert session.receive_from_client("Watch", {"symbol": "ACME"}) == 1
        session.receive(messages.Quote("ACME", 12.5))
        session.receive(messages.Quote("OTHER", 1.0))
        assert session.data["watched"] == {"ACME": 12.5}
        assert session.patches[-1] == [{"op": "replace", "path": "/watched/ACME", "value": 12.5}]


async def test_a_symbol_that_is_unknown_is_rejected():
    async with hand_driven(TICKER) as session:
        with pytest.raises(Rejected, match="There is no symbol NONE"):
            session.receive_from_client("Watch", {"symbol": "NONE"})
        assert session.data["watched"] == {}

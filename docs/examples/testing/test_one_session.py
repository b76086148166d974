"""What does a handler do with a message? One session, no server."""

from pathlib import Path

import pytest

from supervisor import Rejected
from supervisor.testing import hand_driven

TICKER = Path(__file__).parents[1] / "ticker"


async def test_a_quote_changes_what_is_watched():
    async with hand_driven(TICKER) as session:
        quote = session.messages.Quote
        assert session.receive_from_client("Watch", {"symbol": "ACME"}) == 1
        session.receive(quote("ACME", 12.5))
        session.receive(quote("GLOBEX", 1.0))  # nobody watches it
        assert session.data["watched"] == {"ACME": 12.5}
        assert session.patches[-1] == [{"op": "replace", "path": "/watched/ACME", "value": 12.5}]
        with pytest.raises(Rejected, match="no symbol NONE"):
            session.receive_from_client("Watch", {"symbol": "NONE"})

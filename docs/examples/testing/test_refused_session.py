"""Is a visitor turned away who may not come in, and leaves nothing behind?"""

from pathlib import Path

import pytest

from supervisor.testing import PageRefused

MEMBERS = Path(__file__).parents[1] / "members"
ADA = {"member": "Ada.9310b5bd1982553c564fef2efff269e51df92a69616affceba9506ffe54b7716"}


async def test_a_stranger_gets_no_session(supervise):
    async with supervise(MEMBERS) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session(cookies={"member": "Ada"})  # not signed
        assert refused.value.status == 403
        assert "Please log in first." in refused.value.text
        assert len(app.sessions) == 0
        await app.new_session(cookies=ADA)
        assert len(app.sessions) == 1

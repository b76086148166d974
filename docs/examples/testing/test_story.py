"""What did a session go through?"""

import re
from pathlib import Path

import pytest
import trio

from supervisor.testing import SendFailed

HERE = Path(__file__).parent
TICKER = HERE.parent / "ticker"


@pytest.mark.virtual_time("its story has times")
async def test_a_session_has_a_story(supervise):
    async with supervise(TICKER) as app:
        session = await app.new_session()
        client = await session.connect()
        await client.send("Watch", symbol="ACME")
        await trio.sleep(0.25)
        await session.context.tell(app.messages.Quote("ACME", 12.5))
        await client.until(lambda data: data["watched"]["ACME"] == 12.5)
        with pytest.raises(SendFailed):
            await client.send("Watch", symbol="NONE")
        story = app.story(session)
        print(story)
    assert named(story) == (HERE / "story.txt").read_text().rstrip()


def named(story):
    """The story with names that are the same in each run."""
    story = re.sub(r"(?<=session )[\w-]{8}", "4f2cA1x_", story)
    return re.sub(r"(connection|; to) [\w-]{8}", r"\1 91Oqs9-Z", story)

"""One websocket connection against the real server, by a peer that writes and reads raw frames.

Memory streams and virtual time for most; loopback TCP where the socket matters.
"""

import pytest

from ..peers import serve_on_tcp, serving


@pytest.fixture
def serve(supervise):
    return serving(supervise)


@pytest.fixture
async def table(serve):
    async with serve() as table:
        yield table


@pytest.fixture
def serve_tcp():
    return serve_on_tcp

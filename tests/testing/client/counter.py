"""An app that counts, with a handler of each kind of answer; and a server that is made by hand."""

import attrs
import trio
import trio.testing

from supervisor.client.address import page_address
from supervisor.client.page import Entry
from supervisor.client.visit import Visit
from supervisor.errors import Rejected
from supervisor.session.receivers import receives


@attrs.frozen
class Add:
    by: int = 1


@attrs.frozen
class Refuse:
    pass


@attrs.frozen
class Wait:
    seconds: float


def modify_document(doc):
    doc.data["n"] = 0


@receives(Add, from_client=True)
def on_add(doc, message):
    doc.data["n"] += message.by
    return doc.data["n"]


@receives(Refuse, from_client=True)
def on_refuse(doc, message):
    raise Rejected("no")


@receives(Wait, from_client=True)
async def on_wait(doc, message):
    await trio.sleep(message.seconds)


def add(doc, by=1):
    doc.data["n"] += by


VISIT = Visit(
    entry=Entry(session="s", token="t", websocket="/"), websocket=page_address("http://localhost/"), headers=()
)


class HandMade:
    """The other end of a client's streams, by hand."""

    def __init__(self):
        self.streams = []

    async def connect(self):
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(theirs)
        return ours


def grow(doc):
    doc.data["n"] += 1
    doc.data["text"] = f"{doc.data['n']} " + "x" * 20_000


class Codes(list):
    """With what connections have ended, as the server sees it."""

    def __init__(self, app):
        self._told = trio.Event()
        app.server.runtime.instruments.connection_detached = self._on_detached

    def _on_detached(self, *, code, **told):
        self.append(code)
        self._told.set()

    async def wait(self):
        """Wait for the first."""
        await self._told.wait()

"""Apps of functions, and connections that go silent. What is told of frames is in `websocket/`."""

import attrs
import trio
import trio.testing

from supervisor.protocol import events


def app_of(**namespace):
    from supervisor.application.handlers import Application, NamespaceHandler

    namespace.setdefault("modify_document", lambda doc: doc.data.update(n=0))
    return Application(NamespaceHandler(namespace, where="app"), name="app")


@attrs.frozen
class Add:
    pass


def closings(client):
    return [(event.code, event.reason) for event in client.received if isinstance(event, events.Closing)]


def names_in(peers):
    return sorted(peer.name for peer in peers.values())


class Silence:
    """Between the server and those who connect from now on: once cut, nothing gets through, not even an end."""

    def __init__(self, listener, nursery):
        self._connect = listener.connect
        self._nursery = nursery
        self._cuts = []
        listener.connect = self.connect

    async def connect(self):
        inside = await self._connect()
        client, outside = trio.testing.memory_stream_pair()
        cut = trio.Event()
        self._cuts.append(cut)
        self._nursery.start_soon(self._pump, inside, outside, cut)
        self._nursery.start_soon(self._pump, outside, inside, cut)
        return client

    def cut(self):
        for cut in self._cuts:
            cut.set()

    async def _pump(self, source, target, cut):
        try:
            while data := await source.receive_some():
                if not cut.is_set():
                    await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        if not cut.is_set():
            await trio.aclose_forcefully(target)

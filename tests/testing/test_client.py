"""The kit's client: a mirror, sends, and what happens when the connection is lost."""

import itertools

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.errors import Rejected, SendFailed, SendInvalid, SendRejected, SendUnsent
from supervisor.protocol import events
from supervisor.protocol.client import ClientConnection
from supervisor.session.receivers import receives
from supervisor.testing.client import ANSWER, Client
from supervisor.transport.frames import text_frame


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


@pytest.fixture
async def app(supervise):
    namespace = {"modify_document": modify_document, "on_add": on_add, "on_refuse": on_refuse, "on_wait": on_wait}
    async with supervise(Application(NamespaceHandler(namespace, where="app"), name="app")) as app:
        yield app


@pytest.fixture
async def session(app):
    return await app.new_session()


async def test_it_mirrors_the_document(session):
    client = await session.connect()
    assert (client.status, client.data, client.revision) == ("live", {"n": 0}, 1)
    await session.context.with_locked_document(add)
    await client.until(lambda data: data["n"] == 1)
    assert client.revision == 2
    assert [type(event) for event in client.received] == [events.Attached, events.Snapshotted, events.Patched]
    assert repr(client) == "<Client live at revision 2>"


async def test_a_send_returns_the_answer(session):
    client = await session.connect()
    assert await client.send("Add", by=3) == 3
    assert client.data == {"n": 3}  # the patch comes before the answer


async def test_sends_may_be_under_way_at_once(session):
    client = await session.connect()
    answers = []

    async def send():
        answers.append(await client.send("Add"))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(send)
    assert sorted(answers) == list(range(1, 101))


@pytest.mark.parametrize(
    ("name", "fields", "kind", "error"),
    [("Refuse", {}, "rejected", SendRejected), ("Add", {"by": "3"}, "invalid", SendInvalid)],
)
async def test_a_send_that_is_not_done_raises(session, name, fields, kind, error):
    """By the very classes of the Python client, so that what a program catches can be tried here."""
    client = await session.connect()
    with pytest.raises(SendFailed) as failed:
        await client.send(name, **fields)
    assert type(failed.value) is error
    assert failed.value.kind == kind
    assert failed.value.text == str(failed.value)
    assert failed.value.incident is None


async def test_until_shows_the_last_data_if_it_never_comes_true(session):
    client = await session.connect()
    began = trio.current_time()
    with pytest.raises(AssertionError, match=r"not within 60 s; the last data: \{'n': 0\}"):
        await client.until(lambda data: data["n"] == 1)
    assert trio.current_time() - began == pytest.approx(60)
    with pytest.raises(AssertionError, match="not within 5 s"):
        await client.until(lambda data: data["n"] == 1, timeout=5)


async def test_until_fails_at_once_when_the_client_has_ended(session):
    client = await session.connect()
    session.context.destroy(reason="over")
    began = trio.current_time()
    with pytest.raises(AssertionError, match=r"the client ended \(Ended\(code=4410, reason='over'.*'n': 0"):
        await client.until(lambda data: data["n"] == 1)
    assert trio.current_time() == began


async def test_until_ended_says_why(session):
    client = await session.connect()
    with pytest.raises(trio.TooSlowError):
        await client.until_ended(timeout=1)
    session.context.destroy(reason="over")
    ended = await client.until_ended()
    assert (ended.code, ended.reason) == (4410, "over")
    assert client.status == "ended"
    assert client.ended is ended


async def test_a_dropped_connection_misses_nothing(session):
    client = await session.connect()
    await client.drop()
    await trio.sleep(5)
    assert client.status == "reconnecting"
    for _ in range(3):
        await session.context.with_locked_document(add)
    assert client.data == {"n": 0}
    client.reconnect()
    await client.until(lambda data: data["n"] == 3)
    assert client.status == "live"
    assert events.Attached(resumed=True) in client.received


async def test_a_connection_that_is_lost_comes_back_by_itself(session):
    client = await session.connect()
    await client.drop()
    client.reconnect()
    await session.context.with_locked_document(add)
    await client.until(lambda data: data["n"] == 1)


async def test_a_client_may_be_offline_from_the_start(session):
    client = session.client()
    await client.drop()
    await trio.sleep(1)
    assert client.status == "connecting"
    client.reconnect()
    await client.until(lambda data: True)


async def test_a_send_into_a_connection_that_is_just_lost_is_done_after_the_return(session):
    client = await session.connect()
    client._stream.send_stream.close()
    assert await client.send("Add") == 1
    assert client.data == {"n": 1}


async def test_a_send_while_offline_is_done_after_the_return(session):
    client = await session.connect()
    await client.drop()
    answers = []

    async def send():
        answers.append(await client.send("Add"))

    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(send)
        await trio.sleep(10)
        with pytest.raises(SendUnsent):
            await client.send("Add")
        assert answers == []
        client.reconnect()
    assert sorted(answers) == list(range(1, 65))


async def test_a_send_whose_connection_is_lost_is_done_once(session):
    client = await session.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.send("Wait", seconds=5))
        nursery.start_soon(lambda: client.send("Add"))
        await trio.testing.wait_all_tasks_blocked()
        await client.drop()
        await trio.sleep(8)
        client.reconnect()
    assert client.data == {"n": 1}


async def test_a_send_that_was_under_way_at_the_end_is_unknown(session):
    client = await session.connect()
    async with trio.open_nursery() as nursery:

        async def send():
            with pytest.raises(SendFailed) as failed:
                await client.send("Wait", seconds=100)
            assert failed.value.kind == "unknown"

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        session.context.destroy()
    with pytest.raises(SendUnsent):
        await client.send("Add")


async def test_a_send_that_is_never_answered_fails_the_test(session):
    client = await session.connect()
    await client.drop()
    began = trio.current_time()
    with pytest.raises(AssertionError, match="no answer to Add within 600 s; <Client reconnecting"):
        await client.send("Add")
    assert trio.current_time() - began == pytest.approx(ANSWER)


async def test_closing_is_polite_and_final(app, session):
    client = await session.connect()
    codes = []
    app.server.runtime.instruments.connection_detached = lambda **told: codes.append(told["code"])
    await client.close()
    await trio.testing.wait_all_tasks_blocked()
    assert client.status == "ended"
    assert client.ended.code == 1000
    assert session.context.connections == ()
    assert codes == [1000]
    await client.close()
    with pytest.raises(AssertionError, match="closed by the test"):
        await client.until(lambda data: False)


async def test_a_send_under_way_fails_when_the_client_is_closed(session):
    client = await session.connect()
    async with trio.open_nursery() as nursery:

        async def send():
            with pytest.raises(AssertionError, match="the client ended before the answer"):
                await client.send("Wait", seconds=100)

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await client.close()


@pytest.mark.parametrize("steps", range(0, 40, 2))
async def test_a_client_can_be_closed_while_it_connects(session, steps):
    client = session.client()
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    with trio.fail_after(1):
        await client.close()
    await trio.testing.wait_all_tasks_blocked()
    assert session.context.connections == ()


@pytest.mark.parametrize("moment", ["offline", "about to reconnect", "connecting"])
async def test_a_client_can_be_closed_at_any_time(session, moment):
    if moment == "connecting":
        client = session.client()
    else:
        client = await session.connect()
        await client.drop()
    if moment == "about to reconnect":
        client.reconnect()
        await trio.testing.wait_all_tasks_blocked()
    elif moment == "offline":
        await trio.sleep(5)
    with trio.fail_after(1):
        await client.close()
    assert client.status == "ended"


async def test_a_client_that_was_ended_by_the_server_keeps_its_reason(session):
    client = await session.connect()
    session.context.destroy(reason="over")
    await client.until_ended()
    await client.close()
    assert client.ended.code == 4410


class Server:
    """The other end of a client's streams, by hand."""

    def __init__(self):
        self.streams = []

    async def connect(self):
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(theirs)
        return ours


async def test_without_a_network_it_tries_again_ever_more_slowly(nursery, autojump_clock):
    tries = []

    async def refuse():
        tries.append(trio.current_time())
        raise OSError("no network")

    client = Client(refuse, "/", ClientConnection(token="t"))
    nursery.start_soon(client.run)
    await trio.sleep(300)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 0.25 <= pauses[0] <= 0.5
    assert all(15 <= pause <= 30 for pause in pauses[7:])
    assert client.status == "connecting"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["closed", "silent", "refused"])
async def test_a_server_that_does_not_shake_hands_is_tried_again(nursery, autojump_clock, how):
    server = Server()
    client = Client(server.connect, "/", ClientConnection(token="t"))
    nursery.start_soon(client.run)
    await trio.testing.wait_all_tasks_blocked()
    [stream] = server.streams
    await stream.receive_some()
    if how == "closed":
        await stream.aclose()
    elif how == "refused":
        await stream.send_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    await trio.sleep(11)
    assert len(server.streams) > 1
    nursery.cancel_scope.cancel()


async def test_a_server_that_breaks_the_rules_is_left_and_tried_again(app, session):
    client = await session.connect()
    wire = app.actor.find(session.id).audience
    for viewer in list(wire._viewers):
        viewer.show(text_frame(b'{"type":"nonsense"}'))
    await trio.testing.wait_all_tasks_blocked()
    assert client.status == "reconnecting"
    await trio.sleep(1)
    assert client.status == "live"
    assert [event for event in client.received if isinstance(event, events.Attached)][-1].resumed is False


async def test_a_client_watches_who_is_there(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session()
        client = session.client()
        assert client.peer is None
        await client.present({"colour": "red"})
        await client.until_present(lambda peers: client.peer in peers)
        assert client.presence["session"][client.peer].metadata == {"colour": "red"}
        assert client.presence["application"] == {}
        with pytest.raises(AssertionError, match=r"not within 2 s; there were .*red"):
            await client.until_present(lambda peers: len(peers) == 2, timeout=2)
        session.context.destroy()
        with pytest.raises(AssertionError, match=r"the client ended .*; there were .*red"):
            await client.until_present(lambda peers: len(peers) == 2)


@pytest.mark.parametrize("pings", [1, 2, 3])
async def test_a_ping_that_comes_while_a_client_leaves_harms_nothing(session, pings):
    """Trap: trio-websocket answers it after the close frame, and raises LocalProtocolError."""
    client = await session.connect()
    await trio.sleep(20 * pings)
    await client.close()
    assert client.status == "ended"

"""The kit's client: a mirror, sends, and what happens when the connection is lost."""

import functools
import itertools

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, FunctionHandler, NamespaceHandler
from supervisor.client.address import page_address
from supervisor.client.dialing import Dialer
from supervisor.client.page import Entry
from supervisor.client.visit import Visit, Visitor
from supervisor.errors import Rejected, SendFailed, SendInvalid, SendRejected, SendUnknown, SendUnsent
from supervisor.protocol import events
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing.client import ANSWER, Client
from supervisor.testing.network import Conditions, Network
from supervisor.testing.record import MAX_PATCHES
from supervisor.transport.frames import text_frame
from supervisor.transport.websocket_options import WebSocketOptions


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


@pytest.mark.virtual_time("a minute passes")
async def test_until_waits_for_a_minute(session):
    client = await session.connect()
    began = trio.current_time()
    with pytest.raises(AssertionError, match=r"not within 60 s; the last data: \{'n': 0\}"):
        await client.until(lambda data: data["n"] == 1)
    assert trio.current_time() - began == pytest.approx(60)


async def test_until_shows_the_last_data_if_it_never_comes_true(session):
    client = await session.connect()
    with pytest.raises(AssertionError, match=r"not within 0.5 s; the last data: \{'n': 0\}"):
        await client.until(lambda data: data["n"] == 1, timeout=0.5)
    await client.drop()
    with pytest.raises(
        AssertionError, match=r"^not within 0.5 s; the client is reconnecting \(.+\); the last data: \{"
    ):
        await client.until(lambda data: data["n"] == 1, timeout=0.5)


async def test_until_fails_at_once_when_the_client_has_ended(session):
    client = await session.connect()
    session.context.destroy(reason="over")
    began = trio.current_time()
    with pytest.raises(AssertionError, match=r"the client ended \(code 4410: over\); .*'n': 0"):
        await client.until(lambda data: data["n"] == 1)
    assert trio.current_time() < began + 1


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
    await client.reconnect()
    await client.until(lambda data: data["n"] == 3)
    assert client.status == "live"
    assert events.Attached(resumed=True, revision=4) in client.received


async def test_a_connection_that_is_lost_comes_back_by_itself(session):
    client = await session.connect()
    await client.drop()
    await client.reconnect()
    await session.context.with_locked_document(add)
    await client.until(lambda data: data["n"] == 1)


async def test_a_client_may_be_offline_from_the_start(session):
    client = session.client()
    await client.drop()
    await trio.sleep(1)
    assert client.status == "connecting"
    await client.reconnect()
    await client.until(lambda data: True)


async def test_a_send_into_a_connection_that_is_just_lost_is_done_after_the_return(session):
    client = await session.connect()
    await trio.aclose_forcefully(client._stream._stream)
    assert client.status == "live"  # as far as it knows
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
        await client.reconnect()
    assert sorted(answers) == list(range(1, 65))


async def test_a_send_whose_connection_is_lost_is_done_once(session):
    client = await session.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.send("Wait", seconds=5))
        nursery.start_soon(lambda: client.send("Add"))
        await trio.testing.wait_all_tasks_blocked()
        await client.drop()
        await trio.sleep(8)
        await client.reconnect()
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


@pytest.mark.virtual_time("ten minutes pass")
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
    assert client.ended.reason == "This client has left."
    assert session.context.connections == ()
    assert codes == [1000]
    await client.close()
    with pytest.raises(AssertionError, match="This client has left"):
        await client.until(lambda data: False)


async def test_a_send_under_way_fails_when_the_client_is_closed(session):
    client = await session.connect()
    async with trio.open_nursery() as nursery:

        async def send():
            with pytest.raises(SendUnknown):
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
        client._is_online = True
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


async def test_without_a_network_it_tries_again_ever_more_slowly(nursery, autojump_clock):
    tries = []

    async def refuse():
        tries.append(trio.current_time())
        raise OSError("no network")

    client = Client(VISIT, refuse)
    nursery.start_soon(client.run)
    await trio.sleep(300)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 0.25 <= pauses[0] <= 0.5
    assert all(15 <= pause <= 30 for pause in pauses[7:])
    assert client.status == "connecting"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["closed", "silent", "refused"])
async def test_a_server_that_does_not_shake_hands_is_tried_again(nursery, autojump_clock, how):
    server = HandMade()
    client = Client(VISIT, server.connect)
    nursery.start_soon(client.run)
    await trio.testing.wait_all_tasks_blocked()
    [stream] = server.streams
    await stream.receive_some()
    if how == "closed":
        await stream.aclose()
    elif how == "refused":
        await stream.send_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    await trio.sleep(25)
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
        with pytest.raises(AssertionError, match=r"not within 2 s, .* the client is live; there were .*red"):
            await client.until_present(lambda peers: len(peers) == 2, timeout=2)
        session.context.destroy()
        with pytest.raises(AssertionError, match=r"the client ended .*; there were .*red"):
            await client.until_present(lambda peers: len(peers) == 2)


@pytest.mark.virtual_time("it leaves at the very moment")
@pytest.mark.parametrize("pings", [1, 2, 3])
async def test_a_ping_that_comes_while_a_client_leaves_harms_nothing(session, pings):
    """Trap: trio-websocket answers it after the close frame, and raises LocalProtocolError."""
    client = await session.connect()
    await trio.sleep(20 * pings)
    await client.close()
    assert client.status == "ended"


async def test_the_next_patch_is_the_first_that_the_test_has_not_seen(session):
    client = await session.connect()
    await client.send("Add")
    await client.send("Add")
    assert await client.next_patch() == [{"op": "replace", "path": "/n", "value": 1}]
    assert await client.next_patch() == [{"op": "replace", "path": "/n", "value": 2}]
    await client.send("Add")
    await client.until(lambda data: data["n"] == 3)
    with pytest.raises(AssertionError, match="not within 5 s, before there was a patch: the client is live"):
        await client.next_patch(timeout=5)


async def test_before_the_first_look_the_next_patch_is_the_snapshot(session):
    client = session.client()
    assert await client.next_patch() == [{"op": "replace", "path": "", "value": {"n": 0}}]


async def test_patches_that_nobody_looks_at_are_bounded(session):
    client = await session.connect()
    for _ in range(MAX_PATCHES + 1):
        await session.context.with_locked_document(add)
    await trio.sleep(1)
    with pytest.raises(AssertionError, match="more than 1,000 patches came that this test did not look at"):
        await client.next_patch()
    await client.until(lambda data: data["n"] == MAX_PATCHES + 1)
    await client.send("Add")
    assert len(await client.next_patch()) == 1


async def test_a_message_may_be_sent_as_an_object(session):
    client = await session.connect()
    assert await client.send(Add(by=5)) == 5
    with pytest.raises(TypeError):
        await client.send(Add(by=5), by=3)


async def test_what_a_predicate_raises_is_raised_where_it_is_waited_for(session):
    client = await session.connect()
    with pytest.raises(KeyError) as caught:
        await client.until(lambda data: data["missing"])
    assert caught.value.__notes__[0] == "the predicate of until() was asked about {'n': 0}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.watch)
        with pytest.raises(ZeroDivisionError):
            await client.until(lambda data: client.presence["session"] and 1 / 0)


async def test_what_is_waited_for_is_asked_by_a_plain_function(session):
    client = await session.connect()

    async def asked(given):
        return False

    with pytest.raises(TypeError, match=r'as in until\(lambda data: data\["n"\] == 1\); .*asked is async'):
        await client.until(asked)
    with pytest.raises(TypeError, match=r"as in until_present\(lambda peers: len\(peers\) == 2\); .*asked is async"):
        await client.until_present(asked)
    with pytest.raises(TypeError, match=r"returned something to await"):
        await client.until(lambda data: asked(data))


async def test_after_its_block_a_client_does_nothing_and_keeps_what_it_had(supervise):
    async with supervise(modify_document) as app:
        client = await (await app.new_session()).connect()
    began = trio.current_time()
    for act in (
        lambda: client.until(lambda data: False),
        lambda: client.until_ended(),
        lambda: client.until_present(lambda peers: False),
        lambda: client.next_patch(),
        lambda: client.send("Add", by=1),
        lambda: client.edit("/n", 1),
        lambda: client.reconnect(),
    ):
        with pytest.raises(RuntimeError, match=r"^the block of this client is over, and its connection with it: do th"):
            await act()
    assert trio.current_time() < began + 1
    assert client.data == {"n": 0}


async def test_a_drop_is_seen_by_the_server_with_the_code_that_was_given_and_the_client_stays_offline(supervise):
    async with supervise(modify_document) as app:
        codes = []
        app.server.runtime.instruments.connection_detached = lambda **told: codes.append(told["code"])
        session = await app.new_session()
        client = await session.connect()
        for code in (None, 1000, 1001, 4999):
            await client.drop(code=code)
            assert client.status == "reconnecting"
            await trio.sleep(1)  # by itself it would be back
            assert session.context.connections == ()
            assert client.status == "reconnecting"
            await client.reconnect()
        assert codes == [1006, 1000, 1001, 4999]


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000])
async def test_a_code_that_no_frame_carries_is_refused(session, code):
    client = await session.connect()
    with pytest.raises(ValueError, match=f"a close frame carries a code from 1000 to 4999, such as 1001, not {code}"):
        await client.drop(code=code)
    assert client.status == "live"


async def test_a_client_that_is_online_comes_back_by_a_fresh_connection_and_has_all(session):
    client = await session.connect()
    [before] = session.context.connections
    for number in range(1, 4):
        await session.context.with_locked_document(add)
        await client.reconnect()
        assert client.data == {"n": number}
    [after] = session.context.connections
    assert after.id != before.id
    assert [event.resumed for event in client.received if isinstance(event, events.Attached)] == [False, *[True] * 3]


@pytest.mark.parametrize("steps", range(0, 20, 2))
async def test_a_client_that_is_dropped_while_it_connects_stays_offline(supervise, steps):
    async with supervise(modify_document) as app:
        session = await app.new_session()
        client = session.client()
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        await client.drop()
        await trio.sleep(1)  # by itself it would be back
        assert client.status in ("connecting", "reconnecting")
        assert session.context.connections == ()
        await client.reconnect()
        assert client.data == {"n": 0}


async def test_a_client_that_is_dropped_while_it_dials_stays_offline(nursery, autojump_clock):
    server = HandMade()

    async def dial():
        await trio.sleep(1)
        return await server.connect()

    client = Client(VISIT, dial)
    nursery.start_soon(client.run)
    await trio.testing.wait_all_tasks_blocked()
    await client.drop()
    await trio.sleep(5)
    [stream] = server.streams
    assert await stream.receive_some() == b""
    assert client.status == "connecting"
    nursery.cancel_scope.cancel()


async def test_what_was_true_is_asked_about_no_more(session):
    client = await session.connect()
    asked = []
    await client.until(lambda data: asked.append(data) is None)
    await client.watch()
    await client.send("Add")
    assert asked == [{"n": 0}]


async def test_a_client_whose_session_is_gone_loads_its_page_anew(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session()
        client, other = await session.connect(), await session.connect(follow_reload=False)
        for each in (client, other):
            await each.drop()
        session.context.destroy()
        await trio.testing.wait_all_tasks_blocked()
        await client.reconnect()
        assert client.session != session.id
        assert [each.id for each in app.sessions] == [client.session]
        with pytest.raises(AssertionError, match=r"the client ended \(code 4404"):
            await other.reconnect()


@pytest.mark.virtual_time("minutes pass")
async def test_a_page_whose_document_takes_long_is_waited_for_and_no_other_session_is_made(supervise):
    async def modify_document(doc):
        doc.data["n"] = 0
        await trio.sleep(50)

    async with supervise(FunctionHandler(modify_document)) as app:
        client = await (await app.new_session()).connect()
        await app.restart()
        await client.reconnect(timeout=100)
        assert [each.id for each in app.sessions] == [client.session]


def grow(doc):
    doc.data["n"] += 1
    doc.data["text"] = f"{doc.data['n']} " + "x" * 20_000


def patient(**options):
    """How long a server waits, in less time than in production."""
    return ServerOptions(websocket=WebSocketOptions(**options))


async def test_a_stalled_client_gets_what_it_missed_merged_and_neighbours_do_not_notice(supervise):
    async with supervise(modify_document, options=patient(ping_interval=0.3)) as app:
        session = await app.new_session()
        client, neighbour = await session.connect(), await session.connect()
        client.stall()
        revision = client.revision
        for number in range(1, 101):
            await session.context.with_locked_document(grow)
            await neighbour.until(lambda data, number=number: data["n"] == number, timeout=10)
        assert not client.is_following  # nobody waits for it to have what the document is
        await trio.sleep(1)  # the server pings, in vain, and has patience with who has a backlog
        assert (client.status, client.revision, client.data) == ("live", revision, {"n": 0})
        client.resume()
        await client.until(lambda data: data == neighbour.data)
        assert sum(isinstance(event, events.Patched) for event in client.received) < 50
        assert sum(isinstance(event, events.Attached) for event in client.received) == 1


async def test_a_stalled_client_with_too_much_to_read_gets_a_snapshot(supervise):
    async with supervise(modify_document, options=patient(max_backlog=100_000)) as app:
        session = await app.new_session()
        client = await session.connect()
        client.stall()

        def scatter(doc):
            doc.data[f"key {len(doc.data)}"] = "x" * 20_000

        for _ in range(30):
            await session.context.with_locked_document(scatter)
        client.resume()
        await client.until(lambda data: len(data) == 31)
        assert sum(isinstance(event, events.Snapshotted) for event in client.received) == 2


class Codes(list):
    """With what connections have ended, as the server sees it."""

    def __init__(self, app):
        self._told = trio.Event()
        app.server.runtime.instruments.connection_detached = self._on_detached

    def _on_detached(self, *, code, **told):
        self.append(code)
        self._told.set()

    async def wait(self):
        await self._told.wait()


async def test_a_client_that_stays_stalled_is_closed_with_1013_never_hears_it_and_comes_back(supervise):
    """What waits for it in its connection is in the way of the close frame, and then the connection is gone."""
    async with supervise(modify_document, options=patient(slow_timeout=0.5, close_timeout=0.5)) as app:
        codes, session = Codes(app), await app.new_session()
        client, neighbour = await session.connect(), await session.connect()
        client.stall()
        for _ in range(30):
            await session.context.with_locked_document(grow)
        await codes.wait()
        assert codes == [1013]
        assert client.status == "live"  # as far as it knows
        assert len(session.context.connections) == 1
        assert neighbour.status == "live"
        client.resume()
        await client.until(lambda data: data["n"] == 30)
        assert not any(isinstance(event, events.Closing) for event in client.received)
        assert [event.resumed for event in client.received if isinstance(event, events.Attached)] == [False, True]


async def test_a_stalled_client_that_reads_on_while_it_is_closed_hears_the_1013_and_comes_back(supervise):
    async with supervise(modify_document, options=patient(slow_timeout=0.5, close_timeout=10)) as app:
        codes, session = Codes(app), await app.new_session()
        client = await session.connect()
        client.stall()
        for _ in range(30):
            await session.context.with_locked_document(grow)
        await trio.sleep(1)  # the server's patience is over, and the goodbye may take long
        assert codes == []
        client.resume()
        await codes.wait()
        assert codes == [1013]
        await client.until(lambda data: isinstance(client.received[-1], events.Attached) and data["n"] == 30)
        [closing] = [event for event in client.received if isinstance(event, events.Closing)]
        assert (closing.code, closing.reason) == (1013, "the client does not read what it is sent")
        assert [event.resumed for event in client.received if isinstance(event, events.Attached)] == [False, True]


async def test_a_stalled_client_does_not_answer_pings(supervise):
    async with supervise(modify_document, options=patient(ping_interval=0.5)) as app:
        codes, session = Codes(app), await app.new_session()
        client = await session.connect()
        client.stall()
        await codes.wait()
        assert session.context.connections == ()
        assert client.status == "live"
        await client.reconnect()
        assert len(session.context.connections) == 1


async def test_a_stalled_client_may_be_dropped_or_leave(session):
    client = await session.connect()
    client.stall()
    await client.drop()
    client.stall()
    await client.reconnect()
    client.stall()
    await client.drop(code=1001)
    await client.reconnect()
    client.stall()
    await client.close()
    assert client.status == "ended"


async def converse(session, client, *, direction, cut_after):
    """Sends and changes of both sides, with one cut in between; returns the answers."""
    answers = []

    async def send():
        answers.append(await client.send("Add"))

    async with trio.open_nursery() as nursery:
        getattr(client.network, direction).cut_after = cut_after
        for _ in range(5):
            nursery.start_soon(send)
        for _ in range(5):
            await session.context.with_locked_document(add)
            await trio.sleep(0.01)
    return answers


@pytest.mark.virtual_time("it comes back sixty times, half a second later each time")
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("offset", range(10))
async def test_wherever_a_connection_is_cut_nothing_is_lost_and_nothing_done_twice(session, direction, offset):
    """At each byte of a conversation: in the middle of frames, of their heads, and between them."""
    client = await session.connect()
    expected = 0
    for cut_after in range(offset, 600, 10):
        answers = await converse(session, client, direction=direction, cut_after=cut_after)
        expected += 10
        await client.until(lambda data, expected=expected: data["n"] == expected)
        assert len(set(answers)) == 5
        getattr(client.network, direction).cut_after = None
    assert sum(isinstance(event, events.Attached) for event in client.received) > 10


@pytest.mark.parametrize("cut_after", range(0, 2000, 97))
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_connection_may_be_cut_before_it_is_live(session, direction, cut_after):
    client = await session.connect(network=Network(**{direction: Conditions(cut_after=cut_after)}))
    assert await client.send("Add") == 1


@pytest.mark.virtual_time("times are compared")
async def test_delay_and_jitter_pass_in_virtual_time_and_change_nothing_but_when(session):
    network = Network(seed=3, up=Conditions(delay=0.2), down=Conditions(delay=0.3, jitter=0.2))
    client = await session.connect(network=network)
    began = trio.current_time()
    assert await client.send("Add") == 1
    assert 0.5 <= trio.current_time() - began <= 0.7
    for _ in range(20):
        await session.context.with_locked_document(add)
    assert client.data == {"n": 1}
    await client.until(lambda data: data["n"] == 21)
    patched = [event for event in client.received if isinstance(event, events.Patched)]
    assert [event.operations[0].value for event in patched] == list(range(1, 22))
    client.network.down.delay = client.network.down.jitter = client.network.up.delay = 0
    began = trio.current_time()
    await client.send("Add")
    assert trio.current_time() == began


async def test_over_a_slow_line_a_client_gets_merged_changes_and_stays_attached(session):
    client = await session.connect()
    client.network.down.rate = 200_000
    for _ in range(60):
        await session.context.with_locked_document(grow)
        await trio.sleep(0.01)
    await client.until(lambda data: data["n"] == 60)
    assert sum(isinstance(event, events.Attached) for event in client.received) == 1
    assert sum(isinstance(event, events.Patched) for event in client.received) < 60


async def test_all_of_it_works_over_tcp(nursery):
    """On the real clock: the client asks for no more than a stream."""
    async with Server(Application(FunctionHandler(modify_document), name="app"), port=0) as server:
        address = page_address(server.urls["app"])
        visit = await Visitor(Dialer()).visit(address)
        client = Client(visit, functools.partial(trio.open_tcp_stream, address.host, address.port))
        nursery.start_soon(client.run)
        await client.until(lambda data: data == {"n": 0})
        [session] = server.applications["app"].context.sessions
        await client.drop()
        await session.with_locked_document(add)
        await client.reconnect()
        assert client.data == {"n": 1}
        client.network.down.cut_after = 10
        await session.with_locked_document(add)
        await client.until(lambda data: data["n"] == 2)
        await client.drop(code=1001)
        await client.reconnect()
        client.stall()
        await session.with_locked_document(add)
        client.resume()
        await client.until(lambda data: data["n"] == 3)
        await client.close()

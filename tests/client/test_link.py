"""Coming back, staying away, and loading the page anew."""

import itertools

import pytest
import trio
import trio.testing

from supervisor.client import SendUnknown, SendUnsent, SessionEnded
from supervisor.client.address import websocket_address
from supervisor.client.dialing import Dialer
from supervisor.client.link import PAGE, Link, LinkOptions
from supervisor.client.page import Entry
from supervisor.client.visit import Visit
from supervisor.client.websocket import SILENCE
from tests.client.conftest import answer, page


class Owner:
    """Remembers what it was told."""

    def __init__(self):
        self.protocol = None
        self.statuses = []
        self.settlements = []

    def connected_by(self, protocol):
        self.protocol = protocol

    def happened(self, events):
        """The protocol has it."""

    def settled(self, events):
        self.settlements.append(events)

    def status_changed(self, status):
        self.statuses.append(status)


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def link(scripted, owner):
    """One that waits for nothing but what it is told; the test runs it."""
    address = websocket_address("ws://server.example/app/-/websocket")
    visit = Visit(entry=Entry(session="s-1", token="t-1", websocket=address.target), websocket=address, headers=())
    options = LinkOptions(dialer=Dialer(scripted.open_stream), random=lambda: 1.0, max_message_size=1_000_000)
    return Link(visit, options, owner)


async def test_it_tells_of_each_state_once(link, owner, scripted, nursery, autojump_clock):
    nursery.start_soon(link.run)
    line, _ = await scripted.live()
    await line.patch(0, ("add", "/n", 1))
    await line.patch(1, ("add", "/n", 2))
    await trio.testing.wait_all_tasks_blocked()
    assert [status.state for status in owner.statuses] == ["live"]
    began = trio.current_time()
    await line.cut()
    line = await scripted.accept()
    assert [(status.state, status.retry_at) for status in owner.statuses[1:]] == [
        ("reconnecting", pytest.approx(began + 0.5)),
        ("reconnecting", None),
    ]
    link.leave()
    await link.wait_over()
    assert [status.state for status in owner.statuses[3:]] == ["ended"]


async def test_leaving_tells_of_nothing_but_the_end(link, owner, scripted, nursery, autojump_clock):
    nursery.start_soon(link.run)
    await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    link.leave()
    await link.wait_over()
    assert [(status.state, status.reason) for status in owner.statuses[1:]] == [("ended", "This client has left.")]


async def test_what_had_no_answer_is_settled_at_a_no(link, owner, scripted, nursery, autojump_clock):
    nursery.start_soon(link.run)
    line, _ = await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    owner.protocol.send("Watch", {})
    link.flush()
    await line.receive()
    await line.close(4403, announced=True)
    await link.wait_over()
    assert [len(events) for events in owner.settlements] == [1]


async def test_a_connection_can_be_lost_with_a_code_and_comes_back(link, owner, scripted, nursery, autojump_clock):
    link.lose(4000)  # there is none yet
    nursery.start_soon(link.run)
    line, _ = await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    link.lose(4000)
    assert (await line.until_closed()).code == 4000
    _, first = await scripted.live(resumed=True)
    assert first["type"] == "resume"
    link.leave()


async def test_in_a_hurry_the_next_attempt_is_waited_for_no_longer(link, scripted, nursery, autojump_clock):
    nursery.start_soon(link.run)
    line, _ = await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    began = trio.current_time()
    link.hurry()
    await line.cut()
    line, _ = await scripted.live(resumed=True)
    assert trio.current_time() == began
    await trio.testing.wait_all_tasks_blocked()
    await line.cut()  # a hurry is over with the attempt
    await trio.sleep(0.1)
    link.hurry()
    await scripted.live(resumed=True)
    assert trio.current_time() == pytest.approx(began + 0.1)
    await trio.testing.wait_all_tasks_blocked()
    link.leave()


async def test_paused_it_reads_nothing_on_any_connection(link, owner, scripted, nursery, autojump_clock):
    link.pause()
    nursery.start_soon(link.run)
    await trio.sleep(2 * SILENCE)
    assert len(scripted.opened) == 1
    assert owner.statuses == []
    link.resume()
    line, _ = await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    link.pause()
    await line.patch(0, ("add", "/n", 1))
    await trio.sleep(2 * SILENCE)
    assert owner.protocol.data == {}
    link.resume()
    await trio.testing.wait_all_tasks_blocked()
    assert owner.protocol.data == {"n": 1}
    await line.cut()
    await scripted.live(resumed=True, revision=1)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.statuses[-1].state == "live"
    link.leave()


async def until_state(session, *states):
    async for status in session.statuses():
        if status.state in states:
            return status
    raise AssertionError


async def test_a_lost_connection_is_resumed(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        await line.patch(0, ("replace", "/n", 1))
        await session.until(lambda data: data["n"] == 1)
        await line.cut()
        status = await until_state(session, "reconnecting")
        assert (status.code, status.retry_at) == (1006, pytest.approx(trio.current_time() + 0.5))
        assert status.reason.endswith(".")
        line = await scripted.accept()
        assert await line.receive() == {
            "type": "resume",
            "session": "s-1",
            "key": "k-1",
            "client": "c-1",
            "epoch": "e-1",
            "revision": 1,
            "confirmed": 0,
        }
        await line.attached(resumed=True, revision=2)
        await line.patch(1, ("replace", "/n", 2))
        assert await session.until(lambda data: data["n"] == 2) == {"n": 2}
        assert session.status.state == "live"
        assert session.status.retry_at is None


async def test_delays_grow_while_the_server_is_away(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        scripted.fails = OSError("all is dark")
        await line.cut()
        await trio.sleep(100)
        assert session.status.state == "reconnecting"
        assert session.status.reason == "server.example can't be reached: all is dark."
        times = scripted.opened[2:]
        between = [round(later - earlier, 6) for earlier, later in itertools.pairwise(times)]
        assert between[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
        scripted.fails = None
        line, _ = await scripted.live(resumed=True)
        await until_state(session, "live")
        await line.cut()
        await until_state(session, "reconnecting")
        assert session.status.retry_at == pytest.approx(trio.current_time() + 0.5)


async def test_random_spreads_the_delays(connected, scripted, autojump_clock):
    async with connected(random=lambda: 0.0) as (session, line):
        await line.cut()
        status = await until_state(session, "reconnecting")
        assert status.retry_at == pytest.approx(trio.current_time() + 0.25)


async def test_a_session_that_restarts_says_so_until_its_new_document_is_there(connected, autojump_clock):
    async with connected() as (session, line):
        await line.send(type="restarting", after=1.5)
        status = await until_state(session, "restarting")
        assert status.reason == "The session has failed and is restarting."
        assert (status.code, status.retry_at) == (None, pytest.approx(trio.current_time() + 1.5))
        await trio.sleep(1)
        await line.send(type="restarting", after=3)
        await trio.testing.wait_all_tasks_blocked()
        assert session.status.retry_at == pytest.approx(trio.current_time() + 3)
        await line.send(type="snapshot", epoch="e-2", revision=5, data={"n": 7})
        status = await until_state(session, "live")
        assert (status.reason, status.retry_at, session.data) == ("", None, {"n": 7})


async def test_a_session_that_restarts_can_be_lost(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        await line.send(type="restarting", after=60)
        await until_state(session, "restarting")
        await line.cut()
        assert (await until_state(session, "reconnecting")).reason == "The connection was lost."


async def test_what_the_server_said_is_told_until_it_is_live_again(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        scripted.fails = OSError("all is dark")
        await line.close(1012, "restarting", announced=True, retry_after=1.0)
        await trio.sleep(10)
        assert session.status.code == 1012
        assert session.status.reason == "The server is restarting. server.example can't be reached: all is dark."
        scripted.fails = None
        line = await scripted.accept()
        await line.close(4429, "too many messages", announced=True, retry_after=1.0)
        await trio.sleep(0.5)
        assert (session.status.code, session.status.reason) == (4429, "There was too much at once.")
        line = await scripted.accept()
        await line.cut()
        await trio.sleep(0.1)
        assert session.status.code == 4429
        assert session.status.reason.startswith("There was too much at once.")
        line, _ = await scripted.live(resumed=True)
        await until_state(session, "live")
        assert session.status.reason == ""
        await line.cut()
        status = await until_state(session, "reconnecting")
        assert (status.code, status.reason) != (4429, "There was too much at once.")
        assert status.code == 1006


@pytest.mark.parametrize(("asked", "waited"), [(1.7, 1.7), (1e9, 3600.0)])
async def test_a_server_that_restarts_says_when_to_come_back(connected, scripted, autojump_clock, asked, waited):
    async with connected() as (session, line):
        await line.close(1012, "restarting", announced=True, retry_after=asked)
        status = await until_state(session, "reconnecting")
        assert (status.code, status.reason) == (1012, "The server is restarting.")
        assert status.retry_at == pytest.approx(trio.current_time() + waited, abs=0.1)


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (1000, "", "The session is over."),
        (4410, "The evening is over.", "The evening is over."),
        (4403, "Ask Ada.", "Ask Ada."),
        (4400, "", "The server did not understand this client."),
    ],
)
async def test_a_no_is_the_end(connected, scripted, autojump_clock, code, reason, said):
    async with connected() as (session, line):
        await line.close(code, reason, announced=True)
        ended = await session.wait_ended()
        assert (ended.code, ended.reason, str(ended)) == (code, said, said)
        assert session.data == {"n": 0}
        with pytest.raises(SendUnsent, match=said):
            await session.send("Watch")
        assert len(scripted.opened) == 2


async def test_a_server_that_breaks_the_rules_is_asked_for_a_snapshot(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        await line.send("rubbish")
        line = await scripted.accept()
        assert (await line.receive())["revision"] == -1
        assert session.data == {"n": 0}
        assert session.status.reason.startswith("server.example breaks the rules of the wire: ")
        await line.attached(data={"n": 5}, revision=5)
        await session.until(lambda data: data == {"n": 5})


async def test_silence_is_a_lost_connection(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        began = trio.current_time()
        line.fall_silent()
        status = await until_state(session, "reconnecting")
        assert trio.current_time() - began == pytest.approx(SILENCE, abs=0.1)
        assert status.reason == "server.example: nothing was heard for 60 s."


@pytest.mark.parametrize("code", [4401, 4404])
async def test_where_the_session_is_gone_the_page_is_loaded_again(connected, scripted, autojump_clock, code):
    async with connected() as (session, line):
        changes = session.changes()
        await anext(changes)
        assert session.status.sessions == 1
        scripted.pages = [answer(body=page(session="s-2", token="t-2"))]
        await line.close(code, announced=True)
        line = await scripted.accept()
        assert session.data == {"n": 0}
        assert await line.receive() == {"type": "attach", "token": "t-2"}
        await line.attached(session="s-2", data={"n": 9}, epoch="e-2", client="c-2")
        change = await anext(changes)
        assert (change.is_new_session, change.data, change.revision) == (True, {"n": 9}, 0)
        assert (session.id, session.status.state, session.status.sessions) == ("s-2", "live", 2)


async def test_a_new_session_that_is_gone_at_once_is_the_end(connected, scripted, autojump_clock):
    """One page after the other for ever would be one session after the other on the server."""
    async with connected() as (session, line):
        await line.close(4404, announced=True)
        line = await scripted.accept()
        await line.receive()
        await line.close(4404, announced=True)
        assert (await session.wait_ended()).code == 4404
        assert len(scripted.asked) == 2


@pytest.mark.parametrize("status", [403, 499])
async def test_a_page_that_is_refused_is_the_end(connected, scripted, autojump_clock, status):
    async with connected() as (session, line):
        scripted.pages = [answer(status, "<h1>No entry</h1>")]
        await line.close(4404, announced=True)
        ended = await session.wait_ended()
        assert ended.code == 4404
        assert ended.reason == (
            f"The session does not exist any more. http://server.example/app answers with status {status}: No entry."
        )
        await trio.sleep(100)
        assert len(scripted.opened) == 3


@pytest.mark.parametrize("status", [429, 500])
async def test_a_page_that_is_refused_for_now_is_asked_for_again(connected, scripted, autojump_clock, status):
    async with connected() as (_, line):
        new = page(session="s-2", token="t-2", websocket="/app/-/elsewhere")
        scripted.pages = [answer(status), answer(body=new)]
        await line.close(4404, announced=True)
        line, _ = await scripted.live(session="s-2")
        assert line.asked.target == "/app/-/elsewhere"


async def test_a_server_that_has_no_page_yet_is_waited_for(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        scripted.pages = [
            answer(503, "<h1>Busy</h1>", retry_after="20"),
            answer(502),
            b"",
            None,
            answer(body=page(session="s-2", token="t-2")),
        ]
        began = trio.current_time()
        await line.close(4404, announced=True)
        status = await until_state(session, "reconnecting")
        while status.retry_at is None:
            status = await anext_status(session, status)
        assert status.reason.endswith("answers with status 503: Busy.")
        assert status.retry_at == pytest.approx(began + 20, abs=0.1)
        line = await scripted.accept()
        assert trio.current_time() - began == pytest.approx(20 + 1 + 2 + (PAGE + 4), abs=0.1)
        await line.receive()
        await line.attached(session="s-2")
        assert (await until_state(session, "live")).sessions == 2


async def anext_status(session, last):
    async for status in session.statuses():
        if status != last:
            return status
    raise AssertionError


async def test_nothing_is_loaded_again_without_leave(connected, scripted, autojump_clock):
    async with connected(follow_reload=False) as (session, line):
        await line.close(4404, announced=True)
        assert (await session.wait_ended()).reason == "The session does not exist any more."
        assert len(scripted.asked) == 1


async def test_while_the_page_is_loaded_again_the_status_says_so(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        scripted.pages = [None]  # never answered
        await line.close(4404, announced=True)
        status = await until_state(session, "reconnecting")
        said = "The session does not exist any more. Loading the page again."
        assert (status.code, status.reason, status.retry_at) == (4404, said, None)


async def test_of_the_page_too_the_delays_are_spread(connected, scripted, autojump_clock):
    async with connected(random=lambda: 0.0) as (_, line):
        scripted.pages = [None, answer(502)]
        await line.close(4404, announced=True)
        await trio.sleep(PAGE + 8)
        times = scripted.opened[2:]
        between = [round(later - earlier, 6) for earlier, later in itertools.pairwise(times)]
        assert between == [PAGE + 0.25, 0.5, 1.0, 2.0, 4.0]


async def test_what_it_had_is_told_of_who_has_left(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        scripted.pages = [answer(body=page(session="s-2", token="t-2"))]
        await line.close(4404, announced=True)
        await scripted.live(session="s-2")
        await until_state(session, "live")
    assert (session.status.state, session.status.sessions) == ("ended", 2)


async def test_leaving_while_the_page_is_loaded_takes_no_time(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        scripted.pages = [None]  # never answered
        await line.close(4404, announced=True)
        await trio.testing.wait_all_tasks_blocked()
        assert len(scripted.asked) == 2
        began = trio.current_time()
    assert trio.current_time() == began
    assert session.status.state == "ended"


async def test_leaving_while_waiting_takes_no_time(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        await line.cut()
        await until_state(session, "reconnecting")
        began = trio.current_time()
    assert trio.current_time() == began
    assert session.status.reason == "This client has left."


@pytest.mark.parametrize("way", ["live", "announced", "broken"])
async def test_leaving_settles_what_has_no_answer(connected, scripted, nursery, autojump_clock, way):
    outcomes = []

    async def send(session):
        with pytest.raises(SendUnknown) as caught:
            await session.send("Watch")
        outcomes.append(caught.value.kind)

    async with connected() as (session, line):
        nursery.start_soon(send, session)
        await line.receive()
        if way == "announced":
            await line.send(type="closing", code=1012, reason="restarting", retry_after=None)
        elif way == "broken":
            await line.send("rubbish")
        await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked()
    assert outcomes == ["unknown"]
    with pytest.raises(SessionEnded, match="This client has left"):
        await session.until(lambda data: False)

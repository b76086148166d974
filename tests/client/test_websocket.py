"""One websocket of a client: what it says, what it takes, and every way in which it ends."""

import pytest
import trio
import trio.testing

from supervisor.client import websocket as module
from supervisor.client.address import websocket_address
from supervisor.client.dialing import Dialer
from supervisor.client.websocket import ADMISSION, ATTEMPT, GOODBYE, LAST_WORDS, SILENCE, Closed, Websocket
from supervisor.protocol.client import ClientConnection
from supervisor.testing.memory import memory_stream_pair


class Run:
    """One websocket that runs."""

    def __init__(self, scripted, nursery, *, url="ws://server.example/app/-/websocket", **options):
        self.protocol = ClientConnection(token="t-1")
        self.events = []
        self.closed = None
        options = {"headers": [("X-Own", "ä")], "max_message_size": 100_000, **options}
        self.websocket = Websocket(
            self.protocol,
            dialer=Dialer(scripted.open_stream),
            address=websocket_address(url),
            on_events=self.events.extend,
            **options,
        )
        self._over = trio.Event()
        self.scope = trio.CancelScope()
        nursery.start_soon(self._run)

    async def _run(self):
        try:
            with self.scope:
                self.closed = await self.websocket.run()
        finally:
            self._over.set()

    async def until_closed(self):
        await self._over.wait()
        return self.closed


@pytest.fixture
def run(scripted, nursery):
    return lambda **options: Run(scripted, nursery, **options)


async def test_the_first_frame_is_written_and_what_comes_is_taken(run, scripted, autojump_clock):
    it = run()
    line, first = await scripted.live(data={"a": 1})
    assert first == {"type": "attach", "token": "t-1"}
    assert (line.asked.host, line.asked.port, line.asked.target) == ("server.example", 80, "/app/-/websocket")
    assert line.asked.headers["host"] == "server.example"
    assert line.asked.headers["x-own"] == "ä"
    assert "origin" not in line.asked.headers
    await trio.testing.wait_all_tasks_blocked()
    assert it.protocol.data == {"a": 1}
    it.protocol.send("Watch", {"symbol": "A"})
    it.websocket.flush()
    assert (await line.receive())["name"] == "Watch"


async def test_the_servers_close_is_told(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await line.close(4410, "over")
    assert await it.until_closed() == Closed(code=4410, reason="over")


async def test_what_was_announced_counts_whatever_the_close_says(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await line.send(type="closing", code=1012, reason="restarting", retry_after=1.5)
    await line.cut()
    assert await it.until_closed() == Closed(code=1012, reason="restarting")


async def test_a_connection_that_is_cut_is_lost(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await line.cut()
    assert (await it.until_closed()).code == 1006


async def test_a_close_without_a_reason_has_none(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await line.socket.aclose(4410, None)
    assert await it.until_closed() == Closed(code=4410, reason="")


async def test_what_waited_for_an_answer_is_written_when_that_is_there(run, scripted, autojump_clock):
    it = run()
    it.websocket.flush()  # before there is anything
    it.protocol.send("Watch", {"symbol": "A"})
    line, first = await scripted.live()
    assert first["type"] == "attach"
    assert (await line.receive())["name"] == "Watch"


@pytest.mark.parametrize("code", [1000, 4000])
async def test_leaving_says_goodbye(run, scripted, autojump_clock, code):
    it = run()
    line, _ = await scripted.live()
    it.websocket.leave(code)
    it.websocket.leave(code)
    assert (await line.until_closed()).code == code
    assert (await it.until_closed()).problem == ""


async def test_leaving_ends_what_has_not_begun(run, scripted, autojump_clock):
    it = run()
    it.websocket.leave()
    assert await it.until_closed() == Closed(code=1006)
    assert scripted.opened == []


@pytest.mark.parametrize("way", ["left", "cancelled"])
async def test_leaving_ends_a_handshake_and_closes_its_connection(run, scripted, autojump_clock, way):
    over = trio.Event()

    async def silent(stream, *_):
        while await stream.receive_some():
            pass
        over.set()

    scripted._answer = silent
    it = run()
    await trio.testing.wait_all_tasks_blocked()
    if way == "left":
        it.websocket.leave()
        assert await it.until_closed() == Closed(code=1006)
    else:
        it.scope.cancel()
    with trio.fail_after(1):
        await over.wait()
    assert trio.current_time() == 0


async def test_paused_it_reads_nothing_and_has_patience(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    it.websocket.pause()
    await line.patch(0, ("add", "/a", 1))
    await trio.sleep(3 * SILENCE)
    assert it.protocol.data == {}
    it.websocket.resume()
    await trio.testing.wait_all_tasks_blocked()
    assert it.protocol.data == {"a": 1}
    it.websocket.pause()
    await line.cut()
    await trio.sleep(3 * SILENCE)
    assert it.closed is None
    it.websocket.resume()
    assert (await it.until_closed()).code == 1006


async def test_after_a_pause_its_patience_has_an_end_again(run, scripted, autojump_clock):
    it = run()
    await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    it.websocket.pause()
    await trio.sleep(3 * SILENCE)
    it.websocket.resume()
    began = trio.current_time()
    with trio.fail_after(3 * SILENCE):
        await it.until_closed()
    assert trio.current_time() - began == SILENCE


async def test_leaving_a_server_that_does_not_answer_takes_two_seconds(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    line.fall_silent()
    began = trio.current_time()
    it.websocket.leave()
    await it.until_closed()
    assert trio.current_time() - began == GOODBYE


async def test_cancelled_it_ends_at_once(run, scripted, autojump_clock):
    it = run()
    await scripted.live()
    began = trio.current_time()
    it.scope.cancel()
    await it.until_closed()
    assert trio.current_time() == began


@pytest.mark.parametrize("frame", ["nonsense", '{"type":"patch","from":7,"to":8,"operations":[]}', '{"type":"patch"}'])
async def test_a_server_that_breaks_the_rules_is_left_with_4400(run, scripted, frame, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await line.send(frame)
    closed = await it.until_closed()
    assert (await line.until_closed()).code == 4400
    assert closed.code == 4400
    assert closed.problem.startswith("server.example breaks the rules of the wire: ")


async def test_a_binary_frame_breaks_the_rules(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    await line.socket.send_message(b"{}")
    assert (await it.until_closed()).code == 4400


async def test_a_message_that_is_too_big_ends_it(run, scripted, autojump_clock):
    it = run(max_message_size=1_000)
    line, _ = await scripted.live()
    await line.send(type="patch", to=1, operations=[{"op": "add", "path": "/a", "value": "x" * 1_000}], **{"from": 0})
    assert (await it.until_closed()).code == 1009


async def test_a_server_that_closes_at_once_is_lost_at_once(run, scripted, autojump_clock):
    scripted.upgrade = b""
    it = run()
    began = trio.current_time()
    assert await it.until_closed() == Closed(code=1006, problem="server.example ended the connection without an answer")
    assert trio.current_time() == began


async def test_a_server_that_is_gone_before_it_is_asked_is_lost_at_once(run, scripted, autojump_clock):
    """Trap: trio-websocket waits for ever for the answer to a request that it could not send."""

    async def open_stream(host, port):
        ours, theirs = memory_stream_pair()
        theirs.reset()
        return ours

    scripted.open_stream = open_stream
    it = run()
    began = trio.current_time()
    assert await it.until_closed() == Closed(code=1006, problem="server.example ended the connection without an answer")
    assert trio.current_time() == began


async def test_rubbish_in_the_place_of_a_handshake_is_lost_at_once(run, scripted, autojump_clock):
    scripted.upgrade = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
    it = run()
    began = trio.current_time()
    closed = await it.until_closed()
    assert (closed.code, trio.current_time()) == (1006, began)
    assert closed.problem.startswith("server.example")


@pytest.mark.parametrize("status", [403, 404, 502])
async def test_a_refused_handshake_is_told_with_its_status(run, scripted, status, autojump_clock):
    scripted.upgrade = f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno".encode()
    closed = await run().until_closed()
    assert (closed.code, closed.refused) == (1006, status)
    assert closed.problem == f"server.example answers the websocket with status {status}"


async def test_a_network_that_is_down_is_told(run, scripted, autojump_clock):
    scripted.fails = OSError("all is dark")
    assert await run().until_closed() == Closed(code=1006, problem="server.example can't be reached: all is dark")


async def test_a_server_that_never_answers_the_handshake_is_given_up(run, scripted, monkeypatch, autojump_clock):
    async def silent(stream, *_):
        await trio.sleep_forever()

    scripted._answer = silent
    it = run()
    began = trio.current_time()
    closed = await it.until_closed()
    assert trio.current_time() - began == ATTEMPT
    assert closed == Closed(code=1006, problem="server.example: no answer within 20 s")


async def test_a_server_that_pings_and_says_nothing_is_given_up(run, scripted, nursery, autojump_clock):
    it = run()
    line = await scripted.accept()
    began = trio.current_time()

    async def ping():
        while it.closed is None:
            with trio.move_on_after(3):
                await line.socket.ping()
            await trio.sleep(3)

    nursery.start_soon(ping)
    closed = await it.until_closed()
    assert trio.current_time() - began == ADMISSION
    assert closed == Closed(code=1006, problem="server.example: no answer within 60 s")


async def test_silence_ends_it_and_pings_are_no_silence(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    for _ in range(10):
        await trio.sleep(SILENCE - 1)
        await line.socket.ping()
    began = trio.current_time()
    closed = await it.until_closed()
    assert trio.current_time() - began == SILENCE
    assert closed == Closed(code=1006, problem="server.example: nothing was heard for 60 s")


async def test_after_an_announced_end_patience_is_short(run, scripted, autojump_clock):
    it = run()
    line, _ = await scripted.live()
    began = trio.current_time()
    await line.send(type="closing", code=1012, reason="restarting", retry_after=None)
    await trio.sleep(LAST_WORDS / 2)
    await line.socket.ping()  # which asks for no more patience
    assert await it.until_closed() == Closed(code=1012, reason="restarting")
    assert trio.current_time() - began == LAST_WORDS


async def test_frames_are_written_whole_by_one_task(run, scripted, autojump_clock):
    """A frame that is cut in the middle would spoil the close frame behind it."""
    it = run()
    line, _ = await scripted.live()
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(5):
        it.protocol.send("Big", {"text": "x" * 100_000})
    it.websocket.flush()
    await trio.testing.wait_all_tasks_blocked()
    it.websocket.leave()
    assert (await line.until_closed()).code == 1000
    assert len(line.pending()) >= 1


async def test_a_bug_of_ours_is_not_taken_for_the_network(run, scripted, nursery, autojump_clock):
    with pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)):
        async with trio.open_nursery() as inner:
            it = Run(scripted, inner)
            it.websocket._on_events = lambda events: 1 / 0
            line = await scripted.accept()
            await line.receive()
            await line.attached()
            await it.until_closed()


async def test_a_bug_beside_a_lost_network_is_raised_alone(scripted, autojump_clock):
    """Else the lost network would end all that the link's nursery holds."""
    network = trio.BrokenResourceError()
    assert module._is_of_the_network(network)
    assert not module._is_of_the_network(ZeroDivisionError())
    group = ExceptionGroup("x", [network, ExceptionGroup("y", [ZeroDivisionError(), trio.ClosedResourceError()])])
    ours, bugs = group.split(module._is_of_the_network)
    assert len(ours.exceptions) == 2
    assert pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)).matches(bugs)

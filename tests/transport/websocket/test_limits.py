"""Too much of something: messages, connections, newcomers."""

import contextlib

import pytest
import trio
import trio.testing

from supervisor.server_options import ServerOptions

from ..peers import PING, PONG, TEXT, Peer, all_blocked, options_of


def rated(**websocket):
    return options_of(**{"max_message_rate": 10.0, "message_burst": 5} | websocket)


async def test_messages_beyond_the_rate_wait_and_none_is_lost(serve):
    async with serve(options=rated()) as table:
        peer, _, _ = await table.attached()
        began = trio.current_time()
        for _ in range(15):
            await peer.send("Add")
        answers, arrived = [], []
        while len(answers) < 15:
            if (message := await peer.message())["type"] == "answer":
                answers.append(message["number"])
                arrived.append(round(trio.current_time() - began, 3))
        assert answers == list(range(1, 16))
        assert arrived == [0.0] * 5 + [round(0.1 * number, 3) for number in range(1, 11)]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "present", "metadata": {}},
        {"type": "watch", "scope": "session"},
        {"type": "edit", "number": 1, "op": "set", "path": ["n"], "value": 1, "base": 1, "confirmed": 0},
    ],
    ids=lambda message: message["type"],
)
async def test_messages_of_every_kind_count(serve, message):
    async with serve(options=rated(max_message_rate=1, message_burst=1)) as table:
        peer, _, _ = await table.attached()
        await peer.send_json(**message)
        began = trio.current_time()
        await peer.send("Add", number=1 + message.get("number", 0))
        with trio.fail_after(10):
            while (await peer.message())["type"] != "answer":
                pass
        assert trio.current_time() - began == pytest.approx(1)


async def test_pings_are_answered_while_messages_wait_for_their_time(serve):
    async with serve(options=rated(max_message_rate=1)) as table:
        peer, _, _ = await table.attached()
        for _ in range(10):
            await peer.send("Add")
        await all_blocked()
        while peer._parsed() is not None:
            pass
        began = trio.current_time()
        await peer.send_frame(PING, b"are you there?")
        while (frame := await peer.frame())[0] == TEXT:
            pass
        assert frame == (PONG, b"are you there?")
        assert trio.current_time() == began


async def test_who_floods_is_closed_with_4429_and_may_come_back_after_a_while(serve):
    async with serve(options=rated(flood_timeout=3, return_later=8)) as table:
        peer, attached, session = await table.attached()
        began, codes = trio.current_time(), []

        async def flood():
            with contextlib.suppress(trio.BrokenResourceError):
                while True:
                    await peer.send_json(type="present", metadata={})
                    await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            with trio.fail_after(60):
                messages, code, reason = await peer.closed()
            codes.append(code)
            assert trio.current_time() - began == pytest.approx(3, abs=0.2)
            nursery.cancel_scope.cancel()
        assert (codes, reason) == ([4429], "too many messages")
        assert messages[-1]["code"] == 4429
        assert 4 <= messages[-1]["retry_after"] <= 8
        await all_blocked()
        assert session.connections == ()
        assert table.detached == [4429]
        assert (await table.returned(attached))[1]["resumed"]


async def test_whose_messages_wait_for_their_time_is_not_taken_for_silent(serve):
    """What it sent at once takes longer to be looked at than pings are apart, and its pongs come behind that."""
    async with serve(options=rated(max_message_rate=1)) as table:
        peer, _, _ = await table.attached()
        began = trio.current_time()
        watch = b'{"type":"watch","scope":"session"}'
        flood = (bytes((0x81, 0x80 | len(watch))) + b"\0\0\0\0" + watch) * 1_000
        await peer.stream.send_all(flood)
        with trio.fail_after(100):
            messages, code, _ = await peer.closed()
        assert (code, messages[-1]["code"]) == (4429, 4429)
        assert trio.current_time() - began == pytest.approx(60, abs=2)


async def test_who_pauses_now_and_then_may_be_too_fast_for_long(serve):
    async with serve(options=rated(flood_timeout=3)) as table:
        peer, _, session = await table.attached()
        for _ in range(10):
            for _ in range(20):
                await peer.send_json(type="present", metadata={})
            await trio.sleep(3)
        assert len(session.connections) == 1


async def test_without_a_rate_nothing_waits(serve):
    async with serve(options=rated(max_message_rate=None)) as table:
        peer, _, session = await table.attached()
        began = trio.current_time()
        for _ in range(1000):
            await peer.send_json(type="present", metadata={})
        await all_blocked()
        assert trio.current_time() == began
        assert len(session.connections) == 1


async def test_a_session_with_all_its_connections_lets_no_other_in(serve):
    refused = []
    async with serve(options=options_of({"max_connections_per_session": 2}, return_later=6)) as table:
        table.app.server.runtime.instruments.connection_refused = lambda **told: refused.append(told)
        page = await table.page()
        first, attached, session = await table.attached(page)
        await table.attached(page)
        for _ in range(2):
            late = await table.peer()
            await late.send_json(type="attach", token=page["token"])
            [closing], code, reason = await late.closed()
            assert (code, closing["code"], reason) == (4429, 4429, "too many connections to this session")
            assert 3 <= closing["retry_after"] <= 6
        assert len(session.connections) == 2
        [told] = refused
        assert told["application"] == "app"
        assert told["reason"].endswith(": 2; --max-connections-per-session allows more")
        _, again = await table.returned(attached)  # before its older connection was missed: it takes that one's place
        assert again["resumed"]
        assert await first.end() == []
        await all_blocked()
        assert len(session.connections) == 2


async def test_who_comes_back_as_another_client_takes_the_place_of_one_connection_and_not_of_more(serve):
    """As after a restart that it missed: it is another client then, and its older connection isn't missed yet."""
    async with serve(options=options_of({"max_connections_per_session": 1})) as table:
        first, attached, session = await table.attached()
        _, again = await table.returned(attached, epoch="before")
        assert again["client"] != attached["client"]
        assert await first.end() == []
        _, closing = await table.returned(attached, epoch="before")
        assert (closing["type"], closing["code"]) == ("closing", 4429)
        await all_blocked()
        assert len(session.connections) == 1


async def test_a_connection_that_left_makes_room_also_where_hooks_let_them_in(serve):
    async def on_connection_opened(session_context, connection):
        opened.append(connection)
        await trio.sleep(1)

    opened = []
    options = options_of({"max_connections_per_session": 1})
    async with serve(options=options, on_connection_opened=on_connection_opened) as table:
        page = await table.page()
        first, second = await table.peer(), await table.peer()
        for peer in (first, second):
            await peer.send_json(type="attach", token=page["token"])
        assert (await first.message())["type"] == "attached"
        assert (await second.closed())[1] == 4429  # it came before the first one was in, and its hook ran
        assert len(opened) == 2
        third = await table.peer()
        await third.send_json(type="attach", token=page["token"])
        assert (await third.closed())[1] == 4429
        assert len(opened) == 2
        await first.stream.aclose()
        await all_blocked()
        await table.attached(page)


async def test_of_those_who_say_nothing_the_oldest_makes_way(serve):
    async with serve(options=ServerOptions(max_newcomers=2)) as table:
        attached, _, session = await table.attached()
        silent = [await table.peer() for _ in range(3)]
        await all_blocked()
        assert (await silent[0].closed())[1:] == (4408, "no first frame, and others need the room")
        assert table.app.server.occupancy.newcomers == 2
        page = await table.page(session=session.id)
        await silent[1].attach(page)
        await silent[2].attach(page)
        assert table.app.server.occupancy.newcomers == 0
        assert len(session.connections) == 3
        await attached.send("Add")


async def test_a_newcomer_that_reads_nothing_makes_way_too(serve):
    async with serve(options=ServerOptions(max_newcomers=1)) as table, trio.open_nursery() as nursery:
        for _ in range(3):
            theirs, ours = trio.testing.lockstep_stream_pair()
            nursery.start_soon(table.app.server.handle, ours)
            await Peer(theirs).ask()
        await trio.sleep(15)
        assert table.app.server.occupancy.connections == 0
        assert table.app.server.occupancy.newcomers == 0

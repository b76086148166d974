"""How far a client is read ahead whose session has no room."""

import json

import trio

from ..peers import CLOSE, PING, PONG, TEXT, all_blocked, lockstep, options_of


async def test_a_client_whose_session_has_no_room_is_not_read_beyond_its_window(serve):
    """The socket's buffer fills, and the client waits; what it sends beyond its window is never looked at."""
    async with serve(options=options_of({"mailbox_capacity": 1})) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send("Wait", seconds=1000)
        sent = 0

        async def flood():
            nonlocal sent
            while True:
                await peer.send("Add")
                sent += 1

        nursery.start_soon(flood)
        await all_blocked()
        # One in hand, one in the mailbox, one that waits for room, a window in the queue, and one before that.
        assert 64 <= sent <= 70
        assert session.statistics().waiting_for_room == 1
        nursery.cancel_scope.cancel()


async def test_a_client_is_read_ahead_by_so_many_bytes_and_not_missed_meanwhile(serve):
    options = options_of(max_unanswered=100_000, ping_interval=5.0, max_message_size=40_000)
    async with serve(options=options) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send("Wait", seconds=60)
        await all_blocked()
        await peer.send_frame(PING, b"there?")
        while await peer.frame() != (PONG, b"there?"):
            pass
        sent = []

        async def send():
            for number in range(30):
                await peer.send("Wait", seconds=0, label="x" * 30_000 + str(number))
                sent.append(number)
            while True:
                await peer.send_frame(PONG, b"")
                await trio.sleep(1)

        nursery.start_soon(send)
        await all_blocked()
        assert len(sent) in (3, 4)
        for _ in range(10):  # its client would take a silent connection for lost
            assert await peer.frame() == (PING, b"")
        assert len(sent) in (3, 4)
        assert session.connections
        labels = []
        while len(labels) < 31:
            message = await peer.message(answers_pings=False)
            if message["type"] == "answer":
                labels.append(message["value"][30_000:])
        assert labels == ["", *map(str, range(30))]
        nursery.cancel_scope.cancel()


async def test_what_is_read_ahead_is_counted_in_bytes(serve):
    async with serve(options=options_of(max_unanswered=100_000)) as table, trio.open_nursery() as nursery:
        peer, _ = await lockstep(table, nursery)
        await peer.send("Wait", seconds=1000)
        sent = []

        async def send():
            for number in range(2, 30):
                fields = {"seconds": 0, "label": "\N{PILE OF POO}" * 7_500}
                message = {"type": "send", "number": number, "name": "Wait", "fields": fields, "confirmed": 0}
                await peer.send_frame(TEXT, json.dumps(message, ensure_ascii=False).encode())
                sent.append(number)

        nursery.start_soon(send)
        await all_blocked()
        assert len(sent) in (3, 4)
        nursery.cancel_scope.cancel()


async def test_a_client_that_is_not_read_can_still_answer_a_close(serve):
    async with serve(options=options_of(max_unanswered=50_000)) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        await peer.send("Wait", seconds=1000)
        over = False

        async def send():
            nonlocal over
            for _ in range(3):
                await peer.send("Wait", seconds=0, label="x" * 60_000)
            over = True
            await peer.send_frame(CLOSE, b"\x11\x3a")

        nursery.start_soon(send)
        await all_blocked()
        assert not over
        session.destroy(reason="over")
        began = trio.current_time()
        await session.wait_destroyed()
        assert trio.current_time() - began < 2
        nursery.cancel_scope.cancel()


async def test_edits_that_wait_count_too(serve):
    async with serve(options=options_of(max_unanswered=100_000)) as table, trio.open_nursery() as nursery:
        peer, session = await lockstep(table, nursery)
        session.document.allow_edits("/text")
        await peer.send("Wait", seconds=60)
        sent = []

        async def send():
            for number in range(2, 12):
                edit = {"type": "edit", "number": number, "base": 1, "op": "set", "path": ["text"], "confirmed": 0}
                await peer.send_json(**edit, value=str(number) * 30_000)
                sent.append(number)

        nursery.start_soon(send)
        await all_blocked()
        assert len(sent) in (3, 4)
        numbers = []
        while len(numbers) < 10:
            message = await peer.message(answers_pings=False)
            if message["type"] == "edited":
                numbers.append(message["number"])
        assert numbers == list(range(2, 12))
        nursery.cancel_scope.cancel()

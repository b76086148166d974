"""Sends and their answers, whatever becomes of the connection."""

import pytest
import trio
import trio.testing

from supervisor.errors import SendFailed, SendInvalid, SendRejected, SendUnsent
from supervisor.testing.client import ANSWER

from .counter import Add


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
        await trio.sleep(1)
        with pytest.raises(SendUnsent):
            await client.send("Add")
        assert answers == []
        await client.reconnect()
    assert sorted(answers) == list(range(1, 65))


async def test_a_send_whose_connection_is_lost_is_done_once(session):
    client = await session.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.send("Wait", seconds=1))
        nursery.start_soon(lambda: client.send("Add"))
        await trio.testing.wait_all_tasks_blocked()
        await client.drop()
        await trio.sleep(2)
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


async def test_a_message_may_be_sent_as_an_object(session):
    client = await session.connect()
    assert await client.send(Add(by=5)) == 5
    with pytest.raises(TypeError):
        await client.send(Add(by=5), by=3)

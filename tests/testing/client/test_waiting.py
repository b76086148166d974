"""What a client shows, and what a test waits for by it."""

import pytest
import trio

from supervisor.protocol import events
from supervisor.testing.record import MAX_PATCHES

from .counter import add, modify_document


async def test_it_mirrors_the_document(session):
    client = await session.connect()
    assert (client.status, client.data, client.revision) == ("live", {"n": 0}, 1)
    await session.context.with_locked_document(add)
    await client.until(lambda data: data["n"] == 1)
    assert client.revision == 2
    assert [type(event) for event in client.received] == [events.Attached, events.Snapshotted, events.Patched]
    assert repr(client) == "<Client live at revision 2>"


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
    assert trio.current_time() < began + 5


async def test_until_ended_says_why(session):
    client = await session.connect()
    with pytest.raises(trio.TooSlowError):
        await client.until_ended(timeout=1)
    session.context.destroy(reason="over")
    ended = await client.until_ended()
    assert (ended.code, ended.reason) == (4410, "over")
    assert client.status == "ended"
    assert client.ended is ended


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
    with pytest.raises(TypeError, match=r"returned an awaitable"):
        await client.until(lambda data: asked(data))


async def test_what_was_true_is_asked_about_no_more(session):
    client = await session.connect()
    asked = []
    await client.until(lambda data: asked.append(data) is None)
    await client.watch()
    await client.send("Add")
    assert asked == [{"n": 0}]

"""Who else is there."""

import pytest
import trio
import trio.testing

from supervisor.client import SessionEnded
from supervisor.client.presence import Peer
from tests.client.conftest import answer, page


def peer(id, name=None, **metadata):
    return {"id": id, "name": name, "metadata": metadata}


async def tell(line, *present, complete=False, left=(), scope="session"):
    await line.send(type="presence", scope=scope, complete=complete, present=list(present), left=list(left))


async def test_who_watches_is_told_who_is_there(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        seen = []

        async def watch():
            async for people in session.presence.watch():
                seen.append(people)  # noqa: PERF401 (the test looks at it meanwhile)

        async with trio.open_nursery() as inner:
            inner.start_soon(watch)
            assert await line.receive() == {"type": "watch", "scope": "session"}
            assert seen == []
            await tell(line, peer("p-1"), peer("p-2", "Ada", cursor=[1]), complete=True)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == [
                (
                    Peer(id="p-1", name=None, metadata={}, is_self=True),
                    Peer(id="p-2", name="Ada", metadata={"cursor": [1]}, is_self=False),
                )
            ]
            await tell(line, left=["p-2"])
            await trio.testing.wait_all_tasks_blocked()
            assert [person.id for person in seen[-1]] == ["p-1"]
            # A second watcher of the same is told at once, and nothing is asked again.
            async for people in session.presence.watch():
                assert people == seen[-1]
                break
            assert line.pending() == []
            inner.cancel_scope.cancel()


async def test_where_nothing_is_shared_nobody_is_there(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        watching = session.presence.watch("application")

        async def answer_it():
            assert (await line.receive())["scope"] == "application"
            await tell(line, complete=True, scope="application")

        async with trio.open_nursery() as inner:
            inner.start_soon(answer_it)
            assert await anext(watching) == ()


async def test_what_a_client_says_of_itself_is_said_again_after_it_came_back(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        session.presence.set({"cursor": [1, 2]})
        assert await line.receive() == {"type": "present", "metadata": {"cursor": [1, 2]}}
        await line.cut()
        line, _ = await scripted.live(resumed=True)
        assert await line.receive() == {"type": "present", "metadata": {"cursor": [1, 2]}}


async def test_a_new_session_is_told_and_asked_as_the_old_one_was(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        session.presence.set({"a": 1})
        watching = session.presence.watch()
        seen = []

        async def watch():
            async for people in watching:
                seen.append([person.id for person in people])  # noqa: PERF401 (as above)

        async with trio.open_nursery() as inner:
            inner.start_soon(watch)
            await line.receive()
            await line.receive()
            await tell(line, peer("p-1"), complete=True)
            await trio.testing.wait_all_tasks_blocked()
            scripted.pages = [answer(body=page(session="s-2", token="t-2"))]
            await line.close(4404, announced=True)
            line, _ = await scripted.live(session="s-2", peer="p-9", client="c-9", epoch="e-9")
            frames = [await line.receive(), await line.receive()]
            assert {frame["type"] for frame in frames} == {"watch", "present"}
            await trio.testing.wait_all_tasks_blocked()
            assert seen == [["p-1"]]
            with trio.move_on_after(1):
                await anext(session.presence.watch())
                raise AssertionError("who is in the new session was not told yet")
            await tell(line, peer("p-9"), complete=True)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == [["p-1"], ["p-9"]]
            inner.cancel_scope.cancel()


async def test_the_end_reaches_who_watches(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        await line.close(4410, "over", announced=True)
        await session.wait_ended()
        with pytest.raises(SessionEnded, match="over"):
            await anext(session.presence.watch())


@pytest.mark.parametrize(
    ("metadata", "error"), [([1], TypeError), ({"a": "x" * 1_024}, ValueError), ({"a": float("nan")}, ValueError)]
)
async def test_what_can_not_be_told_is_refused(connected, scripted, autojump_clock, metadata, error):
    async with connected() as (session, line):
        with pytest.raises(error):
            session.presence.set(metadata)
        assert line.pending() == []


async def test_there_are_two_scopes(connected, scripted, autojump_clock):
    async with connected() as (session, _line):
        with pytest.raises(ValueError, match="a scope must be 'session' or 'application'"):
            session.presence.watch("world")

import math

import pytest
import trio

from supervisor.actor.holding import Holds, ancestry
from supervisor.actor.waiting import Wait
from supervisor.errors import DeadlockError


@pytest.fixture
async def holds():
    holds = Holds()
    yield holds
    assert len(holds.graph) == 0
    assert holds._by_task == {}


async def child_sees(holds, nursery):
    """What a new task of this nursery holds up."""
    seen = []

    async def look(task_status=trio.TASK_STATUS_IGNORED):
        await trio.lowlevel.checkpoint()
        seen.extend(holds.held_up())
        task_status.started()

    done = trio.Event()

    async def run():
        await look()
        done.set()

    nursery.start_soon(run)
    with trio.CancelScope(shield=True):
        await done.wait()
    return seen


async def test_nobody_waits_for_a_task_that_holds_nothing(holds):
    assert holds.held_up() == []


async def test_the_innermost_hold_comes_first(holds):
    outer, inner = holds.take("outer"), holds.take("inner")
    assert holds.held_up() == ["inner", "outer"]
    holds.release(inner)
    assert holds.held_up() == ["outer"]
    holds.release(outer)
    assert holds.held_up() == []


async def test_holds_need_not_be_released_in_reverse(holds):
    outer, inner = holds.take("outer"), holds.take("inner")
    holds.release(outer)
    assert holds.held_up() == ["inner"]
    holds.release(inner)


async def test_a_task_counts_if_its_nursery_was_opened_inside_the_hold(holds):
    async with trio.open_nursery() as before:
        hold = holds.take("actor")
        async with trio.open_nursery() as inside:
            assert await child_sees(holds, before) == []
            assert await child_sees(holds, inside) == ["actor"]
            second = holds.take("borrowed later")
            assert await child_sees(holds, inside) == ["actor"]
            async with trio.open_nursery() as innermost:
                assert await child_sees(holds, innermost) == ["borrowed later", "actor"]
            holds.release(second)
        holds.release(hold)


async def test_grandchildren_count_through_all_generations(holds):
    hold = holds.take("actor")
    seen = []

    async def child():
        own = holds.take("lent to the child")
        async with trio.open_nursery() as nursery:
            seen.append(await child_sees(holds, nursery))
        holds.release(own)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
    assert seen == [["lent to the child", "actor"]]
    holds.release(hold)


async def test_a_task_that_is_being_started_counts_until_it_has_started(holds):
    seen = []

    async def service(task_status):
        seen.append(holds.held_up())
        task_status.started()
        await trio.lowlevel.checkpoint()
        seen.append(holds.held_up())

    async with trio.open_nursery() as background:
        hold = holds.take("actor")
        await background.start(service)
        await trio.testing.wait_all_tasks_blocked()
        holds.release(hold)
    assert seen == [["actor"], []]


async def test_a_hold_covers_its_task_and_what_runs_inside_it(holds):
    hold = holds.take("actor")
    covered = []

    async def look():
        covered.append(hold.covers(trio.lowlevel.current_task()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
    assert covered == [True]
    assert hold.covers(trio.lowlevel.current_task())
    assert not hold.covers(trio.lowlevel.current_task().parent_nursery.parent_task)
    holds.release(hold)


async def test_the_ancestry_ends_at_the_root():
    tasks = [task for task, _ in ancestry(trio.lowlevel.current_task())]
    assert tasks[0] is trio.lowlevel.current_task()
    assert tasks[-1] is trio.lowlevel.current_root_task()


async def test_a_wait_is_noted_while_it_lasts(holds):
    hold = holds.take("a")
    with holds.waiting_for(["b"], "ask"):
        assert holds.graph.circle(["b"], ["a"]) == ("b", "a", "b")
    assert holds.graph.circle(["b"], ["a"]) is None
    holds.release(hold)


async def test_a_wait_that_is_left_by_an_exception_is_noted_no_more(holds):
    hold = holds.take("a")
    with pytest.raises(ValueError, match="x"), holds.waiting_for(["b"], "ask"):
        raise ValueError("x")
    holds.release(hold)


async def test_a_wait_of_a_task_that_holds_up_nobody_is_noted_to_be_shown(holds, autojump_clock):
    await trio.sleep(5)
    with trio.move_on_after(10), holds.waiting_for(["b"], "ask() of b"):
        [shown] = holds.graph.statistics({"b"})
        assert (shown.waiters, shown.targets, shown.doing) == ((), ("b",), "ask() of b")
        assert (shown.task, shown.since, shown.until) == (trio.lowlevel.current_task().name, 5.0, 15.0)
        await trio.lowlevel.checkpoint()


async def test_a_wait_in_words_is_shown_and_closes_no_circle(holds):
    with holds.shown("a", "any of many", "its turn"):
        [shown] = holds.graph.statistics({"a"})
        assert (shown.waiters, shown.targets, shown.doing) == (("a",), ("any of many",), "its turn")
        assert shown.until == math.inf
        assert holds.graph.circle(["b"], ["a"]) is None
    assert holds.graph.statistics({"a"}) == ()


async def test_the_wait_that_would_close_a_circle_is_refused_in_words_and_not_noted(holds):
    holds.graph.add(Wait(["session B"], ["session A"]))
    before = len(holds.graph)
    hold = holds.take("session A")
    with pytest.raises(DeadlockError) as caught, holds.waiting_for(["session B"], "ask() of session B"):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        "ask() of session B would wait for ever: session A → session B → session A; "
        "send a message with tell() and handle the answer as a message of its own"
    )
    assert len(holds.graph) == before
    holds.release(hold)
    holds.graph.__init__()


async def test_a_wait_for_several_is_refused_for_one_of_them(holds):
    hold = holds.take("a")
    with pytest.raises(DeadlockError, match="a → a"), holds.waiting_for(["b", "a"], "broadcast()"):
        pytest.fail("the block must not run")
    holds.release(hold)

"""Stopping: a soft stop is a moment, a hard one a deadline that has passed."""

import math

import pytest
import trio

from supervisor.actor.stopping import Children, Stopping


def test_nothing_stops_until_somebody_says_so():
    stopping = Stopping()
    assert (stopping.has_begun, stopping.at) == (False, math.inf)
    assert repr(stopping) == "<Stopping not begun, until inf, 0 waits, 0 bounded>"


def test_a_deadline_only_moves_nearer():
    stopping = Stopping()
    stopping.move(20.0)
    stopping.move(30.0)
    assert (stopping.has_begun, stopping.at) == (False, 20.0)
    stopping.soft(25.0)
    assert (stopping.has_begun, stopping.at) == (True, 20.0)
    stopping.soft(5.0)
    assert stopping.at == 5.0


def test_it_may_begin_outside_of_trio():
    stopping = Stopping()
    stopping.soft()
    assert stopping.has_begun


async def test_a_soft_stop_ends_waits_for_new_work_and_no_work(nursery, autojump_clock):
    stopping, ended = Stopping(), []

    async def wait():
        with stopping.waiting():
            await trio.sleep_forever()
        ended.append("waiting")

    async def work():
        with stopping.working():
            await trio.sleep(10)
            ended.append("working")

    nursery.start_soon(wait)
    nursery.start_soon(work)
    await trio.testing.wait_all_tasks_blocked()
    assert "1 waits, 1 bounded" in repr(stopping)
    stopping.soft(trio.current_time() + 20)
    await trio.testing.wait_all_tasks_blocked()
    assert ended == ["waiting"]
    await trio.sleep(10)
    await trio.testing.wait_all_tasks_blocked()
    assert ended == ["waiting", "working"]
    assert "0 waits, 0 bounded" in repr(stopping)


async def test_nobody_waits_for_new_work_once_it_has_begun(autojump_clock):
    stopping = Stopping()
    stopping.soft()
    with stopping.waiting():
        await trio.sleep_forever()
    assert trio.current_time() == 0


async def test_a_wait_for_new_work_has_a_timeout(autojump_clock):
    with Stopping().waiting(75):
        await trio.sleep_forever()
    assert trio.current_time() == 75


async def test_what_came_in_the_same_moment_wins():
    stopping = Stopping()
    with stopping.waiting():
        stopping.soft()
        got = b"byte"
    assert got == b"byte"


async def test_work_ends_a_reserve_before_the_deadline_wherever_that_moves(nursery, autojump_clock):
    stopping = Stopping()
    stopping.soft(100.0)

    async def hurry():
        await trio.sleep(1)
        stopping.soft(6.0)

    nursery.start_soon(hurry)
    with stopping.working(2.0) as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 4


async def test_work_that_begins_late_has_what_is_left_and_no_more_than_its_timeout(autojump_clock):
    stopping = Stopping()
    stopping.soft(10.0)
    with stopping.working(timeout=3):
        await trio.sleep_forever()
    assert trio.current_time() == 3
    with stopping.working(1.0, timeout=100):
        await trio.sleep_forever()
    assert trio.current_time() == 9


async def test_shielded_work_goes_on_until_the_deadline_when_what_is_around_it_is_cancelled(autojump_clock):
    stopping = Stopping()
    stopping.move(5.0)
    with trio.CancelScope() as around:
        around.cancel()
        with stopping.working(shield=True):
            await trio.sleep_forever()
    assert trio.current_time() == 5


async def test_work_without_a_shield_ends_with_what_is_around_it(autojump_clock):
    with trio.CancelScope() as around:
        around.cancel()
        with Stopping().working(timeout=5):
            await trio.sleep_forever()
    assert trio.current_time() == 0


async def test_a_hard_stop_cancels_at_once_what_goes_on_and_what_begins(nursery, autojump_clock):
    stopping, ended = Stopping(), []

    async def work():
        with stopping.working():
            try:
                await trio.sleep_forever()
            finally:
                ended.append("work")

    nursery.start_soon(work)
    await trio.testing.wait_all_tasks_blocked()
    with stopping.working(5.0) as scope:
        stopping.hard()
        assert scope.cancel_called
        await trio.sleep_forever()
    with stopping.working():
        await trio.lowlevel.checkpoint()
        raise AssertionError("it went on")
    assert ended == ["work"]


async def test_a_scope_of_somebody_else_is_bounded_too(autojump_clock):
    stopping = Stopping()
    stopping.move(3.0)
    async with trio.open_nursery() as nursery:
        with stopping.bounding(nursery.cancel_scope, 1.0):
            await trio.sleep_forever()
    assert trio.current_time() == 2
    async with trio.open_nursery() as nursery:
        with stopping.bounding(nursery.cancel_scope):
            await trio.sleep_forever()
    assert trio.current_time() == 3


def test_who_is_further_in_has_never_more_time_than_who_is_around_it():
    server = Stopping()
    application = Stopping(server)
    sessions = Stopping(application, reserve=2.0)
    session = Stopping(sessions)
    server.move(20.0)
    assert (application.at, sessions.at, session.at) == (20.0, 18.0, 18.0)
    session.soft(5.0)
    assert (session.has_begun, sessions.has_begun, sessions.at) == (True, False, 18.0)
    server.soft(6.0)
    assert (application.has_begun, sessions.at, session.at) == (False, 4.0, 4.0)
    assert Stopping(application, reserve=1.0).at == 5.0


def test_what_is_over_is_forgotten():
    server = Stopping()
    application = Stopping(server)
    application.leave()
    application.leave()
    server.move(20.0)
    assert application.at == math.inf
    assert "0 bounded" in repr(server)
    server.leave()  # is part of nothing


async def test_many_may_wait_for_the_begin(nursery, autojump_clock):
    stopping, told = Stopping(), []

    async def wait(name):
        await stopping.wait()
        told.append(name)

    nursery.start_soon(wait, 1)
    nursery.start_soon(wait, 2)
    await trio.testing.wait_all_tasks_blocked()
    assert told == []
    stopping.soft()
    stopping.soft()
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(told) == [1, 2]
    await stopping.wait()
    late = Stopping()
    late.soft()
    await late.wait()


# Children.


class Child:
    """Is over when it is told hard, after so many seconds."""

    def __init__(self, children, nursery, seconds=0.0):
        self.children, self.nursery, self.seconds = children, nursery, seconds
        self.hard_at = None
        children.add(self)

    def hard(self):
        self.hard_at = trio.current_time()
        self.nursery.start_soon(self.go)

    async def go(self):
        await trio.sleep(self.seconds)
        self.children.discard(self)


async def test_children_are_waited_for_until_the_deadline_and_then_stopped_hard(nursery, autojump_clock):
    children, stopping = Children(), Stopping()
    good, bad = Child(children, nursery), Child(children, nursery, seconds=2.0)
    assert (list(children), len(children), good in children) == ([good, bad], 2, True)
    assert repr(children) == "<Children: 2>"
    stopping.soft(5.0)

    async def go_soon():
        await trio.sleep(1)
        children.discard(good)

    nursery.start_soon(go_soon)
    await children.finish(stopping, Child.hard)
    assert (good.hard_at, bad.hard_at, trio.current_time()) == (None, 5, 7)
    assert len(children) == 0
    late = Child(children, nursery)
    await children.finish(Stopping(), Child.hard, timeout=3.0)
    assert late.hard_at == 10


async def test_children_who_go_in_time_are_not_stopped_hard(nursery, autojump_clock):
    children, stopping = Children(), Stopping()
    child = Child(children, nursery)
    stopping.soft(5.0)
    nursery.start_soon(child.go)
    await children.finish(stopping, Child.hard)
    assert (child.hard_at, trio.current_time()) == (None, 0)
    children.discard(child)


@pytest.mark.parametrize("come_again", [False, True])
async def test_one_who_comes_before_the_waiter_has_its_turn_is_waited_for(nursery, autojump_clock, come_again):
    children = Children()
    children.add(1)

    async def exchange():
        children.discard(1)
        if come_again:
            children.add(2)
            await trio.sleep(3)
            children.discard(2)

    nursery.start_soon(exchange)
    await children.wait_empty()
    assert trio.current_time() == (3 if come_again else 0)

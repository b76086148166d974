"""The parts that refs are made of."""

import outcome
import trio

from supervisor.actor.entry import Tell
from supervisor.actor.ref import Answered, Parked
from supervisor.errors import ActorGone

from .asking import settle


async def test_a_parked_task_that_left_is_not_woken(nursery):
    parked = Parked()
    with trio.move_on_after(0):
        await parked.park(lambda: True)
    assert not parked.is_cancelled
    parked.wake(outcome.Value("too late"))


async def test_nobody_may_wake_a_task_while_its_leaving_is_decided():
    parked = Parked()

    def abort():
        parked.wake(outcome.Value("ignored"))
        return True

    with trio.move_on_after(0) as scope:
        await parked.park(abort)
    assert scope.cancelled_caught


async def test_an_answered_entry_that_is_told_of_room_goes_on_waiting():
    entry = Answered(lambda: ActorGone("x"))
    entry.granted()
    with trio.move_on_after(0) as scope:
        await entry.parked.park(lambda: True)
    assert scope.cancelled_caught


async def test_one_tell_may_be_queued_at_many_actors(office, do):
    clerks = [await office.hire(str(number)) for number in range(3)]
    entry = Tell(do(lambda clerk: clerk.notes.append(clerk.name)))
    assert all(clerk.mailbox.put(entry) for clerk in clerks)
    await settle()
    assert [clerk.kept for clerk in clerks] == [("0",), ("1",), ("2",)]

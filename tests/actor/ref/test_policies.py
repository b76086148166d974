"""Messages of a type with a policy of its own."""

import pytest
import trio

from supervisor.actor.policy import MailboxPolicy
from supervisor.errors import MailboxFull

from .asking import Asker, block, full, settle


async def full_under(office, do, **policy):
    """A clerk at work, with a mailbox of one and this policy: (clerk, what lets it go on)."""
    clerk = await office.hire(capacity=1)
    clerk.dropped = []
    clerk.message_dropped = clerk.dropped.append
    event = block(clerk)
    await settle()
    clerk.policies = {do: MailboxPolicy(**policy)}
    return clerk, event


async def test_a_refused_type_is_told_at_once_by_every_way(office, autojump_clock, do):
    clerk, event = await full_under(office, do, when_full="refuse")
    clerk.note("queued")
    began = trio.current_time()
    for send in (clerk.ref.tell, clerk.ref.ask):
        with pytest.raises(MailboxFull, match="the mailbox of clerk is full, and message Do doesn't wait for room"):
            await send(do(1))
    with pytest.raises(MailboxFull):
        clerk.ref.tell_nowait(do(1))
    assert trio.current_time() == began
    assert (clerk.ref.statistics().refused, clerk.ref.statistics().waited) == (3, 0)
    event.set()
    await settle()
    assert clerk.kept == ("queued",)


async def test_a_refused_tell_nowait_of_any_type_counts(office, do):
    clerk, event = await full(office)
    with pytest.raises(MailboxFull, match="is full; wait for room"):
        clerk.ref.tell_nowait(do(1))
    assert clerk.ref.statistics().refused == 1
    event.set()


async def test_the_oldest_gives_its_place_whatever_the_way_and_is_told(office, nursery, do):
    clerk, event = await full_under(office, do, when_full="drop_oldest")
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: clerk.notes.append("asked")))
    await settle()
    clerk.note("nowait")
    assert len(clerk.dropped) == 1
    await settle()
    assert isinstance(asker.raised, MailboxFull)
    assert "a newer message took this one's place" in str(asker.raised)
    with trio.testing.assert_checkpoints():
        await clerk.ref.tell(do(lambda clerk: clerk.notes.append("told")))
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: "answer"))
    await settle()
    assert clerk.ref.statistics().dropped == len(clerk.dropped) == 3
    event.set()
    await settle()
    assert asker.returned == "answer"
    assert clerk.kept == ()


async def test_conflated_the_newest_is_handled_and_an_ask_always_is(office, nursery, do):
    clerk, event = await full_under(office, do, conflate=lambda message: "key")
    clerk.note(1)
    clerk.note(2)
    await clerk.ref.tell(do(lambda clerk: clerk.notes.append(3)))
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: list(clerk.notes)))
    await settle()
    assert clerk.ref.statistics().waiting_for_room == 1
    event.set()
    await settle()
    assert asker.returned == [3]
    assert (clerk.ref.statistics().conflated, clerk.dropped) == (2, [])


async def test_under_a_policy_that_waits_senders_wait_as_ever(office, nursery, do):
    clerk, event = await full_under(office, do, conflate=lambda message: message.func)
    clerk.note(1)
    teller = Asker(nursery, clerk.ref.tell, do(lambda clerk: clerk.notes.append(2)))
    await settle()
    assert not teller.over
    with pytest.raises(MailboxFull, match="wait for room"):
        clerk.note(3)
    event.set()
    await settle()
    assert teller.over
    assert clerk.kept == (1, 2)


@pytest.mark.parametrize("way", ["tell", "tell_nowait", "ask"])
async def test_what_the_key_function_raises_is_the_senders(office, do, way):
    clerk, event = await full_under(office, do, conflate=lambda message: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result = getattr(clerk.ref, way)(do(1))
        if result is not None:
            await result
    assert clerk.incidents == []
    clerk.policies = {do: MailboxPolicy(conflate=lambda message: [])}
    with pytest.raises(TypeError, match="must be hashable"):
        clerk.ref.tell_nowait(do(1))
    event.set()
    await settle()
    assert clerk.kept == ()


async def test_a_cancelled_ask_under_a_policy_is_withdrawn(office, nursery, do):
    clerk, event = await full_under(office, do, when_full="drop_oldest")
    asker = Asker(nursery, clerk.ref.ask, do(lambda clerk: clerk.notes.append("asked")))
    await settle()
    asker.scope.cancel()
    await settle()
    assert asker.over
    clerk.note("told")
    event.set()
    await settle()
    assert clerk.kept == ("told",)
    assert clerk.dropped == []

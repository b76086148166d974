"""Messages to an actor that ends, or has ended."""

import pytest
import trio

from supervisor.actor.mailbox import MailboxStatistics
from supervisor.errors import ActorGone

from .asking import Asker, full, settle


async def test_the_end_fails_every_waiting_ask_at_once(office, nursery):
    clerk = await office.hire("clerk", capacity=2)

    async def hang(clerk):
        clerk.notes.append("rolled back")
        await trio.sleep_forever()

    askers = [Asker(nursery, clerk.ask, hang) for _ in range(5)]  # one in hand, two queued, two waiting for room
    await settle()
    assert clerk.mailbox.statistics().waiting_for_room == 2
    clerk.kill()
    await settle()
    assert [type(asker.raised) for asker in askers] == [ActorGone] * 5
    assert str(askers[0].raised) == "clerk has ended"
    assert clerk.kept == ()
    assert clerk.dead_letters == 0


async def test_a_message_to_an_actor_that_has_ended_is_a_dead_letter_and_only_an_ask_raises(clerk, do):
    clerk.stop()
    await clerk.ended.wait()
    clerk.ref.tell_nowait(do(1))
    with trio.testing.assert_checkpoints():
        await clerk.ref.tell(do(2))
    with pytest.raises(ActorGone):
        await clerk.ref.ask(do(3))
    assert clerk.letters == [do(1), do(2), do(3)]
    assert clerk.statistics().dead_letters == 3


async def test_messages_that_were_queued_at_the_end_are_dead_letters(clerk, do):
    clerk.stop()
    clerk.ref.tell_nowait(do("queued"))
    await clerk.ended.wait()
    assert clerk.letters == [do("queued")]


async def test_a_tell_that_waits_for_room_returns_at_the_end_as_a_dead_letter(office, nursery, do):
    clerk, _ = await full(office)
    message = do("waited")
    teller = Asker(nursery, clerk.ref.tell, message)
    await settle()
    clerk.kill()
    await settle()
    assert teller.over
    assert teller.raised is None
    assert message in clerk.letters
    assert clerk.dead_letters == 2


async def test_a_ref_outlives_its_actor(clerk):
    clerk.stop()
    await clerk.ended.wait()
    assert repr(clerk.ref) == "<ActorRef clerk>"
    assert clerk.ref.statistics() == MailboxStatistics(counted=0, uncounted=0, capacity=1_000, waiting_for_room=0)

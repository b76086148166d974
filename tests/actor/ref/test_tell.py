"""Tells: they wait for room, or not at all."""

import pytest
import trio

from supervisor.actor.ref import TIMEOUT
from supervisor.errors import MailboxFull

from .asking import Asker, block, full, settle


async def test_a_tell_is_handled_later_in_its_turn(clerk, do):
    await clerk.ref.tell(do(lambda clerk: clerk.notes.append(1)))
    clerk.ref.tell_nowait(do(lambda clerk: clerk.notes.append(2)))
    await settle()
    assert clerk.kept == (1, 2)


async def test_a_tell_with_room_is_a_checkpoint_and_never_waits_for_the_handling(clerk, do):
    event = block(clerk)
    with trio.testing.assert_checkpoints():
        await clerk.ref.tell(do(lambda clerk: clerk.notes.append(1)))
    event.set()


async def test_a_tell_waits_for_room(office, nursery, do):
    clerk, event = await full(office)
    teller = Asker(nursery, clerk.ref.tell, do(lambda clerk: clerk.notes.append("told")))
    await settle()
    assert not teller.over
    event.set()
    await settle()
    assert teller.over
    assert teller.raised is None
    assert clerk.kept == ("queued", "told")


async def test_a_tell_that_never_waits_is_refused_by_a_full_mailbox(office, do):
    clerk, event = await full(office)
    with pytest.raises(MailboxFull, match=r"^the mailbox of full is full; wait for room with tell\(\)$"):
        clerk.ref.tell_nowait(do(lambda clerk: clerk.notes.append("refused")))
    event.set()
    await settle()
    assert clerk.kept == ("queued",)


async def test_waiting_for_room_has_a_deadline_of_thirty_seconds(autojump_clock, office, do):
    clerk, event = await full(office)
    began = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        await clerk.ref.tell(do(None))
    assert trio.current_time() - began == TIMEOUT == 30
    with pytest.raises(trio.TooSlowError):
        await clerk.ref.tell(do(None), timeout=1)
    assert trio.current_time() - began == 31
    event.set()


async def test_without_any_time_a_tell_is_sent_if_there_is_room_at_once(clerk, office, do):
    await clerk.ref.tell(do(lambda clerk: clerk.notes.append("sent")), timeout=0)
    other, event = await full(office)
    with pytest.raises(trio.TooSlowError):
        await other.ref.tell(do(None), timeout=0)
    event.set()
    await settle()
    assert clerk.kept == ("sent",)

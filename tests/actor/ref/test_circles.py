"""Waits that would close a circle are refused at once."""

from functools import partial

import pytest
import trio

from supervisor.errors import DeadlockError

from .asking import Asker, settle


async def ask_in_circle(clerks, position, _):
    return await clerks[position % len(clerks)].ask(partial(ask_in_circle, clerks, position + 1))


@pytest.mark.parametrize(
    ("names", "circle"), [("a", "a → a"), ("ab", "b → a → b"), ("abc", "c → a → b → c")], ids=["own", "two", "three"]
)
async def test_the_ask_that_would_close_a_circle_is_refused_at_once_in_words(office, names, circle):
    clerks = [await office.hire(name) for name in names]
    with pytest.raises(DeadlockError, match=rf"^ask\(\) of a would wait for ever: {circle}; send a message"):
        await ask_in_circle(clerks, 0, None)
    assert [await clerk.ask(lambda clerk: "alive") for clerk in clerks] == ["alive"] * len(clerks)


async def test_the_refused_ask_can_be_caught_and_the_handler_goes_on(clerk):
    async def handler(clerk):
        with pytest.raises(DeadlockError):
            await clerk.ask(handler)
        clerk.notes.append("went on")

    await clerk.ask(handler)
    assert clerk.kept == ("went on",)


async def test_two_actors_that_ask_each_other_at_the_same_time(office, nursery):
    """1. a's handler asks b. 2. b's handler, which was running already, asks a: this one would close the circle."""
    a, b = await office.hire("a"), await office.hire("b")
    events = {a: trio.Event(), b: trio.Event()}

    async def handler(other, clerk):
        await events[clerk].wait()
        return await other.ask(lambda clerk: f"answer of {clerk}")

    askers = {a: Asker(nursery, a.ask, partial(handler, b)), b: Asker(nursery, b.ask, partial(handler, a))}
    await settle()
    events[a].set()
    await settle()
    events[b].set()
    await settle()
    assert "b → a → b" in str(askers[b].raised)
    assert askers[a].returned == "answer of b"


async def test_telling_ones_own_full_mailbox(office, do):
    clerk = await office.hire("a", capacity=1)

    async def handler(clerk):
        clerk.note("first")
        with pytest.raises(DeadlockError, match=r"tell\(\) to the full mailbox of a would wait for ever: a → a;"):
            await clerk.ref.tell(do(lambda clerk: clerk.notes.append("never")))

    await clerk.ask(handler)
    await settle()
    assert clerk.kept == ("first",)


async def test_telling_ones_own_mailbox_while_it_has_room_is_no_circle(clerk, do):
    async def handler(clerk):
        await clerk.ref.tell(do(lambda clerk: clerk.notes.append("told")))

    await clerk.ask(handler)
    await settle()
    assert clerk.kept == ("told",)


async def test_two_full_mailboxes_that_tell_each_other(office, do):
    a, b = [await office.hire(name, capacity=1) for name in "ab"]
    events = {a: trio.Event(), b: trio.Event()}
    refused = []

    async def handler(other, clerk):
        await events[clerk].wait()
        try:
            await other.ref.tell(do(lambda clerk: clerk.notes.append("told")))
        except DeadlockError as error:
            refused.append((clerk, str(error)))

    for clerk, other in [(a, b), (b, a)]:
        clerk.tell(partial(handler, other))
        await settle()
        clerk.note("queued")
    events[a].set()
    await settle()
    events[b].set()
    await settle()
    [(clerk, text)] = refused
    assert clerk is b
    assert text.startswith("tell() to the full mailbox of a would wait for ever: b → a → b;")
    assert (a.kept, b.kept) == (("queued",), ("queued", "told"))


async def test_a_child_task_of_a_handler_holds_the_actor_up(office):
    a, b = await office.hire("a"), await office.hire("b")

    async def ask_back(clerk):
        return await a.ask(lambda clerk: "never")

    async def handler(clerk):
        async with trio.open_nursery() as children:
            children.start_soon(b.ask, ask_back)

    with pytest.raises(DeadlockError, match="b → a → b"):
        await a.ask(handler)


async def test_a_background_task_is_not_accused(office):
    """It was started by a handler, but runs in a nursery that was opened before: the handler doesn't wait for it."""
    a, b = await office.hire("a"), await office.hire("b")
    answers = []

    async def ask_own_actor():
        answers.append(await a.ask(lambda clerk: "own"))

    async def ask_back(clerk):
        return await a.ask(lambda clerk: "back")

    async def ask_other():
        answers.append(await b.ask(ask_back))

    async def handler(clerk):
        clerk.nursery.start_soon(ask_own_actor)
        clerk.nursery.start_soon(ask_other)
        await settle()

    await a.ask(handler)
    await settle()
    assert sorted(answers) == ["back", "own"]


async def test_a_handler_with_several_waits_at_once_is_in_every_circle_that_they_close(office, nursery):
    """1. a waits for b and c at once. 2. b answers. 3. c asks a, which still waits for c."""
    a, b, c = [await office.hire(name) for name in "abc"]
    event = trio.Event()

    async def handler(clerk):
        async with trio.open_nursery() as children:
            children.start_soon(b.ask, lambda clerk: "answered")
            children.start_soon(c.ask, ask_back)

    async def ask_back(clerk):
        await event.wait()
        return await a.ask(lambda clerk: "never")

    asker = Asker(nursery, a.ask, handler)
    await settle()
    event.set()
    await settle()
    assert isinstance(asker.raised, DeadlockError)
    assert "c → a → c" in str(asker.raised)


async def test_a_wait_that_is_over_accuses_nobody(autojump_clock, office):
    a, b = await office.hire("a"), await office.hire("b")

    async def hang(clerk):
        await trio.sleep_forever()

    async def ask_back(clerk):
        return await a.ask(lambda clerk: "no circle any more")

    async def handler(clerk):
        await b.ask(lambda clerk: None)
        with trio.move_on_after(1):
            await b.ask(hang)
        b.tell(answer)

    answers = []

    async def answer(clerk):
        answers.append(await ask_back(clerk))

    await a.ask(handler)
    await settle()
    assert answers == ["no circle any more"]

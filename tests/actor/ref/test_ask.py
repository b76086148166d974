"""Asks: they return or raise what the handler did; types without a handler are an error at the sender."""

import math

import pytest
import trio

from supervisor.errors import HandlerFailed, Rejected

from .asking import Asker, async_raising, full, raising, settle


async def test_an_ask_returns_what_the_handler_returned(clerk):
    assert await clerk.ask(lambda clerk: 42) == 42

    async def later(clerk):
        await trio.lowlevel.checkpoint()
        return 43

    assert await clerk.ask(later) == 43


@pytest.mark.parametrize("make", [raising, async_raising])
@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("two", [ValueError(), KeyError()])])
async def test_an_ask_raises_what_the_handler_raised(clerk, make, error):
    with pytest.raises(type(error)) as caught:
        await clerk.ask(make(error))
    assert caught.value is error
    assert clerk.errors == [error]
    assert clerk.kept == ()


async def test_a_group_of_one_reaches_the_asker_as_that_one(clerk):
    async def handler(clerk):
        async with trio.open_nursery():
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await clerk.ask(handler)


async def test_a_handlers_no_is_an_answer_and_no_failure(clerk):
    with pytest.raises(Rejected, match="not today"):
        await clerk.ask(raising(Rejected("not today")))
    assert clerk.incidents == []
    assert clerk.failures == 0
    assert clerk.kept == ()


@pytest.mark.parametrize("make", [raising, async_raising])
@pytest.mark.parametrize("error", [SystemExit(3), BaseExceptionGroup("", [SystemExit(3)])])
async def test_a_system_exit_ends_neither_the_actor_nor_the_asker(clerk, make, error):
    with pytest.raises(HandlerFailed, match=r"SystemExit\(3\) ended message Do \(incident incident1\)") as caught:
        await clerk.ask(make(error))
    assert isinstance(caught.value.__cause__, SystemExit)
    assert isinstance(clerk.errors[0], SystemExit)
    assert await clerk.ask(lambda clerk: "alive") == "alive"


async def test_a_stop_iteration_reaches_the_asker_as_python_allows_it(clerk):
    with pytest.raises(RuntimeError) as caught:
        await clerk.ask(lambda clerk: next(iter([])))
    assert isinstance(caught.value.__cause__, StopIteration)
    assert isinstance(clerk.errors[0], StopIteration)


async def test_an_ask_waits_for_room_and_for_the_answer_under_one_deadline(autojump_clock, office, do):
    clerk, event = await full(office)

    async def slow(clerk):
        await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        asker = Asker(nursery, clerk.ref.ask, do(slow), timeout=5)
        await trio.sleep(3)
        event.set()
        began = trio.current_time()
        await settle()
    assert isinstance(asker.raised, trio.TooSlowError)
    assert trio.current_time() - began == 2


async def test_an_ask_has_a_deadline_of_thirty_seconds_unless_told_otherwise(autojump_clock, clerk):
    async def hang(clerk):
        await trio.sleep_forever()

    began = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        await clerk.ask(hang)
    assert trio.current_time() - began == 30

    async def slow(clerk):
        await trio.sleep(100)
        return "at last"

    assert await clerk.ask(slow, timeout=math.inf) == "at last"


@pytest.mark.parametrize("timeout", [-1, math.nan])
async def test_a_wrong_timeout_is_an_error_and_leaves_nothing_behind(clerk, timeout):
    with pytest.raises(ValueError, match="seconds"):
        await clerk.ask(lambda clerk: clerk.notes.append("never"), timeout=timeout)
    await settle()
    assert clerk.kept == ()


# Types without a handler.


async def test_a_message_type_without_a_handler_is_an_error_at_the_sender(clerk):
    text = r"^clerk has no handler for str; write one and mark it @receives\(str\)$"
    with pytest.raises(TypeError, match=text):
        clerk.ref.tell_nowait("hello")
    with pytest.raises(TypeError, match=text):
        await clerk.ref.tell("hello")
    with pytest.raises(TypeError, match=text):
        await clerk.ref.ask("hello")
    assert clerk.is_idle


async def test_the_class_of_a_message_is_none(clerk):
    with pytest.raises(TypeError, match=r"^clerk is sent messages, and str is a class of them: write str\(…\)$"):
        clerk.ref.tell_nowait(str)


async def test_it_is_an_error_after_the_end_too(clerk):
    clerk.stop()
    await clerk.ended.wait()
    with pytest.raises(TypeError):
        clerk.ref.tell_nowait("hello")
    assert clerk.dead_letters == 0

"""Time, which the test moves on."""

import pytest
import trio

from supervisor.testing import Scheduled, hand_driven

from .ticker import Call, ticker


async def test_what_is_scheduled_is_listed_and_rings_as_time_is_moved_on(session, autojump_clock):
    heard = []

    def tick():
        heard.append(("tick", trio.current_time()))

    def later(what):
        heard.append((what, trio.current_time()))

    def schedule(doc):
        doc.add_periodic_callback(tick, seconds=2.0)
        doc.add_timeout_callback(later, "timeout", seconds=3.0)
        doc.add_next_tick_callback(later, "next")

    session.receive(Call(schedule))
    prefix = "test_what_is_scheduled_is_listed_and_rings_as_time_is_moved_on.<locals>"
    assert session.scheduled == [
        Scheduled(kind="periodic", name=f"{prefix}.tick", seconds=2.0),
        Scheduled(kind="timeout", name=f"{prefix}.later", seconds=3.0),
        Scheduled(kind="next tick", name=f"{prefix}.later", seconds=0.0),
    ]
    session.advance(5.0)
    assert heard == [("next", 0.0), ("tick", 2.0), ("timeout", 3.0), ("tick", 4.0)]
    assert [each.kind for each in session.scheduled] == ["periodic"]
    assert trio.current_time() == 5.0
    session.advance(1.0)
    assert heard[-1] == ("tick", 6.0)


async def test_time_is_moved_on_by_hand_on_the_real_clock_too():
    heard = []
    async with hand_driven(ticker()) as session:
        session.receive(Call(lambda doc: doc.add_periodic_callback(heard.append, "tick", seconds=600.0) and None))
        session.advance(599.0)
        assert heard == []
        session.advance(3002.0)
        assert heard == ["tick"] * 6


async def test_what_has_come_due_meanwhile_rings_with_the_next_call(session, autojump_clock):
    session.receive(Call(lambda doc: doc.add_timeout_callback(doc.data.update, {"rung": True}, seconds=3.0) and None))
    await trio.sleep(5)
    assert session.data == {"prices": {}}
    session.receive(Call(lambda doc: None))
    assert session.data["rung"]


async def test_callbacks_that_fail_are_raised_together_after_all_have_rung(session):
    heard = []

    def fail(number):
        raise ValueError(number)

    def schedule(doc):
        doc.add_timeout_callback(fail, 1, seconds=1)
        doc.add_timeout_callback(heard.append, 2, seconds=2)

    session.receive(Call(schedule))
    with pytest.raises(ValueError, match="1"):
        session.advance(5)
    assert heard == [2]
    session.receive(Call(schedule))
    session.receive(Call(schedule))
    with pytest.raises(ExceptionGroup) as caught:
        session.advance(5)
    assert [str(error) for error in caught.value.exceptions] == ["1", "1"]


async def test_an_async_callback_needs_advance_async(session, autojump_clock):
    async def tick(doc):
        await trio.lowlevel.checkpoint()
        doc.data["ticks"] = doc.data.get("ticks", 0) + 1

    session.receive(Call(lambda doc: doc.add_periodic_callback(tick, doc, seconds=1) and None))
    with pytest.raises(TypeError, match=r"periodic callback .*tick is asynchronous.*advance_async"):
        session.advance(1)
    await session.advance_async(3)
    assert session.data["ticks"] == 3


async def test_an_async_callback_that_fails_is_raised_by_advance_async(session, autojump_clock):
    async def tick():
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    session.receive(Call(lambda doc: doc.add_timeout_callback(tick, seconds=1) and None))
    with pytest.raises(ZeroDivisionError):
        await session.advance_async(2)
    await session.advance_async(2)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
async def test_time_does_not_go_back(session, seconds):
    with pytest.raises(ValueError, match="seconds must be a number, at least 0"):
        session.advance(seconds)

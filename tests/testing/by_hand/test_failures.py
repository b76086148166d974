"""Failure policies, failed hooks, and injected faults."""

import pytest
import trio

from supervisor.actor.in_thread import in_thread
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.session.receivers import receives
from supervisor.testing import hand_driven
from supervisor.testing.faults import Faults, InjectedFault

from .ticker import Call, Quote, ticker


async def test_a_policy_that_stops_ends_it(autojump_clock):
    async with hand_driven(ticker(FailurePolicy(directive="stop"))) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        assert "was stopped" in session.ending.reason
        assert session.incidents[0].decision == "stopped"
        assert session.escalated is None


async def test_a_policy_that_escalates_ends_it_and_says_so(autojump_clock):
    async with hand_driven(ticker(FailurePolicy(directive="escalate"))) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        assert session.escalated is session.incidents[0]
        assert session.ending is not None


async def test_a_restart_waits_and_is_carried_out_by_the_next_call_that_can_wait(autojump_clock):
    policy = FailurePolicy(directive="restart", backoff=Backoff(first=2.0, jitter=0))
    async with hand_driven(ticker(policy)) as session:
        session.receive(Quote("ACME", 1.0))
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        assert session.data == {"prices": {"ACME": 1.0}}
        with pytest.raises(RuntimeError, match=r"await session\.advance_async\(0\)"):
            session.receive(Quote("ACME", 2.0))
        await session.advance_async(0)
        assert trio.current_time() == 2.0
        assert session.context.restarts == 1
        assert session.data == {"prices": {}}
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 3.0})
        assert session.data == {"prices": {"ACME": 3.0}}


async def test_restarts_are_counted_by_the_time_that_was_moved_on():
    policy = FailurePolicy(directive="restart", max_restarts=1, within=60.0, backoff=Backoff(first=0.0, jitter=0))
    async with hand_driven(ticker(policy)) as session:
        for _ in range(3):
            with pytest.raises(ValueError, match="-1"):
                await session.receive_async(Quote("ACME", -1))
            assert session.ending is None
            session.advance(61)
        assert session.context.restarts == 3


@pytest.mark.parametrize("is_async", [False, True])
async def test_failed_hooks_are_told(autojump_clock, is_async):
    heard = []

    def failed(session_context, error):
        heard.append(error.args)

    async def failed_later(session_context, error):
        await trio.sleep(1)
        heard.append(error.args)

    async with hand_driven(ticker(on_session_failed=failed_later if is_async else failed)) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        if is_async:
            assert heard == []
            await session.advance_async(0)
        assert heard == [(-1,)]
        session.receive(Quote("ACME", 1.0))


@pytest.mark.parametrize("is_stubborn", [False, True])
async def test_a_plain_failed_hook_that_waits_all_the_same_is_told_so_and_its_wait_is_over(autojump_clock, is_stubborn):
    """1. A plain function returns a coroutine, which waits for an event.

    2. A plain call can't wait for it, and raises in it, as a cancellation does.
    3. The event is set later: it must not wake the test's task, which waits for something else by then.
    """
    event = trio.Event()
    heard = []

    async def wait(error):
        try:
            await event.wait()
        except RuntimeError:
            if not is_stubborn:
                raise
            await trio.sleep(1)
        finally:
            heard.append(error.args)

    async with hand_driven(ticker(on_session_failed=lambda session_context, error: wait(error))) as session:
        with pytest.raises(ExceptionGroup) as caught:
            session.receive(Quote("ACME", -1))
        failure, told = caught.value.exceptions
        assert (type(failure), heard) == (ValueError, [(-1,)])
        assert "session.receive() can't; write `await session.receive_async(…)`" in str(told)
        event.set()
        await trio.sleep(1)
        session.receive(Quote("ACME", 1.0))
        with pytest.raises(ValueError, match="-1"):
            await session.receive_async(Quote("ACME", -1))
        assert heard == [(-1,), (-1,)]


async def test_a_failed_hook_in_a_thread_waits_for_a_call_that_can_wait(session):
    heard = []

    @in_thread
    def failed(session_context, error):
        heard.append(error.args)

    async with hand_driven(ticker(on_session_failed=failed)) as session:
        with pytest.raises(ValueError, match="-1"):
            session.receive(Quote("ACME", -1))
        with pytest.raises(RuntimeError, match=r"await session\.advance_async\(0\)"):
            session.receive(Quote("ACME", 1.0))
        await session.advance_async(0)
        assert heard == [(-1,)]


def test_what_trio_waits_by_can_be_told_to_forget_the_task():
    """`driving._finish` looks for the private name."""
    waiting = trio.sleep_forever()  # noqa: ASYNC105 (it is looked at)
    trap = waiting.send(None)
    waiting.close()
    assert callable(getattr(trap, "abort_func", None)), (
        "supervisor/testing/driving.py ends a wait that a plain call can't do by what wait_task_rescheduled() yields, "
        "and trio has changed that: read wait_task_rescheduled() in trio/_core/_traps.py, and find the function again"
    )


# Faults.


async def test_faults_strike_as_in_a_server(autojump_clock):
    faults = Faults().fail("on_quote", at=2, error=LookupError("no feed"), late=True)
    ticks = []

    def tick():
        ticks.append(trio.current_time())

    async with hand_driven(ticker(), faults=faults) as session:
        assert session.faults is faults
        session.receive(Quote("ACME", 1.0))
        with pytest.raises(LookupError, match="no feed"):
            session.receive(Quote("ACME", 2.0))
        session.receive(Call(lambda doc: doc.add_periodic_callback(tick, seconds=1) and None))
        session.faults.fail("tick", at=2)
        with pytest.raises(InjectedFault, match="tick was to fail at call 2"):
            session.advance(3)
        assert ticks == [1, 3]
        assert session.data == {"prices": {"ACME": 1.0}}
        assert [incident.what for incident in session.incidents] == [
            "message Quote",
            f"periodic callback {tick.__qualname__}",
        ]


async def test_what_is_delayed_or_hangs_is_refused_by_plain_calls(autojump_clock):
    async with hand_driven(ticker(), faults=Faults().delay("on_quote", seconds=2, at=2)) as session:
        session.receive(Quote("ACME", 1.0))
        session.faults.delay("on_quote", seconds=3, at=2)
        with pytest.raises(TypeError, match=r"message Quote is asynchronous.*receive_async"):
            session.receive(Quote("ACME", 2.0))
        assert session.data == {"prices": {"ACME": 1.0}}
        assert await session.receive_async(Quote("ACME", 2.0)) == ("ACME", 1)
        assert trio.current_time() == 3
        session.faults.hang("on_quote")
        with trio.move_on_after(5):
            await session.receive_async(Quote("ACME", 3.0))
        assert session.data == {"prices": {"ACME": 2.0}}


async def test_an_injected_fault_of_a_hook_is_raised_on_entering_and_expected_on_leaving(autojump_clock):
    def hook(session_context):
        raise AssertionError("it was to fail or hang before")

    with pytest.raises(InjectedFault, match="on_session_created"):
        async with hand_driven(ticker(on_session_created=hook), faults=Faults().fail("on_session_created")):
            raise AssertionError
    for faults in (Faults().fail("on_session_destroyed"), Faults().hang("on_session_destroyed")):
        async with hand_driven(ticker(on_session_destroyed=hook), faults=faults) as session:
            pass
        assert [incident.what for incident in session.incidents] == ["on_session_destroyed"]


async def test_a_fault_of_a_function_that_never_was_there_is_told(autojump_clock):
    with pytest.raises(LookupError, match=r"no function 'on_quot'.*did you mean on_quote"):
        async with hand_driven(ticker(), faults=Faults().fail("on_quot")):
            pass


async def test_a_faulty_handler_keeps_what_it_was_marked_with(autojump_clock):
    """Conflation, what follows a failure, and whether clients may send it are of the type, and not of the function."""

    @receives(Quote, from_client=True, conflate=lambda quote: quote.symbol, on_failure="stop")
    def on_quote(doc, quote):
        doc.data["prices"].setdefault(quote.symbol, []).append(quote.price)

    async with hand_driven(ticker(on_quote=on_quote), faults=Faults().fail("on_quote", at=4)) as session:
        for price in (1.0, 2.0):
            session.context.tell_nowait(Quote("ACME", price))
            session.context.tell_nowait(Quote("OTHER", price))
        session.advance(0)
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 3.0})
        assert session.data == {"prices": {"ACME": [2.0, 3.0], "OTHER": [2.0]}}
        with pytest.raises(InjectedFault):
            session.receive(Quote("ACME", 4.0))
        assert session.ending.kind == "destroyed"

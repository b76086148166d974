"""How fast one client's messages are taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.protocol.records import WINDOW
from supervisor.transport.pace import Pace
from supervisor.transport.websocket_options import WebSocketOptions


def test_a_burst_is_taken_at_once_and_then_one_message_at_a_time():
    pace = Pace(rate=10.0, burst=3, now=0.0)
    assert [pace.take(0.0) for _ in range(3)] == [0, 0, 0]
    assert pace.take(0.0) == pytest.approx(0.1)
    assert pace.take(0.1) == pytest.approx(0.1)


def test_a_pause_fills_the_bucket_up_to_the_burst_and_no_further():
    pace = Pace(rate=10.0, burst=3, now=0.0)
    assert [pace.take(1000.0) for _ in range(3)] == [0, 0, 0]
    assert pace.take(1000.0) > 0
    assert [pace.take(1000.35), pace.take(1000.35)] == [0, 0]  # 3 came back, and the one before had taken 1 of them
    assert pace.take(1000.35) > 0


@given(st.lists(st.floats(0, 2), max_size=200), st.floats(1, 100), st.integers(1, 50))
def test_no_more_than_rate_and_burst_are_handled_however_they_come(gaps, rate, burst):
    pace, now, handled = Pace(rate=rate, burst=burst, now=0.0), 0.0, []
    for gap in gaps:
        now += gap
        now += pace.take(now)
        handled.append(now)
    for first, begin in enumerate(handled):
        for last in range(first, len(handled)):
            assert last - first + 1 <= burst + (handled[last] - begin) * rate + 1e-6


def test_who_goes_on_too_fast_is_told_from_who_pauses():
    pace = Pace(rate=10.0, burst=4, now=0.0)
    assert pace.too_fast_for(5.0) == 0
    now = 5.0
    for _ in range(25):
        now += pace.take(now)
    assert pace.too_fast_for(now) == pytest.approx(2.1)
    assert pace.take(now + 0.1) >= 0  # a tenth of a second is no break
    assert pace.too_fast_for(now + 0.1) > 2
    assert pace.take(now + 0.5) == 0
    assert pace.too_fast_for(now + 0.5) == 0


def test_what_a_client_sends_again_when_it_comes_back_is_no_flood():
    options = WebSocketOptions()
    pace = Pace(rate=options.max_message_rate, burst=options.message_burst, now=0.0)
    said_again = WINDOW + 3  # and what it says of itself, and two watches
    assert {pace.take(0.0) for _ in range(said_again)} == {0}


def test_a_pace_says_what_it_is():
    assert repr(Pace(rate=10.0, burst=3, now=0.0)) == "<Pace 10 a second, 3.0 of 3 left>"

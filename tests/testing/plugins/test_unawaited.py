"""What a failed test never awaited is told there, and blamed on no test that comes after it."""

import pytest

pytest_plugins = ["pytester"]

SHOP = """
import gc, sys
import pytest
import trio

def shop(doc):
    doc.data["n"] = 0
"""


@pytest.fixture
def run(pytester):
    """Run a test file in a process of its own, with warnings as errors."""

    def run(tests, *options):
        pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
        pytester.makeconftest('pytest_plugins = ["supervisor.testing.plugin"]')
        pytester.makepyfile(SHOP + tests)
        return pytester.runpytest_subprocess("-rN", "-p", "no:cacheprovider", "-p", "no:supervisor_testing", *options)

    return run


def test_a_later_test_is_not_blamed_and_the_failed_one_says_what_it_forgot(run):
    """
    1. The first test fails by what it has not awaited. Its frames, and the coroutine in them, are kept by pytest.
    2. The second one has a block open while pytest's last hold of them goes, as with the next failure.
    """
    done = run(
        """
async def test_forgets(supervise):
    async with supervise(shop) as app:
        session = app.new_session()
        await session.connect()

async def test_is_right(supervise):
    async with supervise(shop) as app:
        await app.new_session()
        sys.last_value = sys.last_exc = sys.last_traceback = None
        gc.collect()
"""
    )
    done.assert_outcomes(failed=1, passed=1)
    text = done.stdout.str()
    assert "AttributeError: 'coroutine' object has no attribute 'connect'" in text
    assert text.count("never awaited, so it was not done: RunningApp.new_session; put await before the call") == 1


def test_so_it_is_of_causes_groups_and_lists(run):
    done = run(
        """
async def forgotten():
    pass

async def inner():
    waiting = [forgotten(), forgotten()]
    raise ValueError("inside")

async def outer():
    kept = forgotten()
    try:
        await inner()
    except ValueError as error:
        raise KeyError("outside") from error

async def test_it():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outer)
        nursery.start_soon(outer)

async def test_next(supervise):
    async with supervise(shop):
        sys.last_value = sys.last_exc = sys.last_traceback = None
        gc.collect()
"""
    )
    done.assert_outcomes(failed=1, passed=1)
    assert done.stdout.str().count("never awaited, so it was not done: forgotten; put await before the call") == 1


@pytest.mark.parametrize("mode", ["true", "false"])
def test_so_it_is_of_each_example_of_hypothesis(run, mode):
    """Those that have failed are kept, though the report shows the last one of each kind."""
    done = run(
        """
from hypothesis import Phase, given, settings, strategies as st

few = settings(max_examples=10, database=None, phases=[Phase.generate, Phase.shrink])

@few
@given(st.integers(0, 9))
async def test_app(supervise, number):
    async with supervise(shop) as app:
        session = app.new_session()
        assert number < 3
        session.connect

@pytest.mark.trio
@few
@given(st.integers(0, 9))
async def test_other(number):
    forgotten = trio.sleep(number)
    forgotten.connect

@pytest.mark.trio
async def test_next(supervise):
    async with supervise(shop):
        sys.last_value = sys.last_exc = sys.last_traceback = None
        gc.collect()
""",
        f"--override-ini=trio_mode={mode}",
    )
    done.assert_outcomes(failed=2, passed=1)
    text = done.stdout.str()
    assert text.count("never awaited, so it was not done: RunningApp.new_session; put await before the call") == 2
    assert text.count("never awaited, so it was not done: sleep; put await before the call") == 1


def test_so_it_is_of_what_another_one_was_given(run):
    done = run(
        """
async def price():
    pass

async def show(price):
    pass

async def test_it():
    shown = show(price())
    assert 0

async def test_next(supervise):
    async with supervise(shop):
        sys.last_value = sys.last_exc = sys.last_traceback = None
        gc.collect()
"""
    )
    done.assert_outcomes(failed=1, passed=1)
    assert done.stdout.str().count("never awaited, so it was not done: price, show; put await before the call") == 1


def test_whatever_else_a_test_holds_its_failure_stays_what_it_is(run):
    """A proxy that has nothing behind it raises when it is asked for its class; and a long chain is not too deep."""
    done = run(
        """
class Proxy:
    @property
    def __class__(self):
        raise LookupError("no request")

async def test_it():
    proxy, kept = Proxy(), [Proxy()]
    error = ValueError("first")
    for number in range(2_000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    raise ValueError("last") from error
"""
    )
    done.assert_outcomes(failed=1)
    text = done.stdout.str()
    assert "ValueError: last" in text
    assert "LookupError" not in text
    assert "RecursionError" not in text


def test_what_was_awaited_or_is_not_trios_is_left_alone(run):
    done = run(
        """
async def work():
    await trio.lowlevel.checkpoint()

kept = []

async def test_awaits():
    done, begun = work(), work()
    await done
    begun.send(None)
    kept.append(begun)
    assert 0

def test_plain():
    coroutine = work()
    kept.append(coroutine)
    assert 0

def test_after():
    done, coroutine = kept
    assert done.cr_frame is not None
    assert coroutine.cr_frame is not None
    done.close()
    coroutine.close()
"""
    )
    done.assert_outcomes(failed=2, passed=1)
    assert "never awaited" not in done.stdout.str()

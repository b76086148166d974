"""What a block of `supervise` raises in the end, out of all that went wrong."""

import re

import pytest

from supervisor.instruments import Incident
from supervisor.testing.checks import Left
from supervisor.testing.kit import MAX_NOTES, Kit


def incident(number):
    error = LookupError(f"no feed {number}")
    return Incident(id=f"{number:08x}", application="app", session="s1", what="message Fail", error=error)


@pytest.fixture
def kit():
    return Kit()


def test_nothing_is_raised_if_nothing_went_wrong(kit):
    assert kit.verdict(None, None) is None


def test_a_tests_own_failure_comes_out_as_it_is_and_tells_the_rest(kit):
    kit.seen.failed(incident(1))
    failure = AssertionError("mine")
    assert kit.verdict(failure, Left("a task is left")) is failure
    assert failure.__notes__ == [
        "message Fail, session s1, incident 00000001 failed meanwhile: LookupError('no feed 1')",
        "Beside that, a task is left",
    ]


def test_of_many_failures_some_are_told_and_the_others_counted(kit):
    for number in range(MAX_NOTES + 3):
        kit.seen.failed(incident(number))
    failure = kit.verdict(AssertionError("mine"), None)
    assert len(failure.__notes__) == MAX_NOTES + 1
    assert failure.__notes__[-1] == "and 3 failures more: see app.incidents"


def test_what_nobody_heard_of_is_raised_together_with_what_is_left(kit):
    kit.seen.failed(incident(1))
    left = Left("a task is left")
    verdict = kit.verdict(None, left)
    assert [type(error) for error in verdict.exceptions] == [LookupError, Left]
    assert verdict.exceptions[0].__notes__ == ["in message Fail, session s1, incident 00000001"]


async def test_a_coroutine_that_the_test_may_have_dropped_is_told_so(supervise):
    async def forgotten():
        pass

    with pytest.raises(BaseExceptionGroup) as raised:
        async with supervise(lambda doc: None):
            forgotten()
    [error] = raised.value.exceptions
    assert re.fullmatch(
        "in the test, or other code outside of handlers and hooks, incident [0-9a-f]{8}", error.__notes__[0]
    )


def test_what_is_left_alone_is_raised_as_it_is(kit):
    left = Left("a task is left")
    assert kit.verdict(None, left) is left


def test_a_note_says_where_the_apps_code_failed(kit):
    def fail():
        raise LookupError("no feed")

    with pytest.raises(LookupError) as raised:
        fail()
    kit.seen.failed(Incident(id="1", application="app", session="s1", what="message Fail", error=raised.value))
    [note] = kit.verdict(AssertionError("mine"), None).__notes__
    line = fail.__code__.co_firstlineno + 1
    assert note.endswith(f"LookupError('no feed'), in {fail.__qualname__}, line {line} of {__file__}")

import re

import pytest
import trio

from supervisor.actor.guard import new_incident_id, pass_on, split_failure, text_of, unwrap


@pytest.fixture
async def cancelled():
    """A real one; trio lets nobody make any."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            caught = error
            raise
    return caught


@pytest.mark.parametrize("failure", [ValueError("x"), SystemExit(1), GeneratorExit(), BaseException("x")])
def test_whatever_code_raises_is_a_failure_also_what_would_end_more(failure):
    assert split_failure(failure) == (failure, None)


@pytest.mark.parametrize("passing", [KeyboardInterrupt()])
def test_what_belongs_to_others_passes(passing):
    assert split_failure(passing) == (None, passing)


async def test_a_cancellation_passes(cancelled):
    assert split_failure(cancelled) == (None, cancelled)


async def test_a_failure_beside_a_cancellation_is_split_from_it(cancelled):
    failure = ValueError("in the cleanup")
    group = BaseExceptionGroup("", [cancelled, BaseExceptionGroup("", [cancelled, failure])])
    found, rest = split_failure(group)
    assert found is failure
    assert isinstance(rest, BaseExceptionGroup)
    assert rest.subgroup(ValueError) is None
    assert unwrap(rest.exceptions[0]) is cancelled


async def test_a_group_of_cancellations_has_no_failure(cancelled):
    group = BaseExceptionGroup("", [cancelled])
    failure, rest = split_failure(group)
    assert failure is None
    assert rest is group


def test_a_group_of_failures_has_nothing_to_pass_on():
    first, second = ValueError("1"), SystemExit(2)
    group = BaseExceptionGroup("both", [first, second])
    found, rest = split_failure(group)
    assert found is group
    assert rest is None


def test_groups_of_one_are_unwrapped_to_what_people_want_to_read():
    inner = ValueError("x")
    assert unwrap(ExceptionGroup("", [ExceptionGroup("", [inner])])) is inner
    several = ExceptionGroup("", [inner, inner])
    assert unwrap(ExceptionGroup("", [several])) is several
    assert unwrap(inner) is inner


def test_passing_on_the_whole_raises_the_same_exception_with_its_own_traceback_and_context():
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        try:
            raise error from ValueError("cause")
        except KeyboardInterrupt as caught_error:
            pass_on(caught_error, caught_error)
    assert caught.value is error
    assert isinstance(error.__cause__, ValueError)


def test_passing_on_a_part_hides_the_whole():
    rest = BaseExceptionGroup("", [KeyboardInterrupt()])
    whole = BaseExceptionGroup("", [rest, ValueError("reported elsewhere")])
    with pytest.raises(BaseExceptionGroup) as caught:
        try:
            raise whole
        except BaseException as error:
            pass_on(error, rest)
    assert caught.value is rest
    assert rest.__suppress_context__


def test_an_exception_whose_text_raises_has_one_all_the_same():
    class Nasty(Exception):
        def __str__(self):
            raise ValueError

    assert text_of(Nasty()) == "(its str() raised)"
    assert text_of(ValueError("plain")) == "plain"


def test_an_incident_id_is_eight_hexadecimal_digits_and_new_each_time():
    ids = {new_incident_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch("[0-9a-f]{8}", id) for id in ids)

"""A function that can't be called as it will be is refused where it is added."""

import functools

import pytest

from supervisor.actor.call_check import call_problem, check_arguments, check_callback, check_takes


async def run_weather(app_context, *, seconds=1):
    pass


def rows():
    yield 1


async def stream():
    yield 1


class Poll:
    def __call__(self, doc):
        pass


def test_what_cannot_be_called_or_would_do_nothing_is_no_callback():
    check_callback(run_weather)
    check_callback(Poll())
    with pytest.raises(TypeError, match=r"^a callback must be callable, not 5$"):
        check_callback(5)
    for func in (rows, stream):
        with pytest.raises(TypeError, match="contains a yield would do nothing when called"):
            check_callback(func)


def test_arguments_that_are_missing_are_named_and_where_to_write_them():
    check_arguments(run_weather, ("context",))
    with pytest.raises(TypeError) as caught:
        check_arguments(run_weather, ())
    assert str(caught.value) == (
        "run_weather(app_context, *, seconds=1) can't be called with the arguments that it was added with: missing a "
        "required argument: 'app_context'; write them after the function, as in add_callback(run_weather, app_context)"
    )


def test_too_many_arguments_are_refused_too():
    with pytest.raises(TypeError, match=r"^Poll.__call__\(doc\) can't be called .*too many positional arguments"):
        check_arguments(Poll().__call__, (1, 2))
    with pytest.raises(TypeError, match="too many positional arguments"):
        check_arguments(Poll(), (1, 2))


def test_what_has_its_arguments_by_partial_is_looked_at_with_them():
    check_arguments(functools.partial(run_weather, "context"), ())
    with pytest.raises(TypeError, match="missing a required argument: 'app_context'"):
        check_arguments(functools.partial(run_weather, seconds=2), ())


def test_what_the_server_calls_it_with_is_said():
    check_takes(lambda doc, change: None, ("doc", "change"))
    with pytest.raises(TypeError, match=r"^run_weather\(.*\) is called with \(doc, change\), which it can't be"):
        check_takes(run_weather, ("doc", "change"))


class Unknown:
    __signature__ = "none that Python knows"

    def __call__(self):
        pass


def test_what_cannot_be_inspected_is_let_pass():
    assert call_problem(Unknown(), (1, 2, 3)) is None

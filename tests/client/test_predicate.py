"""A predicate is asked at once: what would be true whatever it says is refused, with nothing left un-awaited."""

import functools

import pytest

from supervisor.client.predicate import plain_predicate

EXAMPLE = "until(lambda data: data)"


async def ready(data):
    return False


class AsyncCallable:
    async def __call__(self, data):
        return False


def with_yield(data):
    yield False


@pytest.mark.parametrize("predicate", [ready, functools.partial(ready), AsyncCallable()])
def test_an_async_one_is_refused_before_it_is_asked(predicate):
    with pytest.raises(
        TypeError, match=r"^a predicate must be a plain function, as in until\(lambda data: data\); .*async"
    ):
        plain_predicate(predicate, EXAMPLE)


def test_one_with_a_yield_is_refused():
    with pytest.raises(TypeError, match=r"with_yield contains a yield"):
        plain_predicate(with_yield, EXAMPLE)


def test_one_of_other_arguments_is_refused():
    with pytest.raises(TypeError, match=r"<lambda> can't be called with one argument$"):
        plain_predicate(lambda: True, EXAMPLE)


def test_what_was_compared_already_is_refused():
    with pytest.raises(TypeError, match=r"as in until\(lambda data: data\), not False; it is asked again whenever"):
        plain_predicate(5 == 6, EXAMPLE)


def test_a_coroutine_is_refused_and_closed():
    with pytest.raises(TypeError, match=r"not <coroutine object ready at"):
        plain_predicate(ready({}), EXAMPLE)  # left un-awaited, it would be a warning, and so an error


def test_an_answer_to_await_is_refused_and_closed():
    with pytest.raises(TypeError, match=r"<lambda> returned an awaitable, and nothing awaits it$"):
        plain_predicate(lambda data: ready(data), EXAMPLE)(5)


def test_an_answer_to_await_may_have_no_end():
    class Awaitable:
        def __await__(self):
            yield

    with pytest.raises(TypeError, match="returned an awaitable"):
        plain_predicate(lambda data: Awaitable(), EXAMPLE)(5)


def test_others_are_asked_as_they_are():
    assert plain_predicate(lambda data: data["n"], EXAMPLE)({"n": 5}) == 5
    assert plain_predicate(str.strip, EXAMPLE)(" ") == ""
    assert plain_predicate(bool, EXAMPLE)([1]) is True  # which can't be inspected in all versions

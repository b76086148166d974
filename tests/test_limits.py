"""Validators of options: what a limit, a size or a time may be."""

import math

import attrs
import pytest

from supervisor.application.options import ApplicationOptions
from supervisor.identity import KeyRing
from supervisor.limits import count, made_of, none_or, number, one_of, seconds, whether
from supervisor.server_options import ServerOptions
from supervisor.transport.head import HttpLimits
from supervisor.transport.websocket_options import WebSocketOptions

OPTIONS = [ApplicationOptions, WebSocketOptions, HttpLimits, ServerOptions]
FIELDS = [(options, field.name) for options in OPTIONS for field in attrs.fields(options)]
NAN, INF = math.nan, math.inf


def option(validator):
    """A class with one option, `limit`."""
    return attrs.make_class("Options", {"limit": attrs.field(validator=validator)}, kw_only=True)


@pytest.mark.parametrize(
    ("validator", "allowed", "refused", "wrong", "says"),
    [
        (seconds(), [0, 0.5, 1e9], [-1, NAN, INF], ["1", None, True], "a finite number of seconds, at least 0"),
        (seconds(zero=False), [1e-9], [0, 0.0], [[]], "a finite number of seconds above 0"),
        (seconds(endless=True), [INF], [NAN, -INF], [None], "a number of seconds, at least 0"),
        (seconds(most=45.0), [45], [46], ["46"], "a finite number of seconds, at least 0 and at most 45"),
        (count(), [1, 2**70], [0, -1], [1.0, NAN, INF, None, True, "1"], "a whole number, at least 1"),
        (count(0, 10_000), [0, 10_000], [-1, 10_001], [1.0], "a whole number from 0 to 10,000"),
        (count(1024), [1024], [1023], [1024.0], "a whole number, at least 1,024"),
        (number(1), [1, 2.5], [0.9, NAN, INF], ["2", False], "a finite number, at least 1"),
        (number(0, 1), [0, 1], [1.1, -0.1], [None], "a finite number from 0 to 1"),
        (none_or(count()), [None, 3], [0], ["3"], "a whole number, at least 1, or None"),
        (one_of("a", "b", "c"), ["a", "c"], ["d", None, ""], [], "a, b or c"),
        (whether, [True, False], [], [0, 1, None, "no"], "True or False"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence_that_names_the_option(validator, allowed, refused, wrong, says):
    options = option(validator)
    for value in allowed:
        assert options(limit=value).limit == value
    for values, error in ((refused, ValueError), (wrong, TypeError)):
        for value in values:
            with pytest.raises(error) as caught:
                options(limit=value)
            assert str(caught.value) == f"limit must be {says}, not {value!r}"


def test_an_instance_of_a_class_is_asked_for_by_an_example_and_not_shown():
    options = option(made_of(KeyRing, "a KeyRing"))
    with pytest.raises(TypeError, match=r"^limit must be a KeyRing, not bytes$"):
        options(limit=b"a secret")


def test_what_is_refused_is_shown_shortened():
    with pytest.raises(TypeError) as caught:
        option(count())(limit="x" * 10_000)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(("options", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("wrong", [NAN, -1, {}, b"?"], ids=repr)
def test_no_option_of_any_class_takes_what_makes_no_sense(options, name, wrong):
    with pytest.raises((TypeError, ValueError), match=name):
        options(**{name: wrong})


@pytest.mark.parametrize("options", OPTIONS)
def test_the_defaults_can_be_given(options):
    assert options(**attrs.asdict(options(), recurse=False)) == options()


def test_a_pong_is_not_waited_for_beyond_the_next_ping():
    assert WebSocketOptions(ping_interval=5, pong_timeout=5).pong_timeout == 5
    with pytest.raises(ValueError, match="pong_timeout must be at most ping_interval, which is 5 s, not 6 s"):
        WebSocketOptions(ping_interval=5, pong_timeout=6)


def test_pings_come_before_our_clients_take_the_server_for_gone():
    with pytest.raises(
        ValueError, match="ping_interval must be a finite number of seconds above 0 and at most 45, not 60"
    ):
        WebSocketOptions(ping_interval=60)

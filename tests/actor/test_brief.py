"""An app's values as one short line."""

import dataclasses
import time
from collections import namedtuple
from types import MappingProxyType

import attrs
import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from supervisor.actor.brief import LENGTH, brief, clip


@attrs.frozen
class Quote:
    symbol: str
    price: float


@attrs.frozen
class Login:
    name: str
    password: str = attrs.field(default="x", repr=False)


@dataclasses.dataclass
class Row:
    id: int
    secret: str = dataclasses.field(default="x", repr=False)


class Ping(msgspec.Struct):
    at: int


@attrs.frozen
class Card:
    number: str = attrs.field(repr=lambda number: f"…{number[-4:]}")


@attrs.frozen
class Discreet:
    secret: str = "x"

    def __repr__(self):
        return "<discreet>"


@dataclasses.dataclass
class DiscreetRow:
    secret: str = "x"

    def __repr__(self):
        return "<discreet row>"


class DiscreetPing(msgspec.Struct):
    secret: str = "x"

    def __repr__(self):
        return "<discreet ping>"


@attrs.frozen(repr=False)
class Silent:
    secret: str = "x"


class Rude:
    def __repr__(self):
        raise SystemExit


class Plain:
    pass


class Own:
    def __repr__(self):
        return "<own\n>"


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Quote("ACME", 12.5), "Quote(symbol='ACME', price=12.5)"),
        (Login("Ann"), "Login(name='Ann')"),
        (Row(3), "Row(id=3)"),
        (Ping(5), "Ping(at=5)"),
        (Card("4111111111111234"), "Card(number=…1234)"),
        (Discreet(), "<discreet>"),
        (DiscreetRow(), "<discreet row>"),
        (DiscreetPing(), "<discreet ping>"),
        (Silent(), "<Silent>"),
        (Point(1, 2), "Point(x=1, y=2)"),
        (Quote("x" * 1_000, 1), f"Quote(symbol='{'x' * 39}…', price=1)"),
        ([1, 2, 3, 4, 5, 6], "[1, 2, 3, 4, 5, …]"),
        ((1,), "(1)"),
        ({1}, "{1}"),
        ([], "[]"),
        ({"a": {"b": {"c": [1]}}}, "{'a': {'b': {'c': […]}}}"),
        (MappingProxyType({"a": None}), "{'a': None}"),
        ({"a": 1}.values(), "<dict_values of 1>"),
        (b"ab", "b'ab'"),
        (b"ab" * 1_000, "<2,000 bytes>"),
        (10**1_000, "<int of 3,322 bits>"),
        (True, "True"),
        (Quote, "Quote"),
        (Plain(), "<Plain>"),
        (Own(), "<own\\n>"),
        (Rude(), "<Rude whose repr() raised SystemExit>"),
    ],
)
def test_what_is_shown(value, text):
    assert brief(value) == text


def test_a_value_that_holds_itself_ends():
    value = []
    value.append(value)
    assert brief(value) == "[[[[…]]]]"


def test_a_big_value_is_never_written_out():
    """Its whole repr() would take some hundred milliseconds."""
    big = {str(number): "x" * 20 for number in range(1_000_000)}
    began = time.perf_counter()
    assert len(brief(Quote(big, big.values()))) <= LENGTH
    assert len(brief([big] * 100_000)) <= LENGTH
    assert time.perf_counter() - began < 0.05


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary() | st.just(Own()),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.builds(Quote, inner, inner) | st.tuples(inner, inner)
    ),
)


@hypothesis.given(values, st.integers(1, 200))
def test_it_is_always_one_line_of_bounded_length(value, length):
    text = brief(value, length=length)
    assert len(text) <= length
    assert text.isprintable()


@hypothesis.given(st.text(), st.integers(1, 50))
def test_a_clipped_text_is_one_line_and_short_ones_stay(text, length):
    clipped = clip(text, length)
    assert len(clipped) <= length
    assert clipped.isprintable()
    if text.isprintable() and len(text) <= length:
        assert clipped == text

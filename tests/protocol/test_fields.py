from __future__ import annotations

import attrs
import msgspec
import pytest

from supervisor.errors import InvalidMessage
from supervisor.protocol.fields import ClientMessages


@attrs.frozen
class Watch:
    symbol: str


@attrs.frozen
class Nest:
    inner: Nest | None = None


MESSAGES = ClientMessages({"Watch": Watch, "Nest": Nest, "Alias": Watch})


def refusal(name, fields):
    with pytest.raises(InvalidMessage) as caught:
        MESSAGES.decode(name, fields)
    return str(caught.value)


@pytest.mark.parametrize("wrap", [bytes, msgspec.Raw])
def test_raw_fields_become_an_object(wrap):
    assert MESSAGES.decode("Watch", wrap(b'{"symbol":"ABC"}')) == Watch("ABC")


def test_errors_have_the_name_that_was_sent():
    assert refusal("Alias", b"{}") == "Alias lacks the field 'symbol'"
    assert refusal("Watch", b'{"symbol":1}') == "Watch.symbol: expected `str`, got `int`"


def test_a_name_that_nobody_gave_is_unknown():
    assert refusal("Foo", b"{}") == "unknown message 'Foo'"
    assert refusal("x" * 256, b"{}") == f"unknown message '{'x' * 100}'"


@pytest.mark.parametrize("fields", [b"", b"{", b'"\xff"', b'"\\ud800"', b"NaN", b"1e999"])
def test_what_is_no_json_is_refused(fields):
    assert refusal("Watch", fields).startswith("Watch: the fields aren't valid JSON: ")


@pytest.mark.parametrize("name", ["Watch", "Nest"])
@pytest.mark.parametrize("depth", [900, 100_000])
def test_what_is_nested_too_deeply_is_refused(name, depth):
    fields = b'{"inner":' * depth + b"null" + b"}" * depth
    assert refusal(name, fields) in (f"{name}: nested too deeply", "Watch has no field 'inner'")


def test_it_says_what_may_be_sent():
    assert set(MESSAGES.names) == {"Watch", "Nest", "Alias"}
    assert repr(MESSAGES) == "<ClientMessages Watch, Nest, Alias>"


def test_a_class_that_cannot_be_read_is_refused_beforehand():
    with pytest.raises(TypeError, match="clients can't send int"):
        ClientMessages({"Count": int})

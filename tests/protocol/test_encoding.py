from __future__ import annotations

import datetime

import attrs
import msgspec
import pytest

from supervisor.protocol.encoding import encode_value


@attrs.frozen
class Point:
    x: float
    tags: list[object] = attrs.Factory(list)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, b"null"),
        ({"a": [1, 2.5, True, None, "ä\n"]}, '{"a":[1,2.5,true,null,"ä\\n"]}'.encode()),
        ([None, [None, 1.5]], b"[null,[null,1.5]]"),
        ("null", b'"null"'),
        (datetime.date(2024, 2, 29), b'"2024-02-29"'),
        ((1, 2), b"[1,2]"),
    ],
)
def test_what_json_can_carry_is_encoded(value, encoded):
    assert encode_value(value) == encoded


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda x: x, ""),
        (lambda x: {"a": [0, None, x]}, " at '/a/2'"),
        (lambda x: Point(x), " at '/x'"),
        (lambda x: [Point(1.0, [{"b": (None, x)}])], " at '/0/tags/0/b/1'"),
    ],
)
def test_numbers_that_json_has_no_form_for_are_refused_with_their_place(number, wrap, place):
    with pytest.raises(ValueError) as caught:
        encode_value(wrap(number), what="the answer")
    assert str(caught.value) == f"the answer can't be sent as JSON: NaN or an infinity{place}"


def test_objects_of_attrs_classes_are_encoded():
    assert msgspec.json.decode(encode_value([Point(1.5, [None])])) == [{"x": 1.5, "tags": [None]}]


def test_an_object_without_a_json_form_is_a_type_error():
    with pytest.raises(TypeError, match=r"the value can't be sent as JSON: .*object"):
        encode_value({"a": object()})


def test_what_contains_itself_is_refused():
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested too deeply or contains itself"):
        encode_value(value)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(ValueError, match="lone surrogate"):
        encode_value(["\ud800"])


def test_what_is_encoded_decodes_to_the_same():
    value = {"": [[], {}, None, -1, 1e300, "\u2028"]}
    assert msgspec.json.decode(encode_value(value)) == value

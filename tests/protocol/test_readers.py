from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
from collections.abc import Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pytest

from supervisor.errors import InvalidMessage
from supervisor.protocol.readers import compile_reader


def read(cls, value):
    return compile_reader(cls)(value, cls.__name__)


def refusal(cls, value):
    with pytest.raises(InvalidMessage) as caught:
        read(cls, value)
    return str(caught.value)


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


@attrs.frozen
class Watch:
    symbol: str
    limit: int = 3
    side: Side | None = None


@dataclasses.dataclass
class Levels:
    prices: list[float]
    when: datetime.date = datetime.date(2024, 1, 1)
    notes: dict[str, str] = dataclasses.field(default_factory=dict)
    count: int = dataclasses.field(default=0, init=False)


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    a: int
    inner: list[Strict] = []


class Lax(msgspec.Struct):
    a: int


@attrs.define
class Deep:
    one: Watch | None = None
    many: list[Watch] = attrs.Factory(list)
    tupled: tuple[Watch, ...] = ()
    named: dict[str, Watch] = attrs.Factory(dict)
    mixed: list[Watch] | int | str = 0
    bounded: Annotated[list[Levels], msgspec.Meta(max_length=1)] = attrs.Factory(list)
    self_held: Deep | None = None
    struct: Strict | None = None


class Upper(str):
    __slots__ = ()


@attrs.define(kw_only=True)
class Careful:
    _secret: int = 1
    renamed: int = attrs.field(default=0, alias="other")
    name: str = attrs.field(default="A", converter=str.upper, validator=attrs.validators.in_(["A", "B"]))
    fixed: int = attrs.field(default=5, init=False)
    checked: int = attrs.field(default=0)

    @checked.validator
    def _check(self, attribute, value):
        if value == 1:
            raise ValueError
        if value == 2:
            raise KeyError("a mistake of the app")


@dataclasses.dataclass
class Even:
    n: int

    def __post_init__(self):
        if self.n % 2:
            raise ValueError(f"{self.n} is odd")


def test_fields_become_an_object():
    assert read(Watch, {"symbol": "ABC"}) == Watch("ABC")
    assert read(Watch, {"side": "buy", "limit": 7, "symbol": "ABC"}) == Watch("ABC", 7, Side.BUY)
    assert read(Levels, {"prices": [1, 2.5], "when": "2024-02-29"}) == Levels([1.0, 2.5], datetime.date(2024, 2, 29))
    assert read(Strict, {"a": 1, "inner": [{"a": 2}]}) == Strict(1, [Strict(2)])


def test_classes_are_read_at_every_depth():
    watch = {"symbol": "ABC"}
    value = {
        "one": watch,
        "many": [watch],
        "tupled": [watch, watch],
        "named": {"x": watch},
        "mixed": [watch],
        "bounded": [{"prices": []}],
        "self_held": {"self_held": {"one": watch}, "mixed": "text"},
        "struct": {"a": 1},
    }
    assert read(Deep, value) == Deep(
        one=Watch("ABC"),
        many=[Watch("ABC")],
        tupled=(Watch("ABC"), Watch("ABC")),
        named={"x": Watch("ABC")},
        mixed=[Watch("ABC")],
        bounded=[Levels([])],
        self_held=Deep(self_held=Deep(one=Watch("ABC")), mixed="text"),
        struct=Strict(1),
    )
    assert read(Deep, {"one": None, "mixed": 4}) == Deep(mixed=4)


@pytest.mark.parametrize(
    ("cls", "value", "text"),
    [
        (Watch, {"symbol": 1}, "Watch.symbol: expected `str`, got `int`"),
        (Watch, {"symbol": "A", "limit": "3"}, "Watch.limit: expected `int`, got `str`"),
        (Watch, {"symbol": "A", "limit": True}, "Watch.limit: expected `int`, got `bool`"),
        (Watch, {"symbol": "A", "side": "hold"}, "Watch.side: invalid enum value 'hold'"),
        (Watch, {}, "Watch lacks the field 'symbol'"),
        (Watch, {"symbol": "A", "colour": 1}, "Watch has no field 'colour'"),
        (Watch, {"symbol": "A", "x" * 200: 1}, f"Watch has no field '{'x' * 100}'"),
        (Watch, [], "Watch: expected `object`, got `array`"),
        (Watch, None, "Watch: expected `object`, got `null`"),
        (Watch, "x", "Watch: expected `object`, got `str`"),
        (Levels, {"prices": [1, "x"]}, "Levels.prices[1]: expected `float`, got `str`"),
        (Levels, {"prices": [], "count": 1}, "Levels has no field 'count'"),
        (Levels, {"prices": [], "notes": {"a": 1}}, "Levels.notes[...]: expected `str`, got `int`"),
        (Levels, {"when": "2024-02-29"}, "Levels lacks the field 'prices'"),
        (Strict, {"a": 1, "b": 2}, "Strict has no field 'b'"),
        (Strict, {"inner": []}, "Strict lacks the field 'a'"),
        (Strict, {"a": 1, "inner": [{"a": 1, "b": 2}]}, "Strict.inner[0] has no field 'b'"),
        (Strict, {"a": 1, "inner": [{}]}, "Strict.inner[0] lacks the field 'a'"),
        (Deep, {"one": {}}, "Deep.one lacks the field 'symbol'"),
        (Deep, {"one": [1]}, "Deep.one: expected `null`, got `array`"),
        (Deep, {"many": {}}, "Deep.many: expected `array`, got `object`"),
        (Deep, {"many": [{"symbol": "A"}, {"symbol": "A", "x": 1}]}, "Deep.many[1] has no field 'x'"),
        (Deep, {"named": []}, "Deep.named: expected `object`, got `array`"),
        (Deep, {"named": {"k": {"symbol": 1}}}, "Deep.named['k'].symbol: expected `str`, got `int`"),
        (Deep, {"mixed": [1]}, "Deep.mixed[0]: expected `object`, got `int`"),
        (Deep, {"mixed": None}, "Deep.mixed: expected `int | str`, got `null`"),
        (Deep, {"bounded": [{}, {}]}, "Deep.bounded: expected `array` of length <= 1"),
        (Deep, {"self_held": {"self_held": {"y": 1}}}, "Deep.self_held.self_held has no field 'y'"),
        (Deep, {"struct": {"a": 1, "b": 1}}, "Deep.struct has no field 'b'"),
        (Even, {"n": 3}, "Even: 3 is odd"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(cls, value, text):
    assert refusal(cls, value) == text


def test_classes_are_called_as_their_author_would():
    careful = read(Careful, {"secret": 2, "other": 3, "name": "b"})
    assert (careful._secret, careful.renamed, careful.name, careful.fixed) == (2, 3, "B", 5)
    for name in ("_secret", "renamed", "fixed"):
        assert refusal(Careful, {name: 1}) == f"Careful has no field {name!r}"


def test_validators_say_no():
    assert refusal(Careful, {"name": "c"}) == "Careful: 'name' must be in ['A', 'B'] (got 'C')"
    assert refusal(Careful, {"checked": 1}) == "Careful: ValueError"


def test_other_errors_of_a_class_are_the_apps_own():
    with pytest.raises(KeyError):
        read(Careful, {"checked": 2})


T = TypeVar("T")


@attrs.define
class Pair(Generic[T]):
    a: T


class Point(NamedTuple):
    x: int


class Options(TypedDict):
    x: int


class Plain:
    pass


def class_with(annotation):
    return dataclasses.make_dataclass("Made", [("field", annotation)])


@pytest.mark.parametrize(
    "annotation",
    [Any, int, float | None, Point, set[int], decimal.Decimal, list[Strict], dict[str, list[int]], bytes],
)
def test_what_msgspec_can_read_may_stand_in_a_field(annotation):
    compile_reader(class_with(annotation))


def test_metadata_of_others_is_left_alone():
    made = class_with(Annotated[Watch, "a note"])
    assert read(made, {"field": {"symbol": "A"}}).field == Watch("A")


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (Plain, "Plain can't be decoded from JSON"),
        (object, "object can't be decoded from JSON"),
        (list[Plain | None], "Plain can't be decoded from JSON"),
        (msgspec.Raw, "Raw can't be decoded from JSON"),
        (Options, "Options can't stand here, because its unknown fields would be dropped"),
        (list[Lax], "Lax is a Struct without forbid_unknown_fields=True"),
        (Watch | Levels, "Watch | Levels: a union can hold one class only"),
        (set[Watch], "classes can stand alone"),
        (Sequence[Watch], "classes can stand alone"),
        (dict[int, Watch], "classes can stand alone"),
        (tuple[Watch, int], "classes can stand alone"),
        (Pair[int], "classes can stand alone"),
        (dict[str, Strict] | Strict, "more than one dict-like type"),
        ("Nowhere", "an annotation can't be found: name 'Nowhere' is not defined"),
    ],
)
def test_a_field_that_cannot_be_read_is_refused_beforehand(annotation, why):
    with pytest.raises(TypeError, match="clients can't send Made: ") as caught:
        compile_reader(class_with(annotation))
    assert why in str(caught.value)


def test_a_field_without_an_annotation_is_refused_beforehand():
    @attrs.define
    class Bare:
        a = attrs.field(default=1)

    with pytest.raises(TypeError, match=r"clients can't send .*Bare: an annotation can't be found: 'a'"):
        compile_reader(Bare)


def test_a_struct_that_holds_a_class_is_refused_beforehand():
    class Holder(msgspec.Struct, forbid_unknown_fields=True):
        watch: Watch

    with pytest.raises(TypeError, match="Watch can't stand here, because its unknown fields would be dropped"):
        compile_reader(Holder)


@pytest.mark.parametrize("cls", [int, Plain, "Watch", Watch("A"), list[int], Options])
def test_only_classes_that_have_fields_can_be_sent(cls):
    with pytest.raises(TypeError, match="it is not an attrs class, dataclass or msgspec Struct"):
        compile_reader(cls)


def test_a_struct_must_refuse_unknown_fields_itself():
    with pytest.raises(TypeError, match="clients can't send Lax: Lax is a Struct without forbid_unknown_fields=True"):
        compile_reader(Lax)

"""Readers: they turn decoded JSON into objects of an app's classes, and refuse what doesn't fit. Pure.

msgspec alone isn't enough for attrs classes and dataclasses. It drops unknown fields, sets fields with `init=False`,
and ignores aliases and converters. So here it converts only the *leaves* (numbers, strings, dates, Structs, …, with
their `Meta` constraints), while classes are called as their author would call them: `Watch(symbol="ABC")`. Annotations
are read once, when a reader is compiled; types that can't be read are refused then.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union, final, get_args, get_origin

import attrs
import msgspec
from msgspec import inspect

from supervisor.errors import InvalidMessage
from supervisor.protocol.messages import shorten

Reader = Callable[[Any, str], Any]
"""Takes a decoded JSON value and the path to it, for errors; returns what the app's class has there."""

# msgspec's texts end so where the value is not the outermost one.
_PLACE = re.compile(r"(?P<what>.*) - at `(?:key in `)?\$(?P<path>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def compile_reader(cls: type) -> Reader:
    """The reader of one message class.

    Raises:
        TypeError: it is not an attrs class, dataclass or msgspec Struct, or a field's type can't be decoded from
            JSON

    """
    if not isinstance(cls, type) or not (_is_called(cls) or issubclass(cls, msgspec.Struct)):
        raise TypeError(
            f"clients can't send {_show(cls)}: it is not an attrs class, dataclass or msgspec Struct; "
            "write @attrs.frozen above it, or leave out from_client=True"
        )
    try:
        return _Compiler().reader(cls)
    except (NameError, AttributeError, KeyError) as error:
        raise TypeError(f"clients can't send {_show(cls)}: an annotation can't be found: {error}") from error
    except TypeError as error:
        raise TypeError(f"clients can't send {_show(cls)}: {error}") from error


@final
class _Compiler:
    """Compiles the readers of one message class and of the classes in it, each once."""

    def __init__(self) -> None:
        self._classes: dict[type, Reader] = {}

    def reader(self, hint: Any) -> Reader:
        if not _mentions_called(hint):
            return _leaf_reader(hint)
        if isinstance(hint, type) and _is_called(hint):
            return self._class_reader(hint)
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self._annotated_reader(arguments[0], arguments[1:])
        if origin in (Union, types.UnionType):
            return self._union_reader(arguments)
        if origin is list:
            return _array_reader(list, self.reader(arguments[0]))
        if origin is tuple and arguments[-1] is Ellipsis:
            return _array_reader(tuple, self.reader(arguments[0]))
        if origin is dict and arguments[0] is str:
            return _mapping_reader(self.reader(arguments[1]))
        raise TypeError(
            f"{_show(hint)}: classes can stand alone, or in list[…], tuple[…, ...], dict[str, …] and … | None"
        )

    def _class_reader(self, cls: type) -> Reader:
        if cls not in self._classes:
            # A class may hold itself: until it is compiled, what stands for it looks for the finished one.
            self._classes[cls] = lambda value, path: self._classes[cls](value, path)
            hints = typing.get_type_hints(cls, include_extras=True)
            fields = list(_fields_of(cls))
            readers = {argument: self.reader(hints[name]) for name, argument, _ in fields}
            required = [argument for _, argument, is_required in fields if is_required]
            self._classes[cls] = _object_reader(cls, readers, required)
        return self._classes[cls]

    def _annotated_reader(self, inner: Any, metadata: tuple[Any, ...]) -> Reader:
        # We read the class; msgspec checks the constraints of what holds it (`Meta(max_length=9)`).
        outer = {list: list, tuple: list}.get(get_origin(inner), dict)
        constraints = _leaf_reader(Annotated[outer, *metadata])
        reader = self.reader(inner)

        def read(value: Any, path: str) -> Any:
            constraints(value, path)
            return reader(value, path)

        return read

    def _union_reader(self, members: tuple[Any, ...]) -> Reader:
        called = [member for member in members if _mentions_called(member)]
        if len(called) > 1:
            raise TypeError(f"{' | '.join(map(_show, members))}: a union can hold one class only")
        reader = self.reader(called[0])
        # A JSON array or object is for the one with the class in it, and everything else for the others.
        expected = list if get_origin(called[0]) in (list, tuple) else dict
        others = _leaf_reader(functools.reduce(operator.or_, (member for member in members if member is not called[0])))

        def read(value: Any, path: str) -> Any:
            return reader(value, path) if isinstance(value, expected) else others(value, path)

        return read


def _object_reader(cls: type, readers: dict[str, Reader], required: list[str]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _unexpected("object", value, path)
        arguments = {}
        for name, item in value.items():
            reader = readers.get(name)
            if reader is None:
                raise InvalidMessage(f"{path} has no field {name[:100]!r}")
            arguments[name] = reader(item, f"{path}.{name}")
        for name in required:
            if name not in arguments:
                raise InvalidMessage(f"{path} lacks the field {name!r}")
        try:
            return cls(**arguments)
        except (TypeError, ValueError) as error:
            # attrs' own validators raise with a text first and their subjects after it.
            text = error.args[0] if error.args else type(error).__name__
            raise InvalidMessage(f"{path}: {shorten(str(text))}") from error

    return read


def _array_reader(make: Callable[[list[Any]], Any], reader: Reader) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise _unexpected("array", value, path)
        return make([reader(item, f"{path}[{index}]") for index, item in enumerate(value)])

    return read


def _mapping_reader(reader: Reader) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _unexpected("object", value, path)
        return {key: reader(item, f"{path}[{key[:100]!r}]") for key, item in value.items()}

    return read


def _leaf_reader(hint: Any) -> Reader:
    msgspec.json.Decoder(hint)  # raises TypeError if msgspec can't decode it
    _check_leaf(inspect.type_info(hint), seen=set())

    def read(value: Any, path: str) -> Any:
        try:
            return msgspec.convert(value, hint, str_keys=True)
        except msgspec.ValidationError as error:
            raise _translated(str(error), path) from error

    return read


def _check_leaf(node: Any, *, seen: set[int]) -> None:
    """Refuse, at any depth, what msgspec would decode with unknown fields dropped, or not at all."""
    if isinstance(node, tuple):
        for item in node:
            _check_leaf(item, seen=seen)
    elif isinstance(node, inspect.Type | inspect.Field) and id(node) not in seen:
        seen.add(id(node))
        if isinstance(node, inspect.StructType) and not node.forbid_unknown_fields:
            raise TypeError(f"{_show(node.cls)} is a Struct without forbid_unknown_fields=True")
        if isinstance(node, inspect.DataclassType | inspect.TypedDictType):
            raise TypeError(f"{_show(node.cls)} can't stand here, because its unknown fields would be dropped")
        if isinstance(node, inspect.CustomType | inspect.ExtType | inspect.RawType):
            raise TypeError(f"a field of type {_show(getattr(node, 'cls', 'Raw'))} can't be decoded from JSON")
        for name in node.__struct_fields__:
            _check_leaf(getattr(node, name), seen=seen)


def _translated(text: str, path: str) -> InvalidMessage:
    place = _PLACE.fullmatch(text)
    if place is not None:
        text, path = place["what"], path + place["path"]
    if (missing := _MISSING.fullmatch(text)) is not None:
        return InvalidMessage(f"{path} lacks the field {missing['name']!r}")
    if (unknown := _UNKNOWN.fullmatch(text)) is not None:
        return InvalidMessage(f"{path} has no field {unknown['name'][:100]!r}")
    return InvalidMessage(f"{path}: {shorten(text[:1].lower() + text[1:])}")


def _unexpected(expected: str, value: Any, path: str) -> InvalidMessage:
    """In msgspec's words, because both stand side by side."""
    kinds = {dict: "object", list: "array", type(None): "null"}
    return InvalidMessage(f"{path}: expected `{expected}`, got `{kinds.get(type(value), type(value).__name__)}`")


def _is_called(cls: type) -> bool:
    return attrs.has(cls) or dataclasses.is_dataclass(cls)


def _mentions_called(hint: Any) -> bool:
    if isinstance(hint, type) and _is_called(hint):
        return True
    origin = get_origin(hint)
    return origin is not None and any(_mentions_called(part) for part in (origin, *get_args(hint)))


def _fields_of(cls: type) -> Iterator[tuple[str, str, bool]]:
    """Attribute, argument of the constructor (which is the name on the wire), and whether it is required."""
    if attrs.has(cls):
        for attribute in attrs.fields(cls):
            if attribute.init:
                yield attribute.name, attribute.alias or attribute.name, attribute.default is attrs.NOTHING
        return
    for field in dataclasses.fields(cls):
        if field.init:
            missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            yield field.name, field.name, missing


def _show(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)

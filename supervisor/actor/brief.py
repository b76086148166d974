"""An app's value as one short line, made without ever writing out a big one. Pure.

Essay: containers, and values with fields, are walked: a few items of each, a few levels deep, until the line is full. A
message may carry a table of a million rows, and its `repr()` would block the loop for a second, only to be cut. So only
other values are asked for their own `repr()`, which their author should keep short. Fields that a class keeps out of
its `repr()`, such as passwords, are kept out here too; and if a class defines its own `repr()`, only that is shown.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

ITEMS = 5
"""Items of a container, or fields of a value, that are shown."""
DEPTH = 3
"""Levels that are shown; what lies deeper is an ellipsis."""
TEXT = 40
"""Characters of one text, or of another thing's `repr()`."""
LENGTH = 100
"""Characters of the whole line."""


def brief(value: object, *, length: int = LENGTH) -> str:
    """The value as one line of at most so many characters: `Quote(symbol='ACME', price=12.5)`. Raises nothing."""
    try:
        return clip(_text(value, DEPTH), length)
    except (Exception, SystemExit, GeneratorExit) as error:  # of the author's code
        return clip(f"<{type(value).__qualname__} whose repr() raised {type(error).__qualname__}>", length)


def clip(text: str, length: int) -> str:
    """The text as one line of at most so many characters; what would break the line is escaped."""
    if len(text) > length:
        text = f"{text[: length - 1]}…"
    if text.isprintable():
        return text
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _text(value: object, depth: int) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= TEXT else f"{value[: TEXT - 1]}…")
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value):,} bytes>" if len(value) > TEXT else repr(bytes(value))
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return str(int(value)) if -(10**TEXT) < value < 10**TEXT else f"<int of {value.bit_length():,} bits>"
    if isinstance(value, type):
        return value.__qualname__
    fields = _fields(value)
    if fields is not None:
        name = type(value).__qualname__.rpartition(".")[2]
        return f"{name}({_joined((f'{key}={_text(each, depth - 1)}' for key, each in fields), depth)})"
    if isinstance(value, Mapping):
        items = (f"{_text(key, depth - 1)}: {_text(each, depth - 1)}" for key, each in value.items())
        return f"{{{_joined(items, depth, len(value))}}}"
    for kind, (begin, end) in _BRACKETS.items():
        if isinstance(value, kind):
            return f"{begin}{_joined((_text(each, depth - 1) for each in value), depth, len(value))}{end}"
    if isinstance(value, Collection):  # a view, a table, a queue: its own `repr()` might write all of it out
        return f"<{type(value).__qualname__} of {len(value):,}>"
    if type(value).__repr__ is object.__repr__:  # its address says nothing
        return f"<{type(value).__qualname__}>"
    return clip(repr(value), TEXT)


_BRACKETS: dict[type[Any], tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
}


def _joined(texts: Iterable[str], depth: int, count: int | None = None) -> str:
    """The first few; `texts` is lazy, so the others are never made."""
    if depth <= 0:
        return "" if count == 0 else "…"
    texts = iter(texts)
    shown = list(islice(texts, ITEMS))
    if count is None:
        count = len(shown) + sum(1 for _ in islice(texts, 1))
    return ", ".join([*shown, "…"] if count > len(shown) else shown)


def _fields(value: Any) -> Iterator[tuple[str, object]] | None:
    """Names and values of what attrs, dataclasses, msgspec or a named tuple made of its class.

    None if nobody did, or if its `repr()` is not theirs: then there is a reason.
    """
    cls = type(value)
    if not _has_made_repr(cls):
        return None
    for marker in ("__attrs_attrs__", "__dataclass_fields__"):
        fields = getattr(cls, marker, None)
        if fields is not None:
            each = fields.values() if isinstance(fields, dict) else fields
            return ((one.name, _value_of(one, value)) for one in each if one.repr)
    names = getattr(cls, "__struct_fields__", None) or (isinstance(value, tuple) and getattr(cls, "_fields", None))
    return ((name, getattr(value, name, ...)) for name in names) if names else None


def _value_of(field: Any, value: object) -> object:
    """With attrs, a field may say how it is shown."""
    inner = getattr(value, field.name, ...)
    return _Shown(field.repr(inner)) if callable(field.repr) else inner


class _Shown:
    """What is shown as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _has_made_repr(cls: type) -> bool:
    """Whether no person wrote its `repr()`, but some tool that makes classes."""
    written: Any = cls.__repr__
    func = inspect.unwrap(written)
    if not hasattr(func, "__code__"):  # written in C: msgspec's, or that of every object
        return written is not object.__repr__
    return func.__code__.co_filename.startswith("<") or bool(func.__module__ == "collections")

"""Which values a JSON document takes: it copies those, and refuses the others. Pure."""

from __future__ import annotations

from math import copysign, isfinite
from typing import Any, Final

from supervisor.document.journal import Journal, Node
from supervisor.document.pointer import escape, join
from supervisor.errors import InvalidValue

# Nested containers, the root being the first. Far above what people write by hand, and far below the depth at
# which the recursive parsers of browsers, msgspec and Python's own frames give up.
MAX_DEPTH: Final = 200

# Browsers keep numbers as doubles; beyond this, neighbouring integers become one.
MAX_INT: Final = 2**53

_WAYS_OUT: Final[dict[type, str]] = {
    tuple: "use list(value)",
    set: "use sorted(value)",
    frozenset: "use sorted(value)",
    bytes: "decode it to str",
    bytearray: "decode it to str",
}

SCALAR_TYPES: Final = frozenset((str, int, float, bool, type(None)))

Scalar = str | int | float | bool | None


class Unfit(Exception):
    """A value is refused; the place is filled in while the exception passes the containers around the value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        # From the value outwards. A container whose key is refused adds no token: it is the place itself.
        self.tokens: list[str | int] = []
        # The containers around the value, from the inside out, to tell a cycle from mere depth.
        self.sources: list[object] = []

    def refusal(self, prefix: str) -> InvalidValue:
        """The error for the author, whose container is at the pointer `prefix`."""
        reason, tokens = self.reason, self.tokens[::-1]
        seen: set[int] = set()
        for level, source in enumerate(reversed(self.sources)):
            if id(source) in seen:
                # Each source has its token; one more may lead from the author's container to the outermost.
                tokens = tokens[: level + len(tokens) - len(self.sources)]
                reason = "it contains itself, which JSON cannot; put a copy in"
                break
            seen.add(id(source))
        return InvalidValue(f'at "{prefix}{join(tokens)}": {reason}')


def fit(value: Any) -> Scalar:
    """The scalar as the document keeps it: itself, or the base type's value of an instance of a subclass.

    Raises:
        Unfit: JSON cannot carry it.
    """
    kind = type(value)
    if kind is str:
        if value.isascii() or _encodable(value):
            return value  # type: ignore[no-any-return]
        raise Unfit("the text has a lone surrogate, which UTF-8 cannot carry; replace it")
    if kind is int:
        if -MAX_INT <= value <= MAX_INT:
            return value  # type: ignore[no-any-return]
        raise Unfit("the int is beyond ±2**53, which browsers cannot hold; use str(value) or float(value)")
    if kind is float:
        if isfinite(value):
            return value  # type: ignore[no-any-return]
        raise Unfit(f"{value} is not a JSON number; use None or a str")
    if kind is bool or value is None:
        return value  # type: ignore[no-any-return]
    # Enums, numpy's float64 and the like. The base type's own methods are asked, because a subclass may have
    # others: str() of an enum can be its name.
    if isinstance(value, str):
        return fit(str.__str__(value))
    if isinstance(value, int):
        return fit(int.__int__(value))
    if isinstance(value, float):
        return fit(float.__float__(value))
    way_out = next((way for base, way in _WAYS_OUT.items() if isinstance(value, base)), None)
    raise Unfit(
        f"a {kind.__qualname__} has no JSON form; "
        + (way_out or "make it of dict, list, str, int, float, bool and None")
    )


def fit_key(key: Any) -> str:
    """The key as the document keeps it: a plain str.

    Raises:
        Unfit: It is not a str, or has a lone surrogate.
    """
    if not isinstance(key, str):
        raise Unfit(f"keys must be str, got {type(key).__qualname__}; use str(key)")
    if not _encodable(key):
        raise Unfit("a key has a lone surrogate, which UTF-8 cannot carry; replace it")
    return str.__str__(key)


def _encodable(text: str) -> bool:
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True


def admitted(node: Node, token: str | int, value: Any) -> Any:
    """What `node`, which has an owner, will keep at `token` when it is given `value`.

    Raises:
        InvalidValue: JSON cannot carry something in it.
    """
    try:
        if not isinstance(value, (dict, list)):
            return fit(value)
        journal: Any = node._owner
        level, above = 2, node._parent
        while above is not None:
            level, above = level + 1, above._parent
        copied = check_and_copy(value, journal, level)
    except Unfit as unfit:
        raise refusal_at(node, token, unfit) from None
    copied._parent = node
    copied._step = token if isinstance(token, int) else f"/{escape(token)}"
    journal.added.append(copied)
    return copied


def admitted_key(node: Node, key: Any) -> str:
    """The key as `node`, which has an owner, will keep it.

    Raises:
        InvalidValue: JSON cannot carry it.
    """
    try:
        return fit_key(key)
    except Unfit as unfit:
        raise refusal_at(node, None, unfit) from None


def refusal_at(node: Node, token: str | int | None, unfit: Unfit) -> InvalidValue:
    """The error for who gave `node` something unfit at `token`, or an unfit key if that is None."""
    if token is not None:
        unfit.tokens.append(token)
    journal: Any = node._owner
    return unfit.refusal(journal.pointer(node))


def check_and_copy(value: dict[Any, Any] | list[Any], journal: Journal, level: int) -> Any:
    """An observed copy of a container and all in it, told and owned but with no parent yet.

    Args:
        value: A dict, a list, or an instance of a subclass.
        journal: Of the document that will own the copy.
        level: At which the copy will be; the root's is 1.

    Raises:
        Unfit: JSON cannot carry something in it.
    """
    if level > MAX_DEPTH:
        raise Unfit(f"containers are nested more than {MAX_DEPTH} deep; replace inner ones with ids")
    token: str | int | None = None
    node: Any
    try:
        if isinstance(value, dict):
            node = dict.__new__(journal.dict_type)
            items: dict[str, Any] = {}
            for key, item in value.items():
                token = None
                if type(key) is not str or not key.isascii():
                    key = fit_key(key)
                token = key
                if isinstance(item, (dict, list)):
                    item = check_and_copy(item, journal, level + 1)
                    item._parent = node
                    item._step = f"/{escape(key)}"
                else:
                    item = fit(item)
                items[key] = item
            dict.update(node, items)
        else:
            node = list.__new__(journal.list_type)
            for index, item in enumerate(value):
                token = index
                if isinstance(item, (dict, list)):
                    item = check_and_copy(item, journal, level + 1)
                    item._parent = node
                    item._step = index
                else:
                    item = fit(item)
                list.append(node, item)
    except Unfit as unfit:
        if token is not None:
            unfit.tokens.append(token)
        unfit.sources.append(value)
        raise
    node._owner = journal
    node._parent = None
    node._told = journal.transaction
    return node


def same_scalar(old: object, new: object) -> bool:
    """Whether two JSON scalars say the same: 1, 1.0 and True don't, nor do 0.0 and -0.0."""
    if type(old) is not type(new) or old != new:
        return False
    return type(old) is not float or bool(new) or copysign(1.0, old) == copysign(1.0, new)  # type: ignore[arg-type]


def same_value(old: object, new: object) -> bool:
    """Whether putting `new` where `old` is changes nothing."""
    return old is new or (not isinstance(new, (dict, list)) and same_scalar(old, new))

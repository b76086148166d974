"""Validators of options: what a limit, a size or a time may be, in one place. Pure.

    linger: float = attrs.field(default=15.0, validator=seconds(endless=True))

Each raises an error that names the option: a `TypeError` for what is not a number, a `ValueError` for an impossible
number. NaN is refused everywhere, since all comparisons with it are false. True is not a count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def seconds(*, zero: bool = True, endless: bool = False, most: float = math.inf) -> Validator:
    """A number of seconds.

    Args:
        zero: whether it may be 0.
        endless: whether it may be infinite.
        most: the most that it may be.
    """
    finite = "" if endless else "finite "
    bound = ", at least 0" if zero else " above 0"
    if most < math.inf:
        bound += f" and at most {most:g}"

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = f"{attribute.name} must be a {finite}number of seconds{bound}"
        if not _is_number(value):
            raise TypeError(f"{name}, not {_shown(value)}")
        if not 0 <= value <= most or (not zero and value == 0) or (not endless and value == math.inf):
            raise ValueError(f"{name}, not {_shown(value)}")

    return check


def count(least: int = 1, most: int | None = None) -> Validator:
    """A whole number, of messages, bytes or whatever is counted, from `least` on, or to `most`, both included."""
    bound = f", at least {least:,}" if most is None else f" from {least:,} to {most:,}"

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = f"{attribute.name} must be a whole number{bound}"
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name}, not {_shown(value)}")
        if value < least or (most is not None and value > most):
            raise ValueError(f"{name}, not {_shown(value)}")

    return check


def number(least: float, most: float = math.inf) -> Validator:
    """A finite number from `least` to `most`, both included."""
    bound = f", at least {least:g}" if most == math.inf else f" from {least:g} to {most:g}"

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = f"{attribute.name} must be a finite number{bound}"
        if not _is_number(value):
            raise TypeError(f"{name}, not {_shown(value)}")
        if not least <= value <= most or value == math.inf:
            raise ValueError(f"{name}, not {_shown(value)}")

    return check


def one_of(*words: str) -> Validator:
    """One of these words."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name} must be {', '.join(words[:-1])} or {words[-1]}, not {_shown(value)}")

    return check


def none_or(validator: Validator) -> Validator:
    """What the validator takes, or None for no limit."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is None:
            return
        try:
            validator(instance, attribute, value)
        except (TypeError, ValueError) as error:
            text, _, got = str(error).rpartition(", not ")
            raise type(error)(f"{text}, or None, not {got}") from None

    return check


def whether(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """True or False, and nothing else that is truthy or falsy."""
    check_whether(attribute.name, value)


def check_whether(name: str, value: object) -> None:
    """Refuse an argument of this name that is neither True nor False: "no" would count as True.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {_shown(value)}")


def made_of(kind: type, example: str) -> Validator:
    """An instance of that class; `example` shows how one is made."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, kind):
            raise TypeError(f"{attribute.name} must be {example}, not {type(value).__name__}")

    return check


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"

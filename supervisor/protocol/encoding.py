"""An author's value as JSON, or a clear refusal. Pure.

msgspec encodes plain JSON values, and attrs classes, dataclasses, dates and more. But it silently writes NaN and the
infinities as `null`, so that a client would show a gap where a calculation went wrong.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def encode_value(value: object, *, what: str = "the value") -> bytes:
    """Encode a value as JSON.

    Args:
        value: plain JSON data, or what msgspec can turn into it (attrs objects, dataclasses, dates, …)
        what: how an error names the value

    Raises:
        TypeError: it holds an object of a type that JSON has no form for
        ValueError: it holds NaN, an infinity or a lone surrogate, contains itself, or is nested too deeply

    """
    try:
        encoded = _encoder.encode(value)
        # Only a value with a `null` in its JSON can hold what became one, so hardly any value is walked.
        path = _path_of_non_finite(msgspec.to_builtins(value), "") if b"null" in encoded else None
    except TypeError as error:
        raise TypeError(f"{what} can't be sent as JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{what} can't be sent as JSON: it is nested too deeply or contains itself") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} can't be sent as JSON: it has a lone surrogate in a string") from error
    if path is not None:
        place = f" at {path!r}" if path else ""
        raise ValueError(f"{what} can't be sent as JSON: NaN or an infinity{place}")
    return encoded


def _path_of_non_finite(value: Any, path: str) -> str | None:
    """The JSON Pointer of the first float that JSON has no form for, or None."""
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        found = _path_of_non_finite(item, f"{path}/{key}")
        if found is not None:
            return found
    return None

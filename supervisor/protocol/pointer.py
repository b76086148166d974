"""JSON Pointers (RFC 6901) as the wire has them: the text that names a place in a document. Pure."""

from __future__ import annotations

import re

# RFC 6901, 4: no leading zeros, no sign, and ASCII digits only, where `int()` takes more. No array is longer than 16
# digits say.
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
# RFC 6901, 3: `~` stands only before 0 and 1.
_BAD_ESCAPE = re.compile(r"~(?![01])")


def split(pointer: str) -> tuple[str, ...]:
    """The steps of a JSON Pointer: `/a~1b/0` has "a/b" and "0", and the empty one, which is all, has none.

    Safe for untrusted text.

    Raises:
        ValueError: it is none

    """
    if not pointer:
        return ()
    if not pointer.startswith("/") or _BAD_ESCAPE.search(pointer):
        raise ValueError(
            f"{pointer!r} is not a JSON Pointer such as /prices/ACME; the empty one means the whole document"
        )
    steps = pointer[1:].split("/")
    if "~" in pointer:  # `~1` first: `~01` is the key "~1" (RFC 6901, 4)
        steps = [step.replace("~1", "/").replace("~0", "~") for step in steps]
    return tuple(steps)


def join(pointer: str, step: str | int) -> str:
    """The pointer one step further."""
    return f"{pointer}/{str(step).replace('~', '~0').replace('/', '~1')}"


def index_of(step: str, end: int) -> int | None:
    """The index that a step names in an array; None if it is none, or not before `end`."""
    if not _INDEX.fullmatch(step):
        return None
    index = int(step)
    return index if index < end else None

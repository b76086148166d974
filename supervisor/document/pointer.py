"""JSON Pointers (RFC 6901): the text that names a place in a document. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from supervisor.errors import PatchError

# A tilde that begins neither of the two escapes (RFC 6901, section 3).
_BAD_ESCAPE = re.compile("~(?![01])")


def split(pointer: str) -> list[str]:
    """The unescaped tokens of `pointer`, from the root down; `""` names the root and has none.

    Safe for untrusted input.

    Raises:
        PatchError: It is not a JSON Pointer.
    """
    if not isinstance(pointer, str):
        raise PatchError(f"a JSON Pointer is a string, got {type(pointer).__name__}")
    if not pointer:
        return []
    if pointer[0] != "/":
        raise PatchError(f'a JSON Pointer is empty or starts with "/", got {pointer!r}')
    if "~" not in pointer:
        return pointer[1:].split("/")
    if _BAD_ESCAPE.search(pointer):
        raise PatchError(f'in a JSON Pointer "~" is followed by 0 or 1, got {pointer!r}')
    # "~1" goes first, so that "~01" becomes "~1" and not "/" (RFC 6901, section 4).
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def join(tokens: Iterable[str | int]) -> str:
    """The pointer that leads through `tokens`: keys, not escaped yet, and list indexes."""
    return "".join([f"/{token}" if isinstance(token, int) else f"/{escape(token)}" for token in tokens])


def escape(token: str) -> str:
    """The token as it stands between two slashes."""
    if "~" in token or "/" in token:
        return token.replace("~", "~0").replace("/", "~1")
    return token

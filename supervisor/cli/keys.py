"""Files of secret keys: read, and written, so that nobody but their owner can read them."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from supervisor.errors import ApplicationError
from supervisor.identity import KeyRing

_OF_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
_ADVICE = "make a key with: python -m supervisor secret"
# What a text consists of; a key of random bytes is no text, but by a chance that nobody meets.
_TEXT = re.compile(rb"[\t\r\n\x20-\x7e]*")


def read_ring(files: Sequence[Path]) -> KeyRing | None:
    """The keys of these files as one ring, of which the very first signs; None without files.

    Raises:
        ApplicationError: a file can't be used.
    """
    keys = [key for file in files for key in read_keys(file)]
    return KeyRing(keys[::-1]) if keys else None  # a ring has its newest last


def read_keys(file: Path) -> list[bytes]:
    """Read the keys of a file, which nobody else may be able to read: one a line, or random bytes that are one key.

    Raises:
        ApplicationError: it can't be read, others may read or change it, or it has no key, or one that is too short.
    """
    try:
        mode = file.stat().st_mode
        content = file.read_bytes().strip()
    except FileNotFoundError as error:
        raise ApplicationError(
            f"there is no key file {file}; make one with: python -m supervisor secret -o {shlex.quote(str(file))}"
        ) from error
    except OSError as error:
        raise ApplicationError(f"the key file {file} can't be read: {error.strerror}") from error
    if mode & _OF_OTHERS and os.name == "posix":
        raise ApplicationError(
            f"others may read or change the key file {file}; run: chmod 600 {shlex.quote(str(file))}"
        )
    keys = [line.strip() for line in content.splitlines()] if _TEXT.fullmatch(content) else [content]
    keys = [key for key in keys if key]
    if not keys:
        raise ApplicationError(f"the key file {file} is empty; {_ADVICE}")
    for key in keys:
        if len(key) < 16:
            which = "the key" if len(keys) == 1 else f"key {keys.index(key) + 1}"
            raise ApplicationError(f"{which} in {file} is too short, {len(key)} of at least 16 bytes; {_ADVICE}")
    return keys


def write_key(file: Path, key: str) -> None:
    """Write a key into a new file, which only its owner can read.

    Raises:
        ApplicationError: there is a file of that name, which is left as it is, or none can be made.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ApplicationError(
            f"{file} already exists and was left as it is; choose another name, or remove it first"
        ) from error
    except OSError as error:
        raise ApplicationError(f"the key file {file} can't be written: {error.strerror}") from error
    with open(descriptor, "w", encoding="ascii") as opened:
        opened.write(f"{key}\n")

"""The sockets that this process has open, by their descriptors, and the addresses of those that are left.

`/dev/fd` lists a process's descriptors on Linux, macOS and the BSDs. Where there is none, no socket is found. Those
that libraries in C open have no object that tells who did; so all that appear in a block of `supervise` are laid at the
app's door.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable

_DESCRIPTORS = "/dev/fd"

SocketKey = tuple[int, int]
"""(descriptor, inode): descriptors alone are used again."""


def open_sockets() -> frozenset[SocketKey]:
    """Those that are open now."""
    try:
        descriptors = os.listdir(_DESCRIPTORS)
    except OSError:
        return frozenset()
    found = set()
    for name in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile, as the one that listed them
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                found.add((int(name), status.st_ino))
    return frozenset(found)


def addresses_of(keys: Iterable[SocketKey]) -> dict[SocketKey, str]:
    """What each of them is connected to, or listens on: "127.0.0.1:40112 → 127.0.0.1:5432, descriptor 12"."""
    return {key: f"{_address_of(key[0])}, descriptor {key[0]}" for key in sorted(keys)}


def _address_of(descriptor: int) -> str:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        ours = _shown(copy.getsockname())
        try:
            return f"{ours} → {_shown(copy.getpeername())}"
        except OSError:
            return ours
    return "a socket without an address"


def _shown(address: object) -> str:
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    return str(address) if address else "a Unix socket without a name"

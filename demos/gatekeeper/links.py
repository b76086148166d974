"""Signed session ids: `NAME.SIGNATURE`. Only who has the key can make one, and nobody needs a list of them.

    GATEKEEPER_KEY=… python demos/gatekeeper/links.py tea-at-five

prints one, for a link `/gatekeeper?session=…`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import sys


def sign(name: str, key: str) -> str:
    digest = hmac.digest(key.encode(), b"gatekeeper:" + name.encode(), hashlib.sha256)
    return f"{name}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def check_signature(id: str, key: str) -> bool:
    """Whether a session's id, which is a visitor's word, was signed with the key."""
    name, dot, _ = id.rpartition(".")
    # compare_digest takes as long for a good guess as for a bad one.
    return bool(dot) and hmac.compare_digest(sign(name, key).encode(), id.encode())


def read_name(id: str) -> str:
    return id.rpartition(".")[0]


if __name__ == "__main__":
    match sys.argv[1:], os.environ.get("GATEKEEPER_KEY"):
        case [name], str(key) if key and re.fullmatch(r"[A-Za-z0-9._~-]{1,80}", name):
            print(sign(name, key))
        case _:
            sys.exit("links.py needs GATEKEEPER_KEY in the environment, and a name of letters, digits and . _ ~ -")

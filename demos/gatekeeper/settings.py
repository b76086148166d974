"""What this server is told by its environment."""

from __future__ import annotations

import os

from supervisor import ApplicationError


def read_setting(name: str, meaning: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ApplicationError(f"gatekeeper needs {name} in the environment: {meaning}")
    return value


KEY = read_setting("GATEKEEPER_KEY", "the secret that links are signed with, the same on all servers")
NODE = read_setting("GATEKEEPER_NODE", "what HAProxy calls this server, such as n1")
SOCKET = read_setting("GATEKEEPER_SOCKET", "the path of HAProxy's runtime socket")
MAP = read_setting("GATEKEEPER_MAP", "the path of HAProxy's map of sessions, as in its configuration")

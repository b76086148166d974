"""Where an author's code runs in the whole server: used to name the code that blocks a thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.actor.stalls import StackReader, Work
from supervisor.application.places import PLACES, code_of, work_of
from supervisor.application.source import is_own
from supervisor.transport.conversation import Conversation


def _of_send(local: Mapping[str, Any]) -> Work | None:
    """In `Conversation._take_send`: validators, converters and `conflate` functions of the message's type."""
    send = local["send"]
    return work_of(local["wire"].session, what=f"fields of message {send.name} of a client", piece=send)


STACKS = StackReader({**PLACES, code_of(Conversation._take_send): _of_send}, is_own)
"""Reads what holds a thread: `STACKS.read(thread_id)`, by its `threading.get_ident()`."""

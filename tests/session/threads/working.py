"""An app whose handlers work in threads, as a test tells them to, and a gate at which they wait."""

import threading

import pytest
import trio

from supervisor.errors import DocumentNotHeld, SessionGone
from supervisor.session.receivers import receives

PATIENCE = 60.0
"""Seconds that a thread may take before a test fails: machines can be slow."""


class Do:
    """Makes the handler call a function, in a thread."""

    def __init__(self, func, *args):
        self.func, self.args = func, args


class Look:
    """Answered in the loop, with a copy of the data."""


@receives(Do, thread=True)
def on_do(doc, message):
    return message.func(doc, *message.args)


@receives(Look)
def on_look(doc, message):
    return dict(doc.data)


APP = {"on_do": on_do, "on_look": on_look}


class Gate:
    """Where a thread waits until the test lets it go on."""

    def __init__(self):
        self.inside, self.open = threading.Event(), threading.Event()

    def wait(self):
        self.inside.set()
        assert self.open.wait(PATIENCE)

    async def reached(self):
        assert await trio.to_thread.run_sync(self.inside.wait, PATIENCE)


def put(doc, key, value):
    doc.data[key] = value


def touches(doc, data):
    return [lambda: doc.data, lambda: data.update(x=1), lambda: setattr(doc, "data", {}), doc.commit]


def refusals(doc, data):
    """What each way to touch a document raises."""
    found = []
    for touch in touches(doc, data):
        with pytest.raises((DocumentNotHeld, SessionGone)) as raised:
            touch()
        found.append(raised.value)
    return found

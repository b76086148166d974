"""Clerks who are held up, handlers that raise, and a task that asks."""

from functools import partial

import trio
import trio.testing

settle = trio.testing.wait_all_tasks_blocked


def block(clerk):
    """A message whose handler waits until the returned event is set."""
    event = trio.Event()

    async def wait(_):
        await event.wait()

    clerk.tell(wait)
    return event


async def full(office, name="full"):
    """A clerk whose mailbox of one is full, and the event that lets it go on."""
    clerk = await office.hire(name, capacity=1)
    event = block(clerk)
    await settle()
    clerk.note("queued")
    return clerk, event


def raising(error):
    def handler(clerk):
        clerk.notes.append("rolled back")
        raise error

    return handler


def async_raising(error):
    async def handler(clerk):
        clerk.notes.append("rolled back")
        await trio.lowlevel.checkpoint()
        raise error

    return handler


class Asker:
    """A task that asks, or tells, and what became of it."""

    def __init__(self, nursery, func, *args, **kwargs):
        self.scope = trio.CancelScope()
        self.returned = self.raised = None
        self.over = False
        nursery.start_soon(self._run, partial(func, *args, **kwargs))

    async def _run(self, func):
        with self.scope:
            try:
                self.returned = await func()
            except Exception as error:
                self.raised = error
        self.over = True

    @property
    def was_cancelled(self):
        return self.scope.cancelled_caught

"""A program: runs a whole app under the task order of a seed, and prints a digest of all steps of all tasks.

python tests/testing/record_steps.py 17
"""

import hashlib
import sys

import trio
import trio.testing

from supervisor import receives
from supervisor.application.handlers import NamespaceHandler
from supervisor.testing import supervise
from supervisor.testing.schedules import task_order


class Tick:
    """A message of the app's producers."""


def modify_document(doc):
    doc.data["ticks"] = 0
    for number in range(3):
        doc.session_context.start_soon(count, doc.session_context, f"timer {number}")


async def count(session, name):
    for _ in range(3):
        await trio.sleep(1)
        await session.with_locked_document(lambda doc: doc.data.__setitem__(name, doc.data["ticks"]))


@receives(Tick)
def on_tick(doc, tick):
    doc.data["ticks"] += 1


class Steps(trio.abc.Instrument):
    """Which task made each step; tasks are numbered as they were spawned, since some have chance in their names."""

    def __init__(self):
        self.steps = []
        self._numbers = {}

    def before_task_step(self, task):
        self.steps.append(self._numbers.setdefault(task, len(self._numbers)))

    def task_spawned(self, task):
        self._numbers[task] = len(self._numbers)


async def main():
    async with supervise(NamespaceHandler(globals(), where="app")) as app:
        sessions = [await app.new_session() for _ in range(3)]
        clients = [await session.connect() for session in sessions for _ in range(2)]
        for _ in range(3):
            await app.broadcast(Tick())
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.until, lambda data: data["ticks"] == 3 and "timer 2" in data)
        await clients[0].drop()
        await clients[0].reconnect()
        await trio.sleep(100)


def record(seed, main=main):
    """The numbers of the tasks, in the order of their steps."""
    steps = Steps()
    with task_order(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[steps])
    return steps.steps


if __name__ == "__main__":
    sys.stdout.write(hashlib.sha256(repr(record(int(sys.argv[1]))).encode()).hexdigest())

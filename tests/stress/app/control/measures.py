"""What a server process holds at this moment: tasks, descriptors, threads, memory, and the server's own objects."""

import ctypes
import gc
import os
import resource
import sys
import threading
from collections import Counter
from pathlib import Path

import trio

WATCHED = ("SessionActor", "SessionContext", "WebSocketConnection", "Conversation", "Outbox", "SessionWire", "Feed")
"""Classes of the server whose objects are counted: those that a session or a connection has one of."""


def all_tasks():
    """The tasks of trio's tree by name, found by walking its nurseries."""
    names, waiting = Counter(), [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        names[task.name.rpartition(".")[2]] += 1
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return names


def descriptors():
    """How many descriptors are open, and how many of them are sockets."""
    kinds = Counter()
    for each in Path("/proc/self/fd").iterdir():
        try:
            kinds[os.readlink(each).partition(":")[0]] += 1
        except FileNotFoundError:  # the one that lists them
            continue
    return kinds


def memory():
    """Bytes of resident memory now, without what the C library has been given back and keeps for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def measure():
    gc.collect()
    kinds = descriptors()
    # Those that were there before serving began are frozen, and not seen here.
    kinds_of_ours = (type(each) for each in gc.get_objects() if type(each).__module__.startswith("supervisor."))
    objects = Counter(each.__name__ for each in kinds_of_ours if each.__name__ in WATCHED)
    tasks = all_tasks()
    return {
        "tasks": sum(tasks.values()),
        "task_names": dict(tasks),
        "descriptors": sum(kinds.values()),
        "sockets": kinds["socket"],
        "threads": threading.active_count(),
        "memory": memory(),
        "blocks": sys.getallocatedblocks(),
        "objects": dict(objects),
        "garbage": len(gc.garbage),
    }

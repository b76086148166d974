"""Task orders by seed: which of the tasks that can run goes first is chance, and a seed makes it the same again."""

from __future__ import annotations

import contextlib
import importlib
import random
from collections.abc import Iterator
from typing import Any

import trio


@contextlib.contextmanager
def task_order(seed: int) -> Iterator[None]:
    """Around `trio.run()`: all tasks that can run at one time run in an order that `seed` alone decides.

        with task_order(17):
            trio.run(main)

    The same seed gives the same order of all steps of all tasks, in another process too, as long as only tasks decide
    what happens: worker threads, sockets, the real clock, and chance that isn't seeded are not put in order. Afterwards
    trio is as it was. In a pytest test, `@pytest.mark.schedules(200)` does this.

    Raises:
        RuntimeError: it was called inside of a trio run; or this version of trio orders tasks in some other way.
    """
    if trio.lowlevel.in_trio_run():
        raise RuntimeError("task_order() must wrap trio.run(), but was called inside one")
    scheduler = _scheduler()
    # Once hypothesis is imported, trio's order is always one that a seed decides; without it, only while this is set.
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    state = scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before
        scheduler._r.setstate(state)


def _scheduler() -> Any:
    """The module of trio's scheduler, with the two private names that this needs.

    With the first set, trio sorts what can run by when it was spawned, and shuffles that by the second: what was woken
    by sets, or by deadlines that are equal, and so in the order of ids in memory, comes into one order again.
    """
    scheduler: Any = importlib.import_module("trio._core._run")
    flag = getattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", None)
    chance = getattr(scheduler, "_r", None)
    if not isinstance(flag, bool) or not isinstance(chance, random.Random):
        raise RuntimeError(  # noqa: TRY004 (trio is another one, and nobody gave a wrong type)
            f"trio {trio.__version__} orders its tasks in a way that supervisor.testing.schedules doesn't know; "
            "run these tests with an older trio, or without task orders"
        )
    return scheduler

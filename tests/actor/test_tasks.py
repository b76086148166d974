"""The tree of tasks and where each of them waits."""

import trio
import trio.testing

from supervisor.actor.tasks import all_tasks, frames_of


async def outer():
    await inner()


async def inner():
    await trio.sleep_forever()


async def test_a_task_comes_before_its_children_and_tells_where_it_waits(nursery):
    nursery.start_soon(outer)
    await trio.testing.wait_all_tasks_blocked()
    tasks = list(all_tasks(trio.lowlevel.current_root_task()))
    assert tasks[0] is trio.lowlevel.current_root_task()
    assert len(tasks) == len(set(tasks))
    (child,) = [task for task in tasks if task.coro.__name__ == "outer"]
    assert tasks.index(child) > tasks.index(child.parent_nursery.parent_task)
    names = [frame.f_code.co_name for frame in frames_of(child)]
    assert names[:3] == ["outer", "inner", "sleep_forever"]

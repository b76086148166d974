"""How a task or a thread that an app has left is told: by who started it."""

import sys
import threading
from functools import partial

import pytest
import trio

from supervisor.actor.in_thread import in_thread
from supervisor.testing import Left
from supervisor.testing.origins import Origin, Origins

from .shop import add_system_task, do, line_of, make_app, sleep_long


async def test_a_system_task_is_told_by_its_parents(supervise):
    with pytest.raises(Left) as raised:
        async with supervise(make_app()) as app:
            session = await do(app, add_system_task)
            shown = app.actor.find(session.id).shown_id
    line = str(raised.value).splitlines()[1]
    assert line.startswith(
        f"  tasks: application shop → session {shown} → handler on_do → task sleep_long, at line "
        f"{line_of(sleep_long)} of "
    )
    assert f"(started at line {line_of(add_system_task)} of " in line
    assert "tests/testing/shop.py" in line


async def test_a_task_in_a_nursery_from_outside_is_left_too_and_its_own_children_are_not_told(supervise):
    async def parent():
        async with trio.open_nursery() as inner:
            inner.start_soon(sleep_long)

    async with trio.open_nursery() as outside:
        with pytest.raises(Left) as raised:
            async with supervise(make_app()) as app:
                await do(app, lambda doc: outside.start_soon(parent))
        assert str(raised.value).count("tasks:") == 1
        assert "task parent, at line" in str(raised.value)
        outside.cancel_scope.cancel()


async def test_a_task_that_another_one_started_is_told_by_all_of_them(supervise):
    """A handler's child starts one, and that one starts another."""

    async def second():
        trio.lowlevel.spawn_system_task(sleep_long)
        await trio.sleep_forever()

    async def first():
        trio.lowlevel.spawn_system_task(second)

    async def handle(doc):
        async with trio.open_nursery() as inner:
            inner.start_soon(first)

    with pytest.raises(Left) as raised:
        async with supervise(make_app()) as app:
            await do(app, handle)
    assert "handler handle → task first → task second, at" in str(raised.value).replace("on_do", "handle")
    assert "→ task first → task second → task sleep_long, at" in str(raised.value)


async def test_a_hooks_and_a_producers_tasks_are_told_by_their_names(supervise):
    def on_application_load(app_context):
        trio.lowlevel.spawn_system_task(sleep_long, name="of the hook")
        app_context.add_callback(produce)

    async def produce():
        trio.lowlevel.spawn_system_task(sleep_long, name="of the producer")

    with pytest.raises(Left) as raised:
        async with supervise(make_app(on_application_load=on_application_load)) as app:
            await trio.sleep(1)
            app.incidents.clear()
    text = str(raised.value)
    assert "application shop → on_application_load → task of the hook, at" in text
    assert "application shop → producer test_a_hooks" in text
    assert "produce → task of the producer, at" in text


async def test_tasks_of_the_tests_own_and_such_that_end_in_time_are_not_told(supervise):
    async with trio.open_nursery() as outside:
        stop = trio.Event()

        async def until_unloaded():
            await stop.wait()
            await trio.lowlevel.checkpoint()

        async with supervise(make_app(on_application_unload=lambda app_context: stop.set())) as app:
            outside.start_soon(trio.sleep_forever)
            trio.lowlevel.spawn_system_task(trio.sleep, 1)
            await do(app, lambda doc: outside.start_soon(until_unloaded))
            with pytest.raises(Left, match="task until_unloaded"):
                await app.check("tasks")
        outside.cancel_scope.cancel()


async def test_a_worker_thread_that_nobody_waits_for_is_left(supervise):
    begun, release = threading.Event(), threading.Event()

    def work():
        begun.set()
        release.wait(20)

    async def abandon(doc):
        async with trio.open_nursery() as inner:
            inner.start_soon(partial(trio.to_thread.run_sync, work, abandon_on_cancel=True))
            await trio.testing.wait_all_tasks_blocked()
            begun.wait(20)
            inner.cancel_scope.cancel()

    with pytest.raises(Left, match=r"tasks: thread work from .*, at line \d+ of"):
        async with supervise(make_app()) as app:
            await do(app, abandon)
    release.set()


async def test_a_worker_thread_of_a_task_that_escaped_and_is_over_is_left(supervise):
    """The task is the system's child, and has none of its starter's context: it is marked all the same."""
    begun, release, scope = threading.Event(), threading.Event(), trio.CancelScope()

    def work():
        begun.set()
        release.wait(20)

    async def abandon():
        with scope:
            await trio.to_thread.run_sync(work, abandon_on_cancel=True)

    with pytest.raises(Left, match=r"tasks: thread work from .*, at line \d+ of") as raised:
        async with supervise(make_app()) as app:
            await do(app, lambda doc: trio.lowlevel.spawn_system_task(abandon))
            await trio.testing.wait_all_tasks_blocked()
            begun.wait(20)
            scope.cancel()
    release.set()
    assert len(str(raised.value).splitlines()) == 2


async def test_a_thread_that_the_app_started_by_itself_is_left_and_one_that_ends_is_not(supervise):
    release = threading.Event()

    def start(doc, seconds):
        threading.Thread(target=partial(release.wait, seconds), name="feed", daemon=True).start()

    async with supervise(make_app()) as app:
        await do(app, lambda doc: start(doc, 0.02))
    with pytest.raises(Left) as raised:
        async with supervise(make_app()) as app:
            session = await do(app, lambda doc: start(doc, 20))
            shown = app.actor.find(session.id).shown_id
    release.set()
    line = str(raised.value).splitlines()[1]
    assert line.startswith(f"  tasks: application shop → session {shown} → handler on_do → thread feed")
    assert f"(started at line {line_of(start)} of tests/testing/test_origins.py)" in line


async def test_a_worker_thread_is_told_by_whom_it_works_for(supervise):
    begun, release = threading.Event(), threading.Event()

    def block():
        begun.set()
        release.wait(20)

    async with supervise(make_app()) as app:
        session = await app.new_session()
        session.context.document.add_next_tick_callback(block, thread=True)
        await trio.to_thread.run_sync(begun.wait)
        shown = app.actor.find(session.id).shown_id
        with pytest.raises(
            Left, match=rf"tasks: application shop → session {shown} → thread .*block.*, at line \d+ of"
        ):
            await app.check("tasks")
        release.set()


async def test_a_thread_that_another_one_started_is_told_by_whom_that_works_for(supervise):
    release = threading.Event()

    def load(app_context):
        threading.Thread(target=release.wait, args=(20,), name="feed", daemon=True).start()

    with pytest.raises(Left, match=r"tasks: application shop → thread .*load.* → thread feed.* \(started at line"):
        async with supervise(make_app(on_application_load=in_thread(load))):
            pass
    release.set()


def test_a_thread_may_open_sockets_while_one_is_looked_for():
    origins, is_over = Origins(), threading.Event()

    class Thing:
        """As good as a socket, and cheaper."""

    def make():
        while not is_over.is_set():
            kept = [Thing() for _ in range(50)]
            for thing in kept:
                origins._born[thing] = Origin("", "")

    maker = threading.Thread(target=make)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        maker.start()
        for _ in range(10_000):
            assert origins.opener_of(-2) is None
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        maker.join()


async def test_a_task_that_a_thread_of_the_app_started_is_left(supervise):
    """No task of the server's starts it: the thread's context tells whose it is."""
    token = trio.lowlevel.current_trio_token()

    async with trio.open_nursery() as outside:

        def in_thread():
            trio.from_thread.run_sync(outside.start_soon, sleep_long, trio_token=token)

        with pytest.raises(Left, match=r"tasks: .*task sleep_long, at line"):
            async with supervise(make_app()) as app:
                await do(app, lambda doc: trio.to_thread.run_sync(in_thread))
        outside.cancel_scope.cancel()


async def test_two_blocks_at_once_tell_each_of_its_own(supervise):
    async with supervise(make_app()) as one:
        with pytest.raises(Left, match="task sleep_long"):
            async with supervise(make_app()) as other:
                await do(other, add_system_task)
        await one.check("tasks")

"""For each check an app that leaks so, and what is told; and what isn't told."""

import gc
import os
import re
import socket
import threading

import pytest
import trio

from supervisor.actor.in_thread import in_thread
from supervisor.client import connect
from supervisor.testing import Left
from supervisor.testing.checks import CHECKS, Checks
from supervisor.testing.incidents import Incidents

from .shop import Do, add_system_task, do, line_of, make_app


async def test_an_app_that_leaves_nothing_passes_all_checks(supervise):
    async with supervise(make_app()) as app:
        client = await (await do(app, lambda doc: doc.data.update(n=1))).connect()
        await app.check(*CHECKS)
        await app.check()
        assert client.data == {"n": 1}


async def test_a_socket_that_stays_open_is_told_by_its_parents_and_its_address(supervise):
    opened = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Left) as raised:
            async with supervise(make_app()) as app:
                session = await do(app, lambda doc: opened.append(socket.create_connection(("127.0.0.1", port))))
                shown = app.actor.find(session.id).shown_id
                with pytest.raises(Left, match="sockets: "):
                    await app.check("sockets")
        ours = opened[0].getsockname()[1]
        line = str(raised.value).splitlines()[1]
        assert line.startswith(
            f"  sockets: application shop → session {shown} → handler on_do → socket 127.0.0.1:{ours} → "
            f"127.0.0.1:{port}, descriptor {opened[0].fileno()} is open (opened at line "
        )
        assert line.endswith("tests/testing/test_checks.py)")
        opened[0].close()
        async with supervise(make_app()) as app:
            await do(app, lambda doc: socket.create_connection(("127.0.0.1", port)).close())


async def forgotten():
    pass


async def test_a_coroutine_that_nobody_awaited_is_told_by_who_dropped_it(supervise):
    with pytest.raises(BaseExceptionGroup) as raised:
        async with supervise(make_app()) as app:
            session = await app.new_session()
            session.context.tell_nowait(Do(lambda doc: forgotten() and None))
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Left, match=r"coroutines: application shop → session .* never awaited.*forgotten"):
                await app.check("coroutines")
            await app.check("errors")
    assert "forgotten" in str(raised.value.exceptions[0])
    async with supervise(make_app(), unchecked={"coroutines": "it is what this tests"}) as app:
        session = await app.new_session()
        session.context.tell_nowait(Do(lambda doc: forgotten() and None))
        await trio.testing.wait_all_tasks_blocked()


async def test_a_coroutine_in_a_circle_that_was_just_made_is_found_at_the_end(supervise):
    def make(doc):
        circle = [forgotten()]
        circle.append(circle)

    gc.disable()
    try:
        with pytest.raises(BaseExceptionGroup, match="the app failed"):
            async with supervise(make_app()) as app:
                await do(app, make)
    finally:
        gc.enable()


async def fail(doc):
    raise KeyError("ACME")


async def test_a_failure_that_a_hook_of_the_app_heard_of_is_no_error(supervise):
    heard = []
    app_with_hook = make_app(on_session_failed=lambda session_context, error: heard.append(error))
    async with supervise(app_with_hook) as app:
        session = await app.new_session()
        session.context.tell_nowait(Do(fail))
        await trio.testing.wait_all_tasks_blocked()
        await app.check("errors")
        assert len(app.incidents) == len(heard) == 1


async def test_a_failure_that_no_hook_heard_of_is_an_error(supervise):
    def deaf(session_context, error):
        raise RuntimeError("deaf")

    for hooks, expected in (({}, [KeyError]), ({"on_session_failed": deaf}, [KeyError, RuntimeError])):
        with pytest.raises(BaseExceptionGroup) as raised:
            async with supervise(make_app(**hooks)) as app:
                session = await app.new_session()
                session.context.tell_nowait(Do(fail))
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(Left, match=r"errors: application shop → session .* KeyError: 'ACME'"):
                    await app.check("errors")
                await app.check("coroutines")
        assert [type(error) for error in raised.value.exceptions] == expected


async def test_a_producers_failure_that_the_apps_hook_heard_of_is_no_error(supervise):
    async def produce():
        raise KeyError("feed")

    def on_application_load(app_context):
        app_context.add_callback(produce, restart="temporary")

    hooks = {
        "on_application_load": on_application_load,
        "on_callback_failed": lambda app_context, callback, error: None,
    }
    async with supervise(make_app(**hooks)) as app:
        await trio.sleep(1)
        assert len(app.incidents) == 1


async def test_a_connection_that_no_client_of_the_test_has_is_told_while_it_is_there(supervise):
    async with supervise(make_app()) as app:
        own = connect("http://localhost/shop", open_stream=lambda host, port: app.transport.connect())
        await (await app.new_session()).connect()
        await app.check("connections")
        async with own:
            with pytest.raises(
                Left, match=r"connections: application shop → session [\w-]+ → connection [\w-]{8}, which no client has"
            ):
                await app.check("connections")
        await app.check("connections")


async def test_a_connection_that_outlives_its_server_is_told(supervise):
    """No app can make one, so the server's own count is made wrong by hand."""
    with pytest.raises(Left, match="connections: the server has 1 that have not ended"):
        async with supervise(make_app()) as app:
            app.server.occupancy.enter()


async def test_a_session_whose_end_hangs_is_told(supervise):
    go_on = trio.Event()

    async def on_session_destroyed(session_context):
        await go_on.wait()

    async with supervise(make_app(on_session_destroyed=on_session_destroyed)) as app:
        session = await app.new_session()
        session.context.destroy()
        with pytest.raises(Left, match=r"actors: application shop → session [\w-]+ has not ended"):
            await app.check("actors")
        go_on.set()
        await trio.testing.wait_all_tasks_blocked()
        await app.check("actors")


async def test_all_that_is_left_is_told(supervise):
    sockets = socket.socketpair
    opened = []

    def leak(doc):
        add_system_task(doc)
        opened.extend(sockets())

    with pytest.raises(Left) as raised:
        async with supervise(make_app()) as app:
            await do(app, leak)
            with pytest.raises(Left, match=r"tasks: .*\n  sockets: "):
                await app.check()
    assert str(raised.value).splitlines()[0].endswith('supervise(…, unchecked={"tasks": "why"})')
    assert [line.split(":")[0].strip() for line in str(raised.value).splitlines()[1:]] == [
        "tasks",
        "sockets",
        "sockets",
    ]
    for each in opened:
        each.close()


async def test_a_socket_of_a_thread_is_told_by_whose_it_is(supervise):
    opened = []

    def on_session_created(session_context):
        opened.append(socket.socket())

    with pytest.raises(Left) as raised:
        async with supervise(make_app(on_session_created=in_thread(on_session_created))) as app:
            await app.new_session()
    line = str(raised.value).splitlines()[1]
    assert re.search(r"sockets: application shop → .*thread .*on_session_created.* → socket 0.0.0.0:0, descr", line), (
        line
    )
    opened[0].close()


async def test_a_socket_whose_opener_is_not_known_is_told_by_its_address(supervise):
    """As one that a library in C has opened, or that has lost its object."""
    opened = []
    with pytest.raises(Left, match=r"sockets: socket 0\.0\.0\.0:0, descriptor \d+ is open\n"):
        async with supervise(make_app()) as app:
            await do(app, lambda doc: opened.append(socket.socket().detach()))
    os.close(opened[0])


async def test_failures_and_what_is_left_are_told_together(supervise):
    with pytest.raises(BaseExceptionGroup) as raised:
        async with supervise(make_app()) as app:
            session = await do(app, add_system_task)
            session.context.tell_nowait(Do(fail))
            await trio.testing.wait_all_tasks_blocked()
    assert [type(error) for error in raised.value.exceptions] == [KeyError, Left]


async def test_a_tests_own_failure_comes_first(supervise):
    with pytest.raises(ZeroDivisionError) as raised:
        async with supervise(make_app()) as app:
            await do(app, add_system_task)
            raise ZeroDivisionError
    (note,) = [each for each in raised.value.__notes__ if "left something" in each]
    assert note.startswith("Beside that, the app has left something behind")
    assert "task sleep_long" in note


async def test_a_check_can_be_switched_off_with_a_reason(supervise):
    async with supervise(make_app(), unchecked={"tasks": "a system task is what this tests"}) as app:
        await do(app, add_system_task)
        await app.check()
        with pytest.raises(Left, match="task sleep_long"):
            await app.check("tasks")


@pytest.mark.parametrize(
    ("unchecked", "text"),
    [
        ({"socket": "x"}, "there is no check 'socket'; the checks are tasks, actors, connections, sockets, "),
        ({"sockets": " "}, "the check 'sockets' is switched off without a reason; say in a sentence why it must be"),
        ({"sockets": None}, "the check 'sockets' is switched off without a reason"),
    ],
)
async def test_what_cannot_be_switched_off_is_told(supervise, unchecked, text):
    with pytest.raises(ValueError, match=text):
        async with supervise(make_app(), unchecked=unchecked):
            pytest.fail("it must not begin")


@pytest.mark.parametrize("unchecked", [["sockets"], "sockets"])
async def test_checks_without_reasons_are_not_switched_off(supervise, unchecked):
    with pytest.raises(
        TypeError, match=r"^unchecked gives each check its reason, as in {\"sockets\": \"why\"}, not .*s"
    ):
        async with supervise(make_app(), unchecked=unchecked):
            pytest.fail("it must not begin")


async def test_an_unknown_check_cannot_be_asked_for(supervise):
    async with supervise(make_app()) as app:
        with pytest.raises(ValueError, match="there is no check 'task'; the checks are tasks, actors"):
            await app.check("task")


async def shield(doc):
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


@pytest.mark.virtual_time("a minute passes after the server's last deadline")
async def test_what_shields_itself_from_the_end_is_told_and_the_test_ends(supervise):
    with pytest.raises(Left) as raised:
        async with supervise(make_app()) as app:
            session = await app.new_session()
            await session.connect()
            session.context.tell_nowait(Do(shield))
            shown = app.actor.find(session.id).shown_id
    actors, tasks = str(raised.value).splitlines()[1:]
    assert f"actors: application shop → session {shown} has not ended 60 s after the server's time was over" in actors
    assert f"tasks: application shop → session {shown} → handler shield, at line {line_of(shield) + 1} of " in tasks
    assert tasks.endswith("shields itself from the end of its server")


@pytest.mark.virtual_time("a minute passes after the server's last deadline")
async def test_of_what_shields_itself_nothing_is_told_that_is_switched_off(supervise):
    unchecked = {"actors": "a session hangs", "tasks": "a task shields itself"}
    async with supervise(make_app(), unchecked=unchecked) as app:
        session = await app.new_session()
        session.context.tell_nowait(Do(shield))


async def test_a_task_that_is_left_behind_a_shield_is_told_once(supervise):
    """Its server ended in time, so its shield hid nothing from that."""
    release = trio.Event()

    async def behind_a_shield():
        with trio.CancelScope(shield=True):
            await release.wait()

    with pytest.raises(Left) as raised:
        async with supervise(make_app()) as app:
            await do(app, lambda doc: trio.lowlevel.spawn_system_task(behind_a_shield))
    release.set()
    (line,) = str(raised.value).splitlines()[1:]
    assert "task behind_a_shield" in line
    assert "shields itself" not in line


async def test_it_leaves_nothing_behind_in_trio():
    checks = Checks(None, Incidents())
    with checks.watching():
        pass
    with pytest.raises(KeyError):
        trio.lowlevel.remove_instrument(checks._origins)


@pytest.mark.virtual_time("a minute passes after the server's last deadline")
async def test_what_shields_itself_from_a_restart_is_told_and_the_restart_comes(supervise):
    with pytest.raises(Left, match=r"tasks: .* → handler shield, at line \d+ of .*, shields itself from the end"):
        async with supervise(make_app()) as app:
            session = await app.new_session()
            session.context.tell_nowait(Do(shield))
            await trio.testing.wait_all_tasks_blocked()
            await app.restart()
            assert (await app.get("/shop")).status == 200


async def test_a_thread_that_is_about_to_end_is_waited_for(supervise):
    """It takes real time to end, which virtual time doesn't give it."""
    waited = []

    class Ending(threading.Thread):
        def __init__(self):
            super().__init__(daemon=True)
            self.release = threading.Event()

        def run(self):
            self.release.wait(20)

        def join(self, timeout=None):
            waited.append(timeout)
            self.release.set()
            super().join(timeout)

    async with supervise(make_app()) as app:
        await do(app, lambda doc: Ending().start())
    assert all(0 < each < 1 for each in waited)
    assert waited

"""What holds a shutdown up."""

import signal
import subprocess
import sys

import pytest
import trio

from supervisor.cli import serve
from supervisor.client import connect

from .apps import assert_structured

IMPATIENT = "from supervisor.cli import exit_watchdog, main; exit_watchdog.LAST_GRACE = 0.5; main.main()"
"""The program with an exit watchdog that waits for half a second in place of ten."""
HELD = """
    import time

    import attrs
    import trio

    from supervisor import receives


    @attrs.frozen
    class Hold:
        how: str


    @receives(Hold, from_client=True)
    async def on_hold(doc, message):
        print("held", flush=True)
        if message.how == "loop":
            spin()
        elif message.how == "library":
            time.sleep(100)
        elif message.how == "thread":
            await trio.to_thread.run_sync(block)
        else:
            await shield()


    def spin():
        while True:
            pass


    def block():
        time.sleep(100)


    async def shield():
        with trio.CancelScope(shield=True):
            await trio.sleep(100)


    def on_session_destroyed(session_context):
        print("destroyed hook", flush=True)


    def modify_document(doc): ...
"""


@pytest.mark.parametrize(
    ("how", "function", "who"),
    [
        ("loop", "spin", "thread MainThread"),
        ("library", "on_hold", "thread MainThread"),
        ("thread", "block", "thread "),
        ("shield", "shield", "task "),
    ],
)
async def test_what_holds_a_shutdown_up_is_named_and_the_process_ends(start, app, tmp_path, how, function, who):
    app(HELD)
    server = start(
        *("serve", "app.py", "--port", 0, "--shutdown-timeout", 0.5, "--log-level", "error"),
        cwd=tmp_path,
        command=(sys.executable, "-c", IMPATIENT),
    )
    (url,) = await trio.to_thread.run_sync(server.until_served)
    async with connect(url) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.send, "Hold", {"how": how})
        await trio.to_thread.run_sync(server.until_printed, "held\n")
        began = trio.current_time()
        assert await trio.to_thread.run_sync(server.stop) == 1
        assert trio.current_time() - began < 10
        nursery.cancel_scope.cancel()
    assert "destroyed hook" not in server.stdout
    first = next(line for line in server.stderr.splitlines() if "shutdown held up" in line)
    assert f"who='{who}" in first
    assert f"where='{function}, line " in first.replace("on_hold.<locals>.", "")
    assert f"in {function}" in server.stderr
    assert_structured(server.stderr)


def test_a_shutdown_that_is_held_up_by_what_cannot_be_read_is_told_too():
    told = []

    class Log:
        def critical(self, event, **fields):
            told.append((event, fields["where"]))

    serve._tell_holders(Log(), [])
    assert told == [("shutdown held up", "unknown: its code can't be read")]


def test_a_log_that_nobody_reads_any_more_does_not_keep_the_process(app, tmp_path):
    """1. The log is full, and its reader stands still; 2. the loop waits in a line of it; 3. so would the watchdog."""
    app("""
        import contextlib
        import logging
        import os
        import sys
        import trio

        async def talk():
            await trio.to_thread.run_sync(sys.stdin.readline)
            os.set_blocking(2, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(2, b"x")
            os.set_blocking(2, True)
            print("full", flush=True)
            logging.error("nobody reads this")

        def on_application_load(app_context):
            app_context.add_callback(talk)

        def modify_document(doc): ...
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "serve", "app.py", "--port", "0", "--shutdown-timeout", "0.5"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process, process.stdout, process.stderr:
        try:
            assert process.stdout.readline()
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"full\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 1
        finally:
            process.kill()


def test_a_shutdown_that_the_last_failed_application_begins_is_watched_too(start, app, tmp_path):
    app("""
        import time

        async def fail():
            raise ValueError("mine")

        def on_application_load(app_context):
            app_context.add_callback(fail, restart="temporary", escalate=True)

        def on_application_unload(app_context):
            time.sleep(100)

        def modify_document(doc): ...
    """)
    arguments = ("serve", "app.py", "--port", 0, "--shutdown-timeout", 0.5)
    server = start(*arguments, cwd=tmp_path, command=(sys.executable, "-c", IMPATIENT))
    assert server.end() == 1
    assert "shutdown held up" in server.stderr
    assert "on_application_unload" in server.stderr


def test_a_producer_that_is_left_behind_by_a_failed_application_does_not_make_its_end_a_good_one(start, app, tmp_path):
    app("""
        import time
        import trio

        async def hang():
            await trio.to_thread.run_sync(time.sleep, 100)

        async def fail():
            await trio.sleep(0.2)
            raise ValueError("mine")

        def on_application_load(app_context):
            app_context.add_callback(hang)
            app_context.add_callback(fail, restart="temporary", escalate=True)

        def modify_document(doc): ...
    """)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 5, cwd=tmp_path)
    assert server.end() == 1
    assert "producer left behind" in server.stderr

"""How it ends: signals, hooks that fail or hang, threads and producers that are left."""

import signal
import time

import pytest
import trio

from supervisor.cli import serve
from supervisor.server_options import ServerOptions

from .apps import COUNTER, assert_structured

HANGING = """
    import signal
    import trio

    async def on_application_load(app_context):
        app_context.add_callback(hang)

    async def hang():
        try:
            await trio.sleep_forever()
        finally:
            print("the producer was cancelled", flush=True)

    async def on_session_destroyed(session_context):
        print("destroyed hook", flush=True)
        await trio.sleep_forever()

    async def on_application_unload(app_context):
        print("unload hook", flush=True)
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()

    def modify_document(doc): ...
"""
FAILING = """
    def on_session_destroyed(session_context):
        print("destroyed hook", flush=True)
        raise RuntimeError("destroyed")

    def on_application_unload(app_context):
        print("unload hook", flush=True)
        raise SystemExit(5)

    def modify_document(doc): ...
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(start, folder, fetch, number):
    server = start("serve", "counter.py", "--port", 0, cwd=folder)
    (url,) = server.until_served()
    assert fetch(url).status == 200
    assert server.stop(number) == 0
    assert f"signal={number.name}" in server.stderr
    assert "application unloaded" in server.stderr
    assert_structured(server.stderr)


def test_failing_hooks_leave_the_exit_code_alone(start, app, tmp_path, fetch):
    app(FAILING)
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    (url,) = server.until_served()
    assert fetch(url).status == 200
    assert server.stop() == 0
    assert server.stdout.endswith("destroyed hook\nunload hook\n")
    assert "RuntimeError: destroyed" in server.stderr
    assert "SystemExit: 5" in server.stderr
    assert_structured(server.stderr)


def test_hanging_hooks_are_cut_off_and_a_second_signal_leaves_them_no_more_time(start, app, tmp_path, fetch):
    app(HANGING)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 2.2, cwd=tmp_path)
    (url,) = server.until_served()
    assert fetch(url).status == 200
    began = time.monotonic()
    assert server.stop() == 0  # the second signal comes from its own unload hook
    assert time.monotonic() - began < ServerOptions().shutdown_timeout
    assert server.stdout.endswith("the producer was cancelled\ndestroyed hook\nunload hook\n")
    assert server.stderr.count("TooSlowError") >= 2
    assert server.stderr.count("stopping") == 2


def test_signals_end_it_well_whenever_they_come(start, folder):
    """Some of them come when the server is over and the process isn't."""
    server = start("serve", "counter.py", "--port", 0, cwd=folder)
    server.until_served()
    assert server.end_under(signal.SIGTERM) == 0


def test_a_signal_while_apps_load_ends_it_well(start, write_files, tmp_path):
    """The load hook is cancelled; what had loaded before is unloaded; nothing was served."""
    write_files(
        tmp_path,
        {
            "first.py": """
                def on_application_load(app_context): ...

                def on_application_unload(app_context):
                    print("first unloaded", flush=True)
            """,
            "second.py": """
                import trio

                async def on_application_load(app_context):
                    print("loading", flush=True)
                    await trio.sleep_forever()
            """,
        },
    )
    server = start("serve", "first.py", "second.py", "--port", 0, cwd=tmp_path)
    server.until_printed("loading\n")
    assert server.stop() == 0
    assert server.stdout == "loading\nfirst unloaded\n"
    assert_structured(server.stderr)


def test_a_signal_before_the_server_listens_to_signals_is_not_lost(app, cli, monkeypatch):
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    run = trio.run

    def signal_first(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return run(*arguments)

    monkeypatch.setattr(serve.trio, "run", signal_first)
    try:
        result = cli("serve", app(COUNTER), "--port", 0)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    assert (result.code, result.stdout) == (0, "")


def test_signal_handlers_are_put_back_after_an_error(cli, app):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    failing = app("def on_application_load(app_context): 1 / 0")
    assert cli("serve", failing, "--port", 0).code == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


BLOCKED = """
import time
import trio

async def produce(app_context):
    await trio.to_thread.run_sync(time.sleep, 60)

def on_application_load(app_context):
    app_context.add_callback(produce, app_context)

def on_application_unload(app_context):
    print("unload hook", flush=True)

def modify_document(doc):
    pass
"""


def test_a_blocked_thread_of_an_app_does_not_outlast_the_shutdown(start, app, tmp_path):
    app(BLOCKED)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 1, cwd=tmp_path)
    server.until_served()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < ServerOptions().shutdown_timeout
    assert server.stdout.endswith("unload hook\n")
    left = [line for line in server.stderr.splitlines() if "producer left behind" in line]
    assert any("where='produce, line " in line for line in left), server.stderr


def test_a_blocked_thread_is_left_behind_as_soon_as_hooks_are_over(start, app, tmp_path):
    """The shutdown has 60 s left; nobody waits for them."""
    app(BLOCKED)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 60, cwd=tmp_path)
    server.until_served()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 30
    assert server.stdout.endswith("unload hook\n")


UNWINDING = """
import trio

async def produce(app_context):
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(4)
            print("unwound", flush=True)

def on_application_load(app_context):
    app_context.add_callback(produce, app_context)

def modify_document(doc): ...
"""


def test_a_producer_that_unwinds_has_the_time_of_the_shutdown(start, app, tmp_path):
    app(UNWINDING)
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    server.until_served()
    assert server.stop() == 0
    assert server.stdout.endswith("unwound\n")
    assert "left behind" not in server.stderr

"""The watch for code that blocks the loop."""

import logging
import threading
from types import SimpleNamespace

import trio
import trio.lowlevel

from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing.app import RunningApp
from supervisor.testing.kit import Kit
from supervisor.testing.memory import MemoryListener

from .running import Log, app_of


class Block:
    pass


class Blocked(Log):
    """What was told of blocked code."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.first = threading.Event()

    def loop_blocked(self, **told):
        self.told.append(told)
        self.first.set()


async def test_a_handler_that_blocks_the_loop_is_named_while_it_does(nursery):
    log = Blocked()

    @receives(Block)
    def on_block(doc, message):
        assert log.first.wait(60)

    listener = MemoryListener()
    options = ServerOptions(stall_limit=0.05)
    async with Server([app_of(on_block=on_block)], options=options, listeners=[listener], instruments=log) as server:
        session = await RunningApp(
            SimpleNamespace(server=server, actor=server.applications["app"], transport=listener), nursery, Kit(seen=log)
        ).new_session()
        log.told.clear()
        await session.context.ask(Block())
        await trio.lowlevel.checkpoint()
        first, last = [each for each in log.told if each["what"] == "message Block"]
        assert (first["application"], first["session"]) == ("app", session.id[:8])
        assert "on_block, line " in first["where"]
        assert (first["over"], last["over"]) == (False, True)
        assert server.statistics().blocked >= 1
        assert server.statistics().longest >= last["seconds"]
    assert "supervisor watchdog" not in {thread.name for thread in threading.enumerate()}


async def test_a_server_without_a_limit_watches_nothing():
    async with Server([app_of()], options=ServerOptions(stall_limit=0), listeners=[MemoryListener()]) as server:
        assert "supervisor watchdog" not in {thread.name for thread in threading.enumerate()}
        assert server.statistics().blocked == 0


async def test_the_kit_for_tests_watches_nothing(supervise):
    async with supervise(app_of(), options=ServerOptions(stall_limit=1, prefix="/x")) as app:
        assert (app.server.options.stall_limit, app.server.options.prefix) == (0, "/x")


def test_blocked_code_is_logged_by_a_server_without_instruments(caplog):
    server = Server([app_of()])
    told = {"application": "app", "session": "abc", "what": "message Block", "where": "f, line 3 of x.py"}
    with caplog.at_level(logging.WARNING, logger="supervisor"):
        server.runtime.instruments.loop_blocked(**told, seconds=0.1, stack="  File x\n", over=False)
        server.runtime.instruments.loop_blocked(**told, seconds=1.25, stack="  File x\n", over=True)
    assert caplog.messages == [
        "the loop is blocked: message Block, in f, line 3 of x.py (application app, session abc): nobody else is served"
        " meanwhile; thread=True or @in_thread lets it run in a worker thread\n  File x",
        "the loop turns again: message Block held it for 1.250 s (application app, session abc)",
    ]

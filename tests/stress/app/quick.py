"""Serve apps with short deadlines of the wire: `python quick.py APP… --port PORT`; what the command line can't set."""

import argparse
import signal

import trio

from supervisor import ApplicationOptions, Server, ServerOptions, WebSocketOptions
from supervisor.cli.logs import LogInstruments, adopt_logging, make_logger

OPTIONS = ServerOptions(
    application=ApplicationOptions(linger=3, hook_timeout=0.5, first_attach=1),
    websocket=WebSocketOptions(
        ping_interval=0.7, first_frame_timeout=0.7, close_timeout=0.5, max_backlog=200_000, slow_timeout=2.0
    ),
    session_ids="any",
    token_max_age=1.0,
    shutdown_timeout=8,
    # A busy machine stops any program for a tenth of a second.
    stall_limit=5.0,
)


async def serve(apps, port, log):
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with Server(apps, options=OPTIONS, port=port, instruments=LogInstruments(log)) as server:
            for url in server.urls.values():
                print(f"quick server at {url} ", flush=True)
            async for _ in signals:
                break


parser = argparse.ArgumentParser()
parser.add_argument("apps", nargs="+")
parser.add_argument("--port", type=int, default=0)
arguments = parser.parse_args()
logger = make_logger("info", as_json=True)
with adopt_logging(logger, "info"):
    trio.run(serve, arguments.apps, arguments.port, logger)

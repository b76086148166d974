"""`python -m supervisor serve APP…`: serve apps on one port until told to stop."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import signal
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import click
import trio

from supervisor.actor.guard import unwrap
from supervisor.application.deadline import HOOKS_ONLY
from supervisor.cli.collector import tune_collector
from supervisor.cli.exit_watchdog import ExitWatchdog, Holder
from supervisor.cli.help import Command
from supervisor.cli.logs import LogInstruments, adopt_logging, make_logger
from supervisor.cli.options import make_address, make_server_options, serve_options
from supervisor.cli.parameters import FilePath
from supervisor.cli.sentences import sentences
from supervisor.server import Server
from supervisor.transport.address import Address
from supervisor.transport.places import STACKS


@click.command(cls=Command)
@click.argument("apps", metavar="APP...", nargs=-1, required=True, type=FilePath())
@serve_options
def serve(apps: tuple[str, ...], log_level: str, log_json: bool, **options: Any) -> int:
    """Serve each APP at http://HOST:PORT/NAME, until SIGTERM or Ctrl-C.

    An APP is a directory with a main.py or a lifecycle.py, a file x.py, a module, or module:function. It is served
    under the name of the directory, file, module or function; a single APP is also found at /.

    \b
    Examples:
      python -m supervisor serve demos/hostwatch
      python -m supervisor serve chat.py stocks --port 8080
      python -m supervisor serve chat.py --host 0.0.0.0 --allow-origin chat.example.org
      python -m supervisor serve chat.py --ssl-certfile cert.pem --ssl-keyfile key.pem
      python -m supervisor serve chat.py --unix-socket chat.socket --trusted-proxy unix

    The server prints addresses to stdout, one line for each APP, once it accepts connections. It logs to stderr.
    If one of several APPs can't be loaded, or fails, its page and the log say so, and the others go on.

    \b
    Exit codes:
      0  SIGTERM or Ctrl-C ended it, even if a hook failed or hung meanwhile
      1  no APP can be served, or all have failed; the port is taken; a key file is unsafe;
         an APP held up the shutdown
      2  wrong usage: an unknown option or an invalid value
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    log = make_logger(log_level, as_json=log_json)
    with adopt_logging(log, log_level):
        try:
            return _serve_apps(apps, options, log)
        except Exception as error:
            if not log_json or isinstance(error, click.ClickException):
                raise
            told = sentences(error)
            for sentence in told:
                log.error(sentence)  # noqa: TRY400 (its traceback helps nobody)
            if not told:
                log.critical("the server failed, by a mistake of its own", exc_info=error)
            return 1


def _serve_apps(apps: Sequence[str], options: dict[str, Any], log: Any) -> int:
    server_options = make_server_options(**options)
    address = make_address(**options)
    server = Server(apps, options=server_options, instruments=LogInstruments(log))
    for name, application in server.applications.items():
        for warning in application.definition.warnings:
            log.warning(warning, application=name)
    with _signals_noted() as early:
        try:
            trio.run(_serve, server, address, log, early, options["show"])
        except BaseExceptionGroup as group:
            raise unwrap(group) from None
    return 0


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Around `trio.run`, which listens to signals only while it runs: lose none that comes a moment before or after.

    Those that came before are in the list. After a good end all is done, so a signal only ends the process sooner, with
    exit code 0: to ask for the end twice has the same outcome as to ask once.
    """
    noted: list[int] = []
    previous = {number: signal.signal(number, lambda number, _: noted.append(number)) for number in _SIGNALS}
    try:
        yield noted
    except BaseException:
        for number, handler in previous.items():
            signal.signal(number, handler)
        raise
    for number in _SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))
    atexit.register(_ignore_signals)  # Python takes its handlers away, at the very last


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def _serve(server: Server, address: Address, log: Any, early: Sequence[int], show: bool) -> None:
    timeouts = (server.options.shutdown_timeout, min(server.options.shutdown_timeout, HOOKS_ONLY))
    watchdog = ExitWatchdog(timeouts, stacks=STACKS, give_up=functools.partial(_give_up, log))
    with trio.open_signal_receiver(*_SIGNALS) as signals, watchdog.watching():
        if early:
            return
        listeners = await address.listen()
        if server.options.keys is None:
            log.info("no --secret-key-file: a random key signs the tokens of this run")
        loading = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, server, timeouts, loading, signals, log)
            nursery.start_soon(_tell_watchdog, server, watchdog)
            nursery.start_soon(_leave_in_time, server, watchdog, log)
            with loading:
                await nursery.start(server.serve, listeners)
            if not loading.cancelled_caught:
                tune_collector()
                # A Unix socket has no URL; this is how nginx's proxy_pass writes one.
                scheme = "http" if address.ssl_context is None else "https"
                base = address.url(listeners) or f"{scheme}://unix:{address.unix_socket}:"
                served = [name for name in server.applications if name not in server.failures]
                for name in served:
                    click.echo(f"{name} is served at {base}{server.options.prefix}/{name} ")
                if show:
                    names = list(server.applications)
                    page = names[0] if len(names) == 1 else ""
                    nursery.start_soon(_show, f"{base}{server.options.prefix}/{page}", log)
                await server.wait_stopped()
            nursery.cancel_scope.cancel()


async def _show(url: str, log: Any) -> None:
    """Open a browser: in a thread, since some commands of $BROWSER return only when it is closed."""
    try:
        reason = "" if await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True) else "there is none"
    except Exception as error:  # of a $BROWSER that can't be read, which that module doesn't check; the server goes on
        reason = f"BROWSER={os.environ.get('BROWSER')!r}: {error}"
    if reason:
        log.warning("no browser could be opened", url=url, reason=reason)


async def _stop_on_signal(
    server: Server, timeouts: Sequence[float], loading: trio.CancelScope, signals: Any, log: Any
) -> None:
    """Shut down at the first signal; while apps are still loading, there is nothing to wait for.

    The second signal leaves time for hooks only. The third leaves none: hooks are cancelled at their next wait.
    """
    left = itertools.chain(timeouts, itertools.repeat(0.0))
    async for number in signals:
        timeout = next(left)
        log.info("stopping", signal=signal.Signals(number).name, timeout=timeout)
        loading.cancel()
        server.stop(timeout=timeout)


async def _tell_watchdog(server: Server, watchdog: ExitWatchdog) -> None:
    """Have the watchdog watch a shutdown that no signal began, because the last application has failed."""
    await server.wait_stopping()
    watchdog.stopping()


LAST_WORDS = 2.0
"""Seconds that the exit watchdog has to log what it found: perhaps it is the log, read by nobody, that held all up."""
THREAD_GRACE = 1.0
"""Seconds after the last hook in which blocked threads may still come back."""


async def _leave_in_time(server: Server, watchdog: ExitWatchdog, log: Any) -> None:
    """End the process once all is done and only a producer of an app goes on: a thread can't be cancelled.

    That is a good end, unless the last application has failed. A producer that is still unwinding, and waits for no
    thread, has the whole of the shutdown's time.
    """
    await server.wait_left()
    await trio.sleep(THREAD_GRACE)
    if not watchdog.only_threads_go_on():
        await trio.sleep_until(server.ends_at + THREAD_GRACE)
    code = 1 if len(server.failures) == len(server.applications) else 0
    for holder in watchdog.holders():
        log.error("producer left behind", exit_code=code, who=holder.who, where=holder.where)
    os._exit(code)


def _give_up(log: Any, holders: Sequence[Holder]) -> None:
    """The exit watchdog's last act, in its own thread. A log that takes no more doesn't keep the process alive."""
    telling = threading.Thread(target=_tell_holders, args=(log, holders), name="supervisor last words", daemon=True)
    telling.start()
    telling.join(LAST_WORDS)
    os._exit(1)


def _tell_holders(log: Any, holders: Sequence[Holder]) -> None:
    if not holders:
        log.critical("shutdown held up", who="-", where="unknown: its code can't be read")
    for holder in holders:
        told = attrs.asdict(holder)
        log.critical("shutdown held up", **{**told, "stack": holder.stack.rstrip()})

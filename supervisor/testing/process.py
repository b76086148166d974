"""An app served by a process of its own, as in production: real sockets, real signals, the real clock."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, final

import trio
import trio.testing

from supervisor.actor.guard import unwrap
from supervisor.errors import ApplicationError
from supervisor.testing.block import opens_block
from supervisor.testing.client import Client
from supervisor.testing.http import Answer, get, open_http
from supervisor.testing.ports import LOOPBACK, HeldPort
from supervisor.testing.servers import raise_if_over
from supervisor.testing.session import Access, TestSession, open_session

if TYPE_CHECKING:
    import httpx

START = 60.0
"""Seconds that a start may take: apps may load much, on a slow machine."""
STOP = 30.0
"""Seconds that an end by SIGTERM may take; more than the server's default `--shutdown-timeout`."""
MAX_LOG = 1024 * 1024
"""Bytes of the log that are kept, counted from its end."""
_TAIL = 4_000
"""Characters of the log that an error shows."""

_SERVED = re.compile(rb"^\S+ is served at http://[^/]+(/\S+) *\r?$", re.MULTILINE)
_ELSEWHERE = ("--ssl-certfile", "--unix-socket", "--host", "--port")


@final
class ProcessApp:
    """One app in a process of its own. `supervise_process()` starts it, and always ends it.

    Unlike `RunningApp`, it can't see inside the server, which is in another process.
    """

    def __init__(self, command: list[str], port: int, environment: Mapping[str, str], readers: trio.Nursery) -> None:
        self._command = [*command, "--port", str(port)]
        self._environment = environment
        # Where those live who read the log.
        self._readers = readers
        self.clients: trio.Nursery | None = None
        """Where clients live: ours to set, before the first start."""
        self._process: trio.Process | None = None
        self._log = bytearray()
        # Where in the log this process begins; less than 0 if that is cut off.
        self._began = 0
        self._logged = trio.Event()
        self._log_ended = trio.Event()
        # Whether somebody has told the process to end: else its end is a failure.
        self._is_told = False
        self.port = port
        """Its port, the same after a restart; on Linux nobody else can get it meanwhile."""
        self._path = ""

    @property
    def url(self) -> str:
        """Where the app is served."""
        return f"http://{LOOPBACK}:{self.port}{self._path}"

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, as `subprocess` has it: -9 after a `kill()`; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def log(self) -> str:
        """The last mebibyte that it wrote to stdout and stderr, across restarts."""
        return self._log.decode(errors="replace")

    async def until_logged(self, pattern: str, *, timeout: float = 60.0) -> re.Match[str]:
        """Wait until the regular expression matches something in the log.

        Raises:
            AssertionError: it did not within `timeout` seconds, or before the process ended; shows the log.
        """
        with trio.move_on_after(timeout):
            while True:
                logged, is_over = self._logged, self._log_ended.is_set()
                found = re.search(pattern, self.log, re.MULTILINE)
                if found is not None:
                    return found
                if is_over:
                    break
                await logged.wait()
        raise AssertionError(f"nothing in the log matches {pattern!r}; {self.shown_log()}")

    def terminate(self) -> None:
        """Tell it to shut down, by SIGTERM. Returns at once, so call `wait_ended()` next. Does nothing if it ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL, with no hook, no goodbye and no flush, as if the machine had failed. See `terminate()`."""
        self._send(signal.SIGKILL)

    async def wait_ended(self, *, timeout: float = STOP) -> int:
        """Wait for its end; returns the exit code. Safe to cancel.

        Raises:
            AssertionError: it did not end within `timeout` seconds; shows the log.
        """
        assert self._process is not None
        with trio.move_on_after(timeout):
            return await self._process.wait()
        raise AssertionError(f"the server has not ended within {timeout:g} s; {self.shown_log()}")

    async def restart(self) -> None:
        """Shut it down, unless it has ended, and start it again, on the same port and with the same keys.

        Its sessions are gone. Clients come back, each to a new session with the same id if the app lets clients choose
        ids.

        Raises:
            ApplicationError: it did not start.
            AssertionError: it did not end.
        """
        self.terminate()
        await self.wait_ended()
        await self.start()

    async def get(self, target: str, *, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """See `RunningApp.get`.

        Raises:
            OSError: the server doesn't accept connections.
        """
        self._raise_if_over()
        return await get(await self._connect(), target, headers=list((headers or {}).items()), method=method)

    def http(self, **options: Any) -> httpx.AsyncClient:
        """See `RunningApp.http`."""
        return open_http(f"{LOOPBACK}:{self.port}", self._connect, server=lambda: self._process, **options)

    async def new_session(
        self,
        *,
        id: str | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> TestSession:
        """See `RunningApp.new_session`. The session's `context` and `crash()` are out of reach."""
        self._raise_if_over()
        return await open_session(
            self._path,
            Access(open_stream=self._connect, find=_out_of_reach, begin=self._begin),
            id=id,
            headers=headers,
            cookies=cookies,
            query=query,
        )

    async def _connect(self) -> trio.abc.Stream:
        return await trio.open_tcp_stream(LOOPBACK, self.port)

    def _begin(self, client: Client, session: str) -> None:
        self._raise_if_over()
        assert self.clients is not None, "it was not started"
        self.clients.start_soon(client.run, name=f"client of session {session}")

    def _raise_if_over(self) -> None:
        if self.clients is not None:
            raise_if_over(self.clients)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._is_told = True
        self._process.send_signal(number)

    async def start(self) -> None:
        """Start it; returns when it accepts connections. See `restart()` for what is raised."""
        self._is_told = False
        self._began = len(self._log)
        self._log_ended = trio.Event()
        self._process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self._environment},
        )
        self._readers.start_soon(self._read_log, self._process, self._log_ended)
        with trio.move_on_after(START):
            while True:
                logged, is_over = self._logged, self._log_ended.is_set()
                found = _SERVED.search(self._log, max(0, self._began))
                if found is not None:
                    self._path = found.group(1).decode()
                    return
                if is_over:
                    raise ApplicationError(
                        f"the server did not start: exit code {await self._process.wait()}; {self.shown_log()}"
                    )
                await logged.wait()
        raise ApplicationError(f"the server did not start within {START:g} s; {self.shown_log()}")

    async def _read_log(self, process: trio.Process, over: trio.Event) -> None:
        assert process.stdout is not None
        async with process.stdout:
            async for chunk in process.stdout:
                self._log += chunk
                if len(self._log) > MAX_LOG:
                    self._began -= len(self._log) - MAX_LOG
                    del self._log[:-MAX_LOG]
                self._tell()
        over.set()
        self._tell()

    def _tell(self) -> None:
        self._logged.set()
        self._logged = trio.Event()

    async def end(self) -> bool:
        """End it for certain: by SIGTERM, or by SIGKILL when that takes too long, or if this is cancelled.

        Returns:
            Whether that went well: it was told to end, and if only now, its exit code is 0.
        """
        process = self._process
        if process is None:
            return True
        was_told = self._is_told
        self.terminate()
        try:
            with trio.move_on_after(STOP):
                await process.wait()
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                with trio.move_on_after(1):  # for its last words; what it has started may keep the pipe open
                    await self._log_ended.wait()
        return was_told or process.returncode == 0

    def shown_log(self) -> str:
        """The end of the log, for an error."""
        return f"the end of its log:\n{self.log[-_TAIL:]}"

    def __repr__(self) -> str:
        state = "running" if self.exit_code is None else f"ended with {self.exit_code}"
        return f"<ProcessApp {self.url} {state}>"


@opens_block
async def supervise_process(
    app: str | PathLike[str], *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[ProcessApp]:
    """Serve an app by `python -m supervisor serve` in a process of its own, inside this block.

    It listens on a free loopback port, and signs with a key of its own, which it keeps across restarts. Leaving the
    block, in whatever way, ends the process: by SIGTERM, or by SIGKILL if that takes longer than 30 seconds or the
    block was cancelled. An exception from the block gets the end of the log as a note.

    Args:
        app: a path, a module, or `module:function`, as for `serve`.
        arguments: further arguments for `serve`: `"--linger", "5"`.
        environment: environment variables for the process, in addition to those of this one.

    Raises:
        ApplicationError: it did not start; the message has the end of its log.
        AssertionError: it ended by itself, or its exit code at the end of the block was not 0.
        RuntimeError: this is not a trio run, or its clock is virtual.
        ValueError: an argument asks for another address.
    """
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError("supervise_process() needs trio: let pytest-trio run the test, or call trio.run(main)")
    if isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        raise RuntimeError(  # noqa: TRY004 (it is no argument's type)
            "a process takes real time, but this run's clock is virtual: remove autojump_clock, or use supervise()"
        )
    for argument in arguments:
        if argument.partition("=")[0] in _ELSEWHERE:
            raise ValueError(f"supervise_process() serves on a free port of 127.0.0.1, without TLS; remove {argument}")
    failure: BaseException | None = None
    with contextlib.closing(HeldPort()) as port, tempfile.TemporaryDirectory(prefix="supervisor-") as folder:
        key = Path(folder) / "key"
        key.touch(0o600)
        key.write_text(secrets.token_hex(32))
        command = [sys.executable, "-m", "supervisor", "serve", os.fspath(app), "--secret-key-file", str(key)]
        async with trio.open_nursery() as readers:
            running = ProcessApp([*command, *arguments], port.number, environment or {}, readers)
            try:
                async with trio.open_nursery() as clients:
                    running.clients = clients
                    await running.start()
                    yield running
                    clients.cancel_scope.cancel()
            except (trio.Cancelled, GeneratorExit):
                raise
            except BaseException as error:
                failure = unwrap(error)
            finally:
                ended_well = await running.end()
                readers.cancel_scope.cancel()
    if failure is not None:  # raised here and not above, where it would lose its own cause
        if not isinstance(failure, ApplicationError):
            failure.add_note(running.shown_log())
        raise failure
    if not ended_well:
        raise AssertionError(f"the server ended with exit code {running.exit_code}; {running.shown_log()}")


def _out_of_reach(id: str) -> NoReturn:
    raise RuntimeError(f"session {id} is in another process, out of reach; use supervise() to get at its context")

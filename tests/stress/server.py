"""The server under stress: a process of its own, started, watched, told to end or killed."""

from __future__ import annotations

import itertools
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import trio

from supervisor.cli.main import commands

from .log import Account, LogFile

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
APPS = (FOLDER / "app" / "work", FOLDER / "app" / "control")
START = 30.0
"""Seconds that a start may take on a busy machine."""
STOP = 25.0
"""Seconds that an end may take: more than `--shutdown-timeout`."""

_BASE = (
    *("--session-ids", "any", "--linger", "3", "--hook-timeout", "0.5", "--max-sessions", "5000"),
    *("--max-creating", "200", "--shutdown-timeout", "8", "--log-json"),
)
_ROOM = {
    "--max-sessions-per-address": "5000",
    "--max-connections-per-session": "5000",
    "--max-connections": "15000",
    "--max-message-rate": "100000",
    "--stall-limit": "5",
}
"""For limits that one busy client of this machine, or its other work, would reach; each as far as the server has it."""


def _known_options() -> set[str]:
    serve = commands.get_command(click.Context(commands), "serve")
    assert serve is not None
    return {name for parameter in serve.params for name in parameter.opts}


OPTIONS = (*_BASE, *(part for name, value in _ROOM.items() if name in _known_options() for part in (name, value)))
"""What servers are started with: short deadlines of the app's own code, so that what hangs is seen soon."""


class Server:
    """One process. `start` it; `stop` or `kill` it in the end.

    Args:
        folder: for its log.
        options: of the command `serve`.
        quick: serve with short deadlines of the wire instead, which the command line has no options for.
        port: 0 for any.
        apps: other ones than the two of the suite.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: Sequence[str] = OPTIONS,
        quick: bool = False,
        port: int = 0,
        apps: Sequence[Path] = APPS,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.port = port
        self.account = Account()
        self.printed = ""
        """What it wrote to stdout, once it has ended."""
        self._options = options
        self._program = [str(FOLDER / "app" / "quick.py")] if quick else ["-m", "supervisor", "serve"]
        self._apps = apps
        self._environment = environment or {}
        number = next(number for number in itertools.count() if not (folder / f"server-{number}.log").exists())
        self.log_path = folder / f"server-{number}.log"
        self.log_path.touch()
        self._out_path = folder / f"server-{number}.out"
        self._log: LogFile | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it; returns when it accepts connections, or has ended before (then `port` is what it was)."""
        path = os.pathsep.join([str(FOLDER / "app"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, *self._program, *map(str, self._apps), "--port", str(self.port), *self._options]
        with self.log_path.open("wb") as log, self._out_path.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: ASYNC220 (it returns at once)
                command,
                stdout=out,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self._environment},
            )
        self._log = LogFile(self.log_path)
        with trio.move_on_after(START):
            while self._process.poll() is None:
                found = re.search(r"http://[^:]+:(\d+)/\S+ *\n", self._out_path.read_text())
                if found is not None:
                    self.port = int(found.group(1))
                    return
                await trio.sleep(0.02)
            return
        self.kill()
        raise AssertionError(f"the server did not start within {START:g} s; its log is {self.log_path}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_started(self) -> bool:
        return self._log is not None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def read_log(self) -> None:
        """Take the new lines of the log into the account."""
        assert self._log is not None
        self.account.take(self._log.read())

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait_ended(self, *, wait: float = STOP) -> int:
        """Its exit code."""
        assert self._process is not None
        with trio.fail_after(wait):
            while self._process.poll() is None:
                await trio.sleep(0.02)
        self.printed = self._out_path.read_text()
        return self._process.returncode

    async def stop(self) -> int:
        """End it by SIGTERM; its exit code."""
        if self.is_running:
            self.send_signal(signal.SIGTERM)
        return await self.wait_ended()

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()

    def limit_descriptors(self, soft: int) -> tuple[int, int]:
        """Let it have so many descriptors from now on; returns what it could have before."""
        hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[1]
        return resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def count_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def processor_time(self) -> float:
        """Seconds of processor that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes of resident memory, as the system counts them."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

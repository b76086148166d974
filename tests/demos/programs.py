"""Real programs of others, each started by a test in a folder of its own, and ended with it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from ..docs.proxies import DEADLINE, find_program, wait_until


class Postgres:
    """A PostgreSQL of one's own: no port, a Unix socket, a folder that goes away. Use it as a context manager."""

    def __init__(self):
        self._initdb = find_program("initdb", also=["/usr/lib/postgresql/*/bin/initdb"])
        self._pg_ctl = find_program("pg_ctl", also=["/usr/lib/postgresql/*/bin/pg_ctl"])
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._options = {}
        if os.getuid() == 0:  # it refuses to run as root
            user = next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody") and user.pw_uid)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.dsn = f"host={self._folder} user=dbwatch dbname=postgres"
        self.hidden_dsn = f"host={self._folder}/data user=dbwatch dbname=postgres"
        """Where it is while it is hidden."""

    def __enter__(self):
        try:
            self._run(self._initdb, "--auth=trust", "--username=dbwatch", "--encoding=UTF8", "--no-sync", "data")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder)

    def start(self, *, hidden=False):
        """Start it, or start it again; hidden, nobody finds it who knew it before."""
        place = f"{self._folder}/data" if hidden else self._folder
        settings = f"-k {place} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB -c max_connections=20"
        self._run(self._pg_ctl, "start", "--wait", "-D", "data", "-l", "log", "-o", settings)

    def stop(self):
        """End it as a power cut would: without a word to who is connected."""
        self._run(self._pg_ctl, "stop", "--wait", "-D", "data", "-m", "immediate", check=False)

    def _run(self, *command, check=True):
        # Not over pipes: the server would inherit them, and they would never end.
        with (self._folder / "output").open("w+") as output:
            ended = subprocess.run(
                command,
                cwd=self._folder,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=DEADLINE,
                **self._options,
            )
            output.seek(0)
            log = self._folder / "log"
            assert not check or ended.returncode == 0, output.read() + (log.read_text() if log.exists() else "")


class HAProxy:
    """An HAProxy with a configuration of a demo, whose variables are in the environment. Use it as a context manager.

    Args:
        configuration: the path of its file.
        environment: what it is told beside the process's own.
        socket: the path of its runtime socket, which is there once it has started.
    """

    def __init__(self, configuration, *, environment, socket):
        self._command = [find_program("haproxy"), "-db", "-f", str(configuration)]
        self._environment = {**os.environ, **environment}
        self._socket = socket
        self._output = Path(socket).with_name("haproxy.log").absolute()
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Start it, or start it again."""
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            wait_until(self._has_started, "HAProxy has started")
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """End it without a word."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(DEADLINE)

    def ask(self, command):
        """What it answers to a command."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(DEADLINE)
            asking.connect(self._socket)
            asking.sendall(f"{command}\n".encode())
            with asking.makefile() as answer:
                return answer.read()

    def _has_started(self):
        if self._process.poll() is not None:
            raise AssertionError(f"HAProxy ended:\n{self._output.read_text()}")
        try:
            return self.ask("show info")
        except OSError:
            return None

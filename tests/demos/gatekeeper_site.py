"""The whole gatekeeper demo at work: HAProxy, and two servers that can be killed and started again."""

import contextlib

from ..docs.proxies import find_free_port, wait_until
from ..e2e.conftest import Server
from .programs import HAProxy

KEY = "a secret of at least sixteen bytes"


def set_environment(monkeypatch, folder):
    """Tell all programs that start from now on where they meet, in this folder; returns what they are told.

    The paths are relative, for the path of a socket must be short.
    """
    monkeypatch.chdir(folder)
    (folder / "sessions.map").touch()
    environment = {
        "GATEKEEPER_SOCKET": "haproxy.socket",
        "GATEKEEPER_MAP": "sessions.map",
        "GATEKEEPER_BIND": f"127.0.0.1:{find_free_port()}",
        "GATEKEEPER_N1": f"127.0.0.1:{find_free_port()}",
        "GATEKEEPER_N2": f"127.0.0.1:{find_free_port()}",
        "GATEKEEPER_KEY": KEY,
        "GATEKEEPER_NODE": "n1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def run_haproxy(gatekeeper, environment):
    """HAProxy with the demo's configuration; a context manager."""
    return HAProxy(gatekeeper / "haproxy.cfg", environment=environment, socket=environment["GATEKEEPER_SOCKET"])


def load_sign(gatekeeper):
    """The demo's function `sign(name, key)`, as another program would use it: it needs no package around it."""
    namespace = {"__name__": "links"}
    exec((gatekeeper / "links.py").read_text(), namespace)
    return namespace["sign"]


class Site:
    """Servers behind an HAProxy that runs."""

    def __init__(self, gatekeeper, environment, monkeypatch):
        self.address = environment["GATEKEEPER_BIND"]
        self._gatekeeper, self._environment, self._monkeypatch = gatekeeper, environment, monkeypatch
        self.servers = {}

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def start(self, node):
        """Start a server, or start it again."""
        self._monkeypatch.setenv("GATEKEEPER_NODE", node)
        port = self._environment[f"GATEKEEPER_{node.upper()}"].rpartition(":")[2]
        options = ["--port", port, "--prefix", f"/{node}", "--session-ids", "any", "--linger", "5"]
        self.servers[node] = Server(self._gatekeeper, *options)


@contextlib.contextmanager
def open_site(gatekeeper, environment, monkeypatch, haproxy):
    """Both servers, once HAProxy takes them for healthy."""
    site = Site(gatekeeper, environment, monkeypatch)
    with contextlib.ExitStack() as stack:
        for node in ("n1", "n2"):
            site.start(node)
            stack.callback(lambda node=node: site.servers[node].stop())
        wait_until(lambda: is_up(haproxy, "n1") and is_up(haproxy, "n2"), "HAProxy takes both servers for healthy")
        yield site


def is_up(haproxy, node):
    """Whether HAProxy takes a server for healthy; `UP 1/2` is one that failed a check and may be so still."""
    rows = [line.split(",") for line in haproxy.ask("show stat").splitlines()]
    return any(row[:2] == [node, node] and row[17].startswith("UP") for row in rows)

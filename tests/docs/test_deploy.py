"""The configurations of "Deploy behind nginx" and "Deploy behind HAProxy", with the real programs and real servers."""

import asyncio
import configparser
import contextlib
import http.client
import importlib.util
import re
import shlex
import socket
import ssl
from pathlib import Path

import pytest

from supervisor.cli.main import commands
from supervisor.server_options import ServerOptions

from ..e2e.conftest import DEADLINE, Server
from .proxies import find_free_port, find_program, open_folder, replace_all, run_haproxy, run_nginx

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
DEPLOY = EXAMPLES / "deploy"
NAME = "example.org"
CERTIFICATE = f"/etc/letsencrypt/live/{NAME}"

BOARD = """
def modify_document(doc):
    doc.data = {"address": str(doc.session_context.request.remote_address), "presses": 0}

import attrs
from supervisor import receives

@attrs.frozen
class Press:
    pass

@receives(Press, from_client=True)
def on_press(doc, press):
    doc.data["presses"] += 1
    return doc.data["presses"]
"""


@pytest.fixture(scope="module")
def follow():
    """The client of "Write another client"."""
    pytest.importorskip("websockets", reason="the package websockets is missing")
    spec = importlib.util.spec_from_file_location("docs_examples_follow_deploy", EXAMPLES / "follow.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def authority():
    """Certificates for the name that the configurations are for."""
    trustme = pytest.importorskip("trustme", reason="the package trustme is missing")
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with open_folder() as folder:
        folder.chmod(0o755)
        issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        for path in folder.iterdir():
            path.chmod(0o644)
        yield folder, context


@pytest.fixture(autouse=True)
def our_names(monkeypatch):
    """The name of the configurations leads to this machine."""
    ask = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: ask("127.0.0.1" if host == NAME else host, *rest, **more)
    )


@pytest.fixture
def board(tmp_path):
    path = tmp_path / "board.py"
    path.write_text(BOARD)
    return path


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def serve(app, *options, port=0):
            server = Server(app, "--port", port, "--allow-origin", f"https://{NAME}", *options)
            stack.callback(server.stop)
            return server

        yield serve


class Visit:
    """One visitor's requests to a proxy, who keeps cookies."""

    def __init__(self, port, context):
        self._port, self._context = port, context
        self.cookie = None

    def get(self, target, **headers):
        if self.cookie:
            headers["Cookie"] = self.cookie
        if self._context is None:
            connection = http.client.HTTPConnection(NAME, self._port, timeout=DEADLINE)
        else:
            connection = http.client.HTTPSConnection(NAME, self._port, timeout=DEADLINE, context=self._context)
        with contextlib.closing(connection):
            connection.request("GET", target, headers={"Host": NAME, **headers})
            with contextlib.closing(connection.getresponse()) as answer:
                text = "" if answer.status == 101 else answer.read().decode()
        if cookie := answer.getheader("Set-Cookie"):
            assert "HttpOnly" in cookie
            self.cookie = cookie.partition(";")[0]
        return answer.status, answer.getheader("Location"), text

    def upgrade(self, target, **headers):
        """The status of a websocket's handshake."""
        return self.get(
            target,
            Upgrade="websocket",
            Connection="Upgrade",
            **{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
            **headers,
        )[0]


def press_once(follow, url, context):
    """Attach to the page's session through the proxy, send a message, and see what came of it."""

    async def story():
        follower = follow.Follower(url, ssl=context)
        running = asyncio.create_task(follower.run())
        try:
            return await asyncio.wait_for(follower.send("Press"), DEADLINE), follower.data
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    return asyncio.run(story())


# nginx


@pytest.fixture
def behind_nginx(authority, board, serve):
    """One server behind nginx, at the port of TLS: `with behind_nginx({"old": "new"}) as (port, plain_port)`."""
    folder, _ = authority
    find_program("nginx")

    @contextlib.contextmanager
    def run(*options, changes=()):
        server = serve(board, "--prefix", "/live", *options)
        port, plain = find_free_port(), find_free_port()
        site = replace_all(
            (DEPLOY / "nginx.conf").read_text(),
            {
                "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
                "listen 80": f"listen 127.0.0.1:{plain}",
                f"{CERTIFICATE}/fullchain.pem": folder / "chain.pem",
                f"{CERTIFICATE}/privkey.pem": folder / "key.pem",
                "127.0.0.1:5006": f"127.0.0.1:{server.port}",
                **dict(changes),
            },
        )
        with run_nginx(site, port=port):
            yield port, plain

    return run


def test_a_page_behind_nginx_is_live(behind_nginx, authority, follow):
    with behind_nginx("--trusted-proxy", "127.0.0.1") as (port, _):
        presses, data = press_once(follow, f"https://{NAME}:{port}/live/board", authority[1])
        assert (presses, data["presses"]) == (1, 1)
        assert data["address"] == "127.0.0.1"  # the visitor's, who is here too


def test_nginx_hands_on_name_and_origin(behind_nginx, authority):
    with behind_nginx() as (port, plain):
        visit = Visit(port, authority[1])
        assert visit.get("/live/-/health")[::2] == (200, "ok\n")
        assert visit.upgrade("/live/board/-/websocket", Origin=f"https://{NAME}") == 101
        assert visit.upgrade("/live/board/-/websocket", Origin="https://elsewhere.example") == 403
        assert visit.get("/live/board", Host="elsewhere.example")[0] == 421
        status, location, _ = Visit(plain, None).get("/live/board?session=x")
        assert (status, location) == (301, f"https://{NAME}/live/board?session=x")


def test_two_servers_behind_nginx_are_told_apart_by_the_path(authority, board, serve, follow):
    folder, context = authority
    find_program("nginx")
    servers = [serve(board, "--prefix", f"/live/{node}", "--session-ids", "any") for node in (1, 2)]
    port = find_free_port()
    site = replace_all(
        (DEPLOY / "nginx-several.conf").read_text(),
        {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            f"{CERTIFICATE}/fullchain.pem": folder / "chain.pem",
            f"{CERTIFICATE}/privkey.pem": folder / "key.pem",
            "127.0.0.1:5006": f"127.0.0.1:{servers[0].port}",
            "127.0.0.1:5007": f"127.0.0.1:{servers[1].port}",
        },
    )
    with run_nginx(site, port=port):
        visit = Visit(port, context)
        spread = {visit.get("/live/board")[1] for _ in range(40)}
        assert {re.sub(r"^https://[^/]*", "", place) for place in spread} == {"/live/1/board", "/live/2/board"}
        together = {visit.get("/live/board?session=everybody")[1] for _ in range(10)}
        assert len(together) == 1
        assert next(iter(together)).endswith("/board?session=everybody")
        presses = [press_once(follow, f"https://{NAME}:{port}/live/1/board?session=one", context)[0] for _ in (1, 2)]
        assert presses == [1, 2]


# HAProxy


@pytest.fixture
def behind_haproxy(authority, board, serve):
    """Two servers behind HAProxy: its ports, with TLS and without."""
    find_program("haproxy")
    servers = [
        serve(board, "--session-ids", "any", "--trusted-proxy", "127.0.0.1", "--log-level", "info") for _ in (1, 2)
    ]
    port, plain = find_free_port(), find_free_port()
    configuration = replace_all(
        (DEPLOY / "haproxy.cfg").read_text(),
        {
            "bind :80": f"bind 127.0.0.1:{plain}",
            "bind :443": f"bind 127.0.0.1:{port}",
            f"/etc/haproxy/{NAME}.pem": authority[0] / "both.pem",
            "127.0.0.1:5006": f"127.0.0.1:{servers[0].port}",
            "127.0.0.1:5007": f"127.0.0.1:{servers[1].port}",
        },
    )
    with run_haproxy(configuration, port=port):
        yield port, plain


def test_a_browser_stays_with_its_process_behind_haproxy(behind_haproxy, authority):
    port, _ = behind_haproxy
    nodes = set()
    for _ in range(8):
        visit = Visit(port, authority[1])
        status = visit.get("/board")[0]
        assert status == 200
        node = visit.cookie
        nodes.add(node)
        # The session is on the node that made it: only that one knows its token.
        assert visit.upgrade("/board/-/websocket", Origin=f"https://{NAME}") == 101
        assert visit.cookie == node
        assert visit.get("/board")[0] == 200
        assert visit.cookie == node
    assert nodes == {"NODE=one", "NODE=two"}


def test_all_who_ask_for_one_session_meet_behind_haproxy(behind_haproxy, authority, follow):
    port, plain = behind_haproxy
    homes = {}
    for name in ("red", "green", "blue", "white", "black"):
        visits = [Visit(port, authority[1]) for _ in range(4)]
        for visit in visits[1:]:  # most have been somewhere before
            visit.get("/board")
        for visit in visits:
            assert visit.get(f"/board?session={name}")[0] == 200
        assert len({visit.cookie for visit in visits}) == 1  # and the cookie leads the websocket there
        homes[name] = visits[0].cookie
    assert set(homes.values()) == {"NODE=one", "NODE=two"}
    status, location, _ = Visit(plain, None).get("/board?session=red")
    assert (status, location) == (301, f"https://{NAME}/board?session=red")


def test_haproxy_tells_who_the_visitor_is(behind_haproxy, authority):
    port, _ = behind_haproxy
    _, _, page = Visit(port, authority[1]).get("/board", **{"X-Forwarded-For": "203.0.113.7"})
    assert "203.0.113.7" not in page


# systemd


def test_the_unit_starts_the_server_with_options_that_there_are(board):
    unit = configparser.ConfigParser(strict=True, interpolation=None, delimiters=("=",))
    unit.optionxform = str
    unit.read_string((DEPLOY / "session-supervisor.service").read_text().replace("\\\n", " "))
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert (program, arguments[:3]) == ("/opt/live/.venv/bin/python", ["-m", "supervisor", "serve"])
    assert arguments[3] == "/opt/live/board"
    context = commands.commands["serve"].make_context("serve", [str(board), *arguments[4:]])
    assert context.params["prefix"] == "/live"
    assert float(service["TimeoutStopSec"]) > ServerOptions().shutdown_timeout + 1

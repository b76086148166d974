"""What the options of `serve` do to a real server: TLS, Unix sockets, proxies, signed ids, JSON logs."""

import datetime
import functools
import html
import http.client
import json
import os
import re
import signal
import socket
import ssl
import stat
import time

import pytest
import trio
import trustme

from supervisor.client.address import page_address
from supervisor.client.page import Entry
from supervisor.client.visit import Visit
from supervisor.server_options import ServerOptions
from supervisor.testing.client import Client
from supervisor.transport.websocket_options import WebSocketOptions

APP = """
    import attrs

    from supervisor import receives


    @attrs.frozen
    class Add:
        number: int


    @receives(Add, from_client=True)
    def on_add(doc, message):
        doc.data["sum"] += message.number
        return doc.data["sum"]


    def modify_document(doc):
        session = doc.session_context
        doc.data = {"sum": 0, "address": session.request.remote_address, "id": session.id}
"""


@pytest.fixture
def folder(tmp_path, write_files):
    return write_files(tmp_path, {"app.py": APP})


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def certificate(authority, tmp_path):
    """The options of a server with a certificate for localhost."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    return ("--ssl-certfile", tmp_path / "cert.pem")


@pytest.fixture
def trusting(authority):
    """What a browser that knows the authority uses."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def read_page(text):
    return json.loads(html.unescape(re.search(r'<meta name="supervisor" content="([^"]*)">', text)[1]))


class OverUnixSocket(http.client.HTTPConnection):
    """HTTP by a Unix socket, as a proxy speaks it."""

    def __init__(self, path):
        super().__init__("localhost")
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def ask(connection, target="/app", **headers):
    try:
        connection.request("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def visit_of(page):
    """What a client needs of a page; TLS is the stream's."""
    address = page_address("http://localhost/")
    entry = Entry(session=page["session"], token=page["token"], websocket=page["websocket"])
    return Visit(entry=entry, websocket=address.websocket(entry.websocket), headers=())


async def attach(open_stream, page):
    """A client that attaches, sends, gets an answer and goes; returns what it saw and how long going took."""
    client = Client(visit_of(page), open_stream)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.run)
            await client.until(lambda data: True)
            total = await client.send("Add", number=2)
            await client.until(lambda data: data["sum"] == total)
            began = time.monotonic()
            await client.close()
            took = time.monotonic() - began
            nursery.cancel_scope.cancel()
    return client.data, took


# TLS.


async def test_pages_and_websockets_by_tls(start, folder, certificate, trusting):
    server = start("serve", "app.py", "--port", 0, *certificate, cwd=folder)
    (url,) = await trio.to_thread.run_sync(server.until_served)
    assert re.fullmatch(r"https://127\.0\.0\.1:[1-9]\d*/app", url)
    port = int(re.search(r":(\d+)/", url)[1])

    async def open_stream():
        stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=trusting, https_compatible=True)
        await stream.do_handshake()
        return stream

    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=30)
    status, text = await trio.to_thread.run_sync(ask, connection)
    assert status == 200
    took = []
    for _ in range(3):  # a slow machine may delay one of them, but not each by the seconds that a lost goodbye takes
        data, seconds = await attach(open_stream, read_page(text))
        assert data["address"] == "127.0.0.1"
        took.append(seconds)
    assert min(took) < 1
    # Sessions and connections that are open don't hold a stop up.
    client_of_a_stop = await open_stream()
    began = time.monotonic()
    assert await trio.to_thread.run_sync(server.stop) == 0
    assert time.monotonic() - began < ServerOptions().shutdown_timeout
    await trio.aclose_forcefully(client_of_a_stop)
    assert "Traceback" not in server.stderr


async def test_a_stop_closes_websockets_by_tls_at_once(start, folder, certificate, trusting):
    server = start("serve", "app.py", "--port", 0, "--log-level", "debug", *certificate, cwd=folder)
    (url,) = await trio.to_thread.run_sync(server.until_served)
    port = int(re.search(r":(\d+)/", url)[1])
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=30)
    page = read_page((await trio.to_thread.run_sync(ask, connection))[1])
    open_stream = functools.partial(
        trio.open_ssl_over_tcp_stream, "127.0.0.1", port, ssl_context=trusting, https_compatible=True
    )
    client = Client(visit_of(page), open_stream)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.run)
            await client.until(lambda data: True)
            assert await trio.to_thread.run_sync(server.stop) == 0
            nursery.cancel_scope.cancel()
    stopping, detached = (
        datetime.datetime.fromisoformat(re.search(rf"^(\S+) .*{event}", server.stderr, re.MULTILINE)[1])
        for event in ("stopping", "connection detached .* code=1012")
    )
    # In the server's own time: that of the test has the end of a process in it, which takes long on a slow machine.
    assert (detached - stopping).total_seconds() < WebSocketOptions().close_timeout


def test_who_speaks_no_tls_or_leaves_in_the_middle_of_it_harms_nobody(start, folder, certificate, trusting):
    server = start("serve", "app.py", "--port", 0, *certificate, cwd=folder)
    (url,) = server.until_served()
    port = int(re.search(r":(\d+)/", url)[1])
    for sent in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b""):
        with socket.create_connection(("127.0.0.1", port)) as stream:
            stream.sendall(sent)
            stream.shutdown(socket.SHUT_WR)
            stream.settimeout(30)
            while stream.recv(1000):
                pass
    strange = ssl.create_default_context()  # it doesn't know the authority, and leaves with an alert
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(http.client.HTTPSConnection("127.0.0.1", port, context=strange, timeout=30))
    assert ask(http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=30))[0] == 200
    assert server.stop() == 0
    assert "failed" not in server.stderr


def test_files_that_are_no_certificate_and_key_are_one_sentence(cli, app, tmp_path, certificate):
    """All that can be wrong with them is in tests/transport/test_tls.py."""
    none = tmp_path / "none.pem"
    result = cli("serve", app(APP), "--port", 0, "--ssl-certfile", none)
    assert (result.code, result.stdout) == (1, "")
    assert f"the certificate file {none} can't be read: No such file or directory" in result.error
    result = cli("serve", app(APP), "--port", 0, *certificate, "--ssl-keyfile", none)
    assert f"the private key file {none} can't be read" in result.error


# Unix sockets.


def test_a_unix_socket_is_its_owners_alone_and_is_gone_at_the_end(start, folder):
    server = start("serve", "app.py", "--unix-socket", "socket", cwd=folder)
    (url,) = server.until_served()
    assert url == "http://unix:socket:/app"
    path = folder / "socket"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    status, text = ask(OverUnixSocket(path))
    assert status == 200
    assert read_page(text)["websocket"] == "/app/-/websocket"
    assert server.stop() == 0
    assert not path.exists()


def test_a_group_may_be_let_in(start, folder):
    server = start("serve", "app.py", "--unix-socket", "socket", "--unix-socket-mode", "660", cwd=folder)
    server.until_served()
    assert stat.S_IMODE((folder / "socket").stat().st_mode) == 0o660


def test_a_socket_that_nobody_listens_on_is_replaced_and_one_in_use_is_not(start, folder, cli):
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    server = start("serve", "app.py", "--unix-socket", path, cwd=folder)
    server.until_served()
    result = cli("serve", folder / "app.py", "--unix-socket", path)
    assert (result.code, result.stdout) == (1, "")
    assert f"Another program listens on the Unix socket {path}" in result.error
    assert ask(OverUnixSocket(path))[0] == 200
    assert server.stop() == 0


def test_another_programs_file_is_left_alone(folder, cli):
    path = folder / "file"
    path.write_text("precious")
    result = cli("serve", folder / "app.py", "--unix-socket", path)
    assert result.code == 1
    assert f"There is a file at {path} that is not a socket" in result.error
    assert path.read_text() == "precious"
    result = cli("serve", folder / "app.py", "--unix-socket", folder / "none" / "socket")
    assert "is not there; make it" in result.error


def test_a_killed_server_leaves_a_socket_that_the_next_one_replaces(start, folder):
    first = start("serve", "app.py", "--unix-socket", "socket", cwd=folder)
    first.until_served()
    first.stop(signal.SIGKILL)
    assert (folder / "socket").exists()
    second = start("serve", "app.py", "--unix-socket", "socket", cwd=folder)
    second.until_served()
    assert ask(OverUnixSocket(folder / "socket"))[0] == 200


# Proxies.


async def test_a_proxy_on_the_unix_socket_tells_who_the_visitor_is(start, folder):
    options = ("--unix-socket", "socket", "--trusted-proxy", "unix", "--allow-origin", "example.org")
    server = start("serve", "app.py", *options, cwd=folder)
    await trio.to_thread.run_sync(server.until_served)
    path = folder / "socket"
    forwarded = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Host": "example.org", "X_Forwarded_Proto": "https"}
    status, text = await trio.to_thread.run_sync(functools.partial(ask, OverUnixSocket(path), **forwarded))
    assert status == 200
    data, _ = await attach(functools.partial(trio.open_unix_socket, str(path)), read_page(text))
    assert data["address"] == "203.0.113.9"
    evil = {**forwarded, "X_Forwarded_Host": "evil.example"}
    assert (await trio.to_thread.run_sync(functools.partial(ask, OverUnixSocket(path), **evil)))[0] == 421


# Signed ids.


def test_only_signed_ids_open_a_page(start, folder, cli, fetch):
    key, other = folder / "key", folder / "other"
    for file in (key, other):
        assert cli("secret", "-o", file).code == 0
    options = ("--session-ids", "external-signed", "--secret-key-file", other, "--secret-key-file", key)
    server = start("serve", "app.py", "--port", 0, *options, cwd=folder)
    (url,) = server.until_served()
    signed = cli("session-id", "board-7", "--secret-key-file", key, "--max-age", "600").stdout.strip()
    page = fetch(f"{url}?session={signed}")
    assert page.status == 200
    assert read_page(page.text)["session"] == "board-7"
    for query in ("", "?session=board-7", f"?session={signed[:-3]}AAA"):
        refused = fetch(url + query)
        assert refused.status == 403
        assert "link" in refused.text
    assert server.stop() == 0
    assert "session=board-7" in server.stderr  # the name is no secret here: the signature is
    assert signed not in server.stderr


# Development.


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.example.org", "::ffff:10.0.0.1"]
)
def test_development_is_for_this_machine(cli, app, host):
    result = cli("serve", app("def modify_document(doc): ..."), "--dev", "--host", host)
    assert result.code == 2
    assert f"--dev shows tracebacks to whoever can connect, so it needs --host 127.0.0.1 or localhost, not {host}" in (
        result.error
    )


def test_no_browser_is_shown_a_socket(cli, app, tmp_path):
    arguments = ("--show", "--unix-socket", tmp_path / "app.socket")
    result = cli("serve", app("def modify_document(doc): ..."), *arguments)
    assert result.code == 2
    assert "--show and --unix-socket can't be used together" in result.error


def test_development_is_behind_no_proxy(cli, app):
    result = cli("serve", app("def modify_document(doc): ..."), "--dev", "--trusted-proxy", "127.0.0.1")
    assert result.code == 2
    assert "--dev and --trusted-proxy can't be used together" in result.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
def test_development_on_this_machine_alone_is_served(start, folder, app, fetch, host):
    app("def modify_document(doc): raise RuntimeError('two')", name="bad.py")
    server = start("serve", "bad.py", "--port", 0, "--dev", "--host", host, "--stall-limit", 0, cwd=folder)
    (url,) = server.until_served()
    assert "RuntimeError: two" in fetch(url).text
    (folder / "bad.py").write_text("def modify_document(doc): ...")
    server.until_logged("application=bad session=- files=bad.py")
    server.until_logged("application unloaded")
    assert fetch(url).status == 200
    assert server.stop() == 0
    assert "watchfiles" not in server.stderr  # its own lines say nothing that ours don't


# Logs.


def test_logs_may_be_json(start, folder, app, fetch):
    app("def modify_document(doc): raise RuntimeError('two\\nlines')", name="bad.py")
    server = start("serve", "bad.py", "--port", 0, "--log-json", cwd=folder)
    (url,) = server.until_served()
    assert fetch(url).status == 500
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.stderr.splitlines()]
    assert all({"timestamp", "level", "event", "application", "session"} <= set(line) for line in lines)
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert failed["event"] == "modify_document failed"
    assert failed["application"] == "bad"
    assert failed["error"] == "RuntimeError: two\nlines"
    assert failed["exception"].startswith("Traceback (most recent call last):\n")
    assert re.fullmatch("[0-9a-f]{8}", failed["incident"])
    assert os.environ.get("NO_COLOR") is None or "\x1b" not in server.stderr

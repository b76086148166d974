"""A page behind a proxy that cuts idle connections: what visitors see, and which timeout is long enough."""

import contextlib
import re
import subprocess
import sys

import pytest

from ..docs.proxies import find_free_port, find_program, replace_all, run_nginx
from .waiting import expect, until

LOST = "WebSocket connection to"
"""What Chromium itself says of a connection that was lost."""

WATCH = """async () => {
    const { connect } = await import("/live/-/client/supervisor.js")
    window.changes = []
    const onStatus = ({ state }) => changes.push({ state, at: performance.now() })
    window.session = await connect({ banner: false, onStatus })
}"""
COUNT = "state => changes.filter(change => change.state === state).length"

PINGS_OFTEN = """
import sys, trio
from supervisor import Server, ServerOptions, load_application
from supervisor.transport.websocket_options import WebSocketOptions

async def main():
    options = ServerOptions(prefix="/live", websocket=WebSocketOptions(ping_interval=1))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server([load_application(sys.argv[1])], options=options)
    print(listeners[0].socket.getsockname()[1], flush=True)
    await server.serve(listeners)

trio.run(main)
"""


@pytest.fixture
def cut_after_3_s(request):
    """nginx as "Deploy behind nginx" has it, but without TLS, and with 3 s of patience: the port of the proxy."""
    find_program("nginx")
    site = request.config.rootpath / "docs" / "examples" / "deploy" / "nginx.conf"

    @contextlib.contextmanager
    def run(server_port):
        port = find_free_port()
        text = re.sub(r" *ssl_certificate.*\n", "", site.read_text())
        changes = {
            "listen 443 ssl": f"listen 127.0.0.1:{port}",
            "listen 80": f"listen 127.0.0.1:{find_free_port()}",
            "127.0.0.1:5006": f"127.0.0.1:{server_port}",
            "proxy_read_timeout 60s": "proxy_read_timeout 3s",
        }
        with run_nginx(replace_all(text, changes), port=port):
            yield port

    return run


def test_a_proxy_with_too_little_patience_cuts_a_page_again_and_again_and_nothing_is_lost(
    serve, apps, open_page, console, cut_after_3_s
):
    with serve(apps / "still.py", "--prefix", "/live") as server, cut_after_3_s(server.port) as port:
        page = open_page(f"http://127.0.0.1:{port}/live/still")
        page.evaluate(WATCH)
        until(page, f"({COUNT})('reconnecting') >= 2 && changes.at(-1).state === 'live'")
        changes = page.evaluate("changes")
        live, lost = (next(change["at"] for change in changes if change["state"] == state) for state in _LIVE_AND_LOST)
        assert lost - live > 1000  # it was up for a while
        page.evaluate("session.send('Rename', { name: 'press 7' })")
        expect(page.get_by_text("press 7")).to_be_visible()
        assert server.stderr.count("session created") == 1
    console.forgive(LOST)


_LIVE_AND_LOST = ("live", "reconnecting")


def test_a_proxy_with_more_patience_than_the_time_between_two_pings_cuts_nothing(apps, open_page, cut_after_3_s):
    command = [sys.executable, "-c", PINGS_OFTEN, str(apps / "still.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            with cut_after_3_s(int(server.stdout.readline())) as port:
                page = open_page(f"http://127.0.0.1:{port}/live/still")
                page.evaluate(WATCH)
                page.wait_for_timeout(5000)
                assert [change["state"] for change in page.evaluate("changes")] in (["live"], ["connecting", "live"])
                page.context.close()
        finally:
            server.terminate()

"""What the options of `serve` do; that each is read and refused is in `tests/cli/test_options.py`."""

import secrets
import signal
import time

import pytest

from supervisor.cli import serve
from supervisor.identity import KeyRing

from .apps import COUNTER, read_page


@pytest.fixture
def make_server(cli, app, monkeypatch):
    """The server that a command line makes; it isn't run."""

    def make(*options):
        made = []
        monkeypatch.setattr(serve.trio, "run", lambda func, server, *rest: made.append(server))
        previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            result = cli("serve", app(COUNTER), *options)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        assert result.code == 0, result.stderr
        (server,) = made
        return server

    return make


@pytest.mark.parametrize(("apps", "page"), [(["counter.py"], "/counter"), (["counter.py", "shop"], "/")])
def test_show_opens_the_app_or_the_index_in_a_browser(start, folder, tmp_path, apps, page):
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "opening $1" >&2\n')
    browser.chmod(0o755)
    program = start("serve", *apps, "--port", 0, "--show", cwd=folder, env={"BROWSER": str(browser)})
    url = program.until_served(len(apps))[0]
    program.until_logged(f"opening {url.removesuffix('/counter')}{page}\n")
    assert program.stop() == 0


@pytest.mark.parametrize("browser", ["/no/browser", " ", '"half a quote %s'])
def test_show_says_when_there_is_no_browser_and_the_server_goes_on(start, folder, fetch, browser):
    nothing = {"BROWSER": browser, "PATH": ""}
    program = start("serve", "counter.py", "--port", 0, "--show", cwd=folder, env=nothing)
    (url,) = program.until_served()
    program.until_logged("no browser could be opened")
    assert fetch(url).status == 200
    assert program.stop() == 0


def test_every_option_reaches_the_server(make_server):
    options = make_server(
        *("--prefix", "/tools", "--session-ids", "any", "--linger", "0", "--max-age", "60", "--max-sessions", "7"),
        *("--max-creating", "3", "--max-message-size", "2048", "--hook-timeout", "1.5", "--shutdown-timeout", "4"),
        *("--drain-timeout", "2.5"),
        *("--stall-limit", "0.25", "--story-length", "50"),
        *("--max-sessions-per-address", "5", "--max-connections", "90", "--max-connections-per-session", "6"),
        *("--max-message-rate", "50", "--max-document-size", "4096", "--ping-interval", "8.5"),
        *("--allow-origin", "example.org", "--allow-origin", "https://example.com:8443"),
    ).options
    assert (options.prefix, options.session_ids, options.shutdown_timeout) == ("/tools", "any", 4)
    assert (options.stall_limit, options.story_length) == (0.25, 50)
    assert options.allow_origins == ("example.org", "https://example.com:8443")
    application = options.application
    assert (application.linger, application.max_age, application.hook_timeout) == (0, 60, 1.5)
    assert application.drain_timeout == 2.5
    assert (application.max_sessions, application.max_creating) == (7, 3)
    assert (application.max_sessions_per_address, application.max_connections_per_session) == (5, 6)
    assert (options.max_connections, application.max_document_size) == (90, 4096)
    websocket = options.websocket
    assert (websocket.max_message_size, websocket.max_message_rate, websocket.ping_interval) == (2048, 50, 8.5)


def test_defaults_are_those_of_the_server(make_server):
    options = make_server().options
    assert options == type(options)()


@pytest.mark.parametrize(
    ("host", "answers_to"),
    [("app.example.org", ("app.example.org",)), ("Example.ORG.", ("example.org",)), ("[::1]", ()), ("10.0.0.1", ())],
)
def test_the_name_to_listen_on_is_one_that_the_server_answers_to(make_server, host, answers_to):
    """The printed URL has it; addresses are answered to anyway."""
    assert make_server("--host", host).options.allow_origins == answers_to


def test_the_key_file_signs_tokens(start, folder, fetch, tmp_path):
    key = secrets.token_hex(16)
    file = tmp_path / "key"
    file.write_text(f"{key}\n")
    file.chmod(0o600)
    server = start("serve", "counter.py", "--port", 0, "--secret-key-file", file, cwd=folder)
    (url,) = server.until_served()
    page = read_page(fetch(url))
    ring = KeyRing((key.encode(),))
    signed = ring.check(page["token"], purpose="attach to counter", now=time.time(), max_age=60)
    assert signed == page["session"]
    assert server.stop() == 0
    assert key not in server.stdout + server.stderr
    assert "--secret-key-file" not in server.stderr


def test_without_a_key_file_it_is_said_that_the_key_is_new(one):
    one.until_served()
    assert "no --secret-key-file" in one.stderr


def test_a_name_that_is_not_ours_is_refused_and_the_log_names_the_option(one, fetch):
    (url,) = one.until_served()
    assert fetch(url, headers={"Host": "evil.example"}).status == 421
    one.until_logged("--allow-origin evil.example")


def test_a_level_leaves_out_what_is_below_it(start, folder):
    server = start("serve", "counter.py", "--port", 0, "--log-level", "warning", "--stall-limit", 0, cwd=folder)
    server.until_served()
    assert server.stop() == 0
    assert server.stderr == ""

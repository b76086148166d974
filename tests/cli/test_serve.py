"""`serve`: its lines on stdout, its URLs, its errors and its end, by real processes where that matters."""

import functools
import html
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import trio

from supervisor.cli import options, serve
from supervisor.client import connect
from supervisor.identity import KeyRing
from supervisor.server_options import ServerOptions
from supervisor.testing import supervise_process

COUNTER = """
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
        doc.data["sum"] = 0
"""


def read_page(answer):
    """What the page tells the browser client."""
    return json.loads(html.unescape(re.search(r'<meta name="supervisor" content="([^"]*)">', answer.text)[1]))


def assert_served(fetch, url):
    for asked in (url, f"{url}?", f"{url}?a=b&session_no=1"):
        answer = fetch(asked)
        assert answer.status == 200, asked
        assert answer.headers["content-type"].startswith("text/html")
    assert fetch(url, method="HEAD").status == 200


def assert_structured(stderr):
    for line in stderr.splitlines():
        assert re.search(r"\bapplication=\S+ session=\S+", line), line


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_files):
    folder = tmp_path_factory.mktemp("apps")
    write_files(folder, {"counter.py": COUNTER, "other.py": "def make(doc): ...\n"})
    write_files(folder / "shop", {"main.py": COUNTER, "lifecycle.py": "def on_sesion_created(context): ...\n"})
    return folder


@pytest.fixture(scope="module")
def one(start_shared, folder):
    """A server of one app that the tests below leave as they found it."""
    return start_shared("serve", "counter.py", "--port", 0, cwd=folder)


@pytest.fixture(scope="module")
def three(start_shared, folder):
    """A server of three apps, behind a prefix, on a name that has several addresses."""
    arguments = ("counter.py", "shop/", "other:make", "--port", 0, "--prefix", "tools/live/", "--host", "localhost")
    return start_shared("serve", *arguments, cwd=folder)


# What is printed, and where it leads.


def test_the_app_is_one_line_on_stdout_with_its_url(one):
    (url,) = one.until_served()
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*/counter", url)
    (line,) = one.stdout.splitlines()
    assert re.search(rf"{re.escape(url)}( |$)", line)
    assert line.isascii()
    assert line.isprintable()


def test_the_url_answers_at_once_without_a_redirect(one, fetch):
    (url,) = one.until_served()
    assert_served(fetch, url)


def test_one_app_alone_is_found_at_the_root(one, fetch):
    (url,) = one.until_served()
    answer = fetch(url.removesuffix("counter"))
    assert answer.status in (302, 303, 307)
    assert answer.headers["location"] == "/counter"


def test_each_of_several_apps_is_one_line_in_their_order(three, fetch):
    urls = three.until_served(3)
    assert [url.rpartition("/")[2] for url in urls] == ["counter", "shop", "make"]
    for url in urls:
        assert re.fullmatch(r"http://localhost:[1-9]\d*/tools/live/\w+", url)
        assert_served(fetch, url)


def test_several_apps_have_an_index(three, fetch):
    urls = three.until_served(3)
    answer = fetch(urls[0].removesuffix("counter"))
    assert answer.status == 200
    for name in ("counter", "shop", "make"):
        assert f'"/tools/live/{name}"' in answer.text


def test_nothing_is_served_beside_the_prefix(three, fetch):
    urls = three.until_served(3)
    assert fetch(urls[0].replace("/tools/live", "")).status == 404


def test_the_browser_client_is_served_behind_the_prefix(three, fetch):
    urls = three.until_served(3)
    answer = fetch(urls[0].replace("/counter", "/-/client/supervisor.js"))
    assert answer.status == 200
    assert "javascript" in answer.headers["content-type"]


def addresses_of(host):
    return {info[4][0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}


def has_address(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def test_port_0_is_one_port_on_all_addresses_of_a_name(three, fetch):
    url = three.until_served(3)[0]
    addresses = [address for address in addresses_of("localhost") if has_address(address)]
    assert addresses
    for address in addresses:
        shown = f"[{address}]" if ":" in address else address
        assert fetch(url.replace("localhost", shown)).status == 200


def test_a_misspelt_hook_is_warned_of(three):
    three.until_served(3)
    (line,) = [line for line in three.stderr.splitlines() if "on_sesion_created" in line]
    assert "warning" in line
    assert "did you mean on_session_created?" in line
    assert "application=shop" in line


def test_an_ipv6_address_stands_in_brackets(start, folder, fetch):
    server = start("serve", "counter.py", "--port", 0, "--host", "::1", cwd=folder)
    if not has_address("::1"):
        assert server.end() == 1
        assert "Error: '::1' is not an address of this machine" in server.stderr
        return
    (url,) = server.until_served()
    assert re.fullmatch(r"http://\[::1\]:[1-9]\d*/counter", url)
    assert_served(fetch, url)


def test_lines_are_printed_when_connections_are_accepted_and_not_before(start, write_files, tmp_path, fetch):
    """The load hook waits for a file that the test makes once it has seen that nothing was printed."""
    write_files(
        tmp_path / "slow",
        {
            "main.py": """
                import trio
                from pathlib import Path

                async def on_application_load(app_context):
                    print("the hook waits", flush=True)
                    while not Path("go").exists():
                        await trio.sleep(0.01)

                def modify_document(doc): ...
            """
        },
    )
    server = start("serve", "slow", "--port", 0, cwd=tmp_path)
    server.until_printed("the hook waits\n")
    assert "http://" not in server.stdout
    (tmp_path / "go").touch()
    server.until_printed("/slow \n")
    assert_served(fetch, re.search(r"http://\S+", server.stdout)[0])


# What options do.


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


# What is logged.


async def test_logs_show_eight_characters_of_an_id_and_no_token_or_key(folder):
    async with supervise_process(folder / "counter.py", "--log-level", "debug") as server:
        session = await server.new_session()
        client = await session.connect()
        resume_key = client._record.protocol._key
        assert await client.send("Add", number=2) == 2
        await client.close()
        await server.until_logged("connection detached")
    log = re.sub(r"^counter is served at \S+ \n", "", server.log, flags=re.MULTILINE)  # which is on stdout
    assert_structured(log)
    for event in ("session created", "connection attached", "connection detached", "session destroyed"):
        (line,) = [line for line in log.splitlines() if f"] {event} " in line]
        assert f"application=counter session={session.id[:8]}" in line
    token = read_page(session.page)["token"]
    for secret in (session.id[:9], token, resume_key, token.rpartition(".")[2]):
        assert secret
        assert secret not in log


def test_a_producer_that_fails_is_logged_and_goes_on(start, app, tmp_path):
    app("""
        attempts = 0

        def on_application_load(app_context):
            app_context.add_callback(produce)

        def produce():
            global attempts
            attempts += 1
            raise RuntimeError(f"attempt {attempts}\\nof many")
    """)
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    server.until_served()
    server.until_logged("RuntimeError: attempt 2\n")  # the last line but one of the second traceback
    assert server.stop() == 0
    assert_structured(server.stderr)
    assert "Traceback (most recent call last):" in server.stderr
    assert re.search(r"\] .*produce.* failed application=app session=- incident=[0-9a-f]{8} ", server.stderr)
    assert re.search(r"^application=app session=- incident=[0-9a-f]{8} \| of many$", server.stderr, re.MULTILINE)


def test_code_that_blocks_the_server_is_logged_while_it_does(start, tmp_path, fetch):
    (tmp_path / "app.py").write_text(
        "import pathlib, time\n"
        "def modify_document(doc):\n"
        "    while not pathlib.Path('go_on').exists():\n"
        "        time.sleep(0.01)\n"
    )
    server = start("serve", "app.py", "--port", 0, "--stall-limit", 0.2, cwd=tmp_path)
    (url,) = server.until_served()
    with ThreadPoolExecutor() as pool:
        page = pool.submit(fetch, url)
        server.until_logged("what=modify_document where='modify_document, line ")
        (tmp_path / "go_on").touch()
        assert page.result().status == 200
    server.until_logged("the loop turns again application=app session=")
    assert server.stop() == 0
    assert_structured(server.stderr)
    assert re.search(
        r"\[warning .*\] the loop is blocked application=app session=\S{8} seconds=0\.[2-9]", server.stderr
    )


# How it ends.

HANGING = """
    import signal
    import trio

    async def on_application_load(app_context):
        app_context.add_callback(hang)

    async def hang():
        try:
            await trio.sleep_forever()
        finally:
            print("the producer was cancelled", flush=True)

    async def on_session_destroyed(session_context):
        print("destroyed hook", flush=True)
        await trio.sleep_forever()

    async def on_application_unload(app_context):
        print("unload hook", flush=True)
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()

    def modify_document(doc): ...
"""
FAILING = """
    def on_session_destroyed(session_context):
        print("destroyed hook", flush=True)
        raise RuntimeError("destroyed")

    def on_application_unload(app_context):
        print("unload hook", flush=True)
        raise SystemExit(5)

    def modify_document(doc): ...
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(start, folder, fetch, number):
    server = start("serve", "counter.py", "--port", 0, cwd=folder)
    (url,) = server.until_served()
    assert fetch(url).status == 200
    assert server.stop(number) == 0
    assert f"signal={number.name}" in server.stderr
    assert "application unloaded" in server.stderr
    assert_structured(server.stderr)


def test_failing_hooks_leave_the_exit_code_alone(start, app, tmp_path, fetch):
    app(FAILING)
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    (url,) = server.until_served()
    assert fetch(url).status == 200
    assert server.stop() == 0
    assert server.stdout.endswith("destroyed hook\nunload hook\n")
    assert "RuntimeError: destroyed" in server.stderr
    assert "SystemExit: 5" in server.stderr
    assert_structured(server.stderr)


def test_hanging_hooks_are_cut_off_and_a_second_signal_leaves_them_no_more_time(start, app, tmp_path, fetch):
    app(HANGING)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 2.2, cwd=tmp_path)
    (url,) = server.until_served()
    assert fetch(url).status == 200
    began = time.monotonic()
    assert server.stop() == 0  # the second signal comes from its own unload hook
    assert time.monotonic() - began < ServerOptions().shutdown_timeout
    assert server.stdout.endswith("the producer was cancelled\ndestroyed hook\nunload hook\n")
    assert server.stderr.count("TooSlowError") >= 2
    assert server.stderr.count("stopping") == 2


def test_signals_end_it_well_whenever_they_come(start, folder):
    """Some of them come when the server is over and the process isn't."""
    server = start("serve", "counter.py", "--port", 0, cwd=folder)
    server.until_served()
    assert server.end_under(signal.SIGTERM) == 0


def test_a_signal_while_apps_load_ends_it_well(start, write_files, tmp_path):
    """The load hook is cancelled; what had loaded before is unloaded; nothing was served."""
    write_files(
        tmp_path,
        {
            "first.py": """
                def on_application_load(app_context): ...

                def on_application_unload(app_context):
                    print("first unloaded", flush=True)
            """,
            "second.py": """
                import trio

                async def on_application_load(app_context):
                    print("loading", flush=True)
                    await trio.sleep_forever()
            """,
        },
    )
    server = start("serve", "first.py", "second.py", "--port", 0, cwd=tmp_path)
    server.until_printed("loading\n")
    assert server.stop() == 0
    assert server.stdout == "loading\nfirst unloaded\n"
    assert_structured(server.stderr)


def test_a_signal_before_the_server_listens_to_signals_is_not_lost(app, cli, monkeypatch):
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    run = trio.run

    def signal_first(*arguments):
        signal.raise_signal(signal.SIGTERM)
        return run(*arguments)

    monkeypatch.setattr(serve.trio, "run", signal_first)
    try:
        result = cli("serve", app(COUNTER), "--port", 0)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    assert (result.code, result.stdout) == (0, "")


def test_signal_handlers_are_put_back_after_an_error(cli, app):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    failing = app("def on_application_load(app_context): 1 / 0")
    assert cli("serve", failing, "--port", 0).code == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


# Errors of apps and of the system: one sentence, exit code 1.


def fails(result, *texts):
    assert (result.code, result.stdout) == (1, "")
    if "incident" not in texts:  # what a hook raised has its traceback in the log
        assert result.stderr.count("\n") == 1
    for text in texts:
        assert text in result.error
    return True


def test_a_missing_app(cli, tmp_path):
    assert fails(cli("serve", tmp_path / "none.py"), "there is no app at", "none.py")
    assert fails(cli("serve", tmp_path / "none"), "there is no app at", "give a directory, a file x.py, a module")
    assert fails(cli("serve", "no_such_module_of_ours"), "no_such_module_of_ours")
    assert fails(cli("serve", "json:no_such_function"), "json", "no_such_function")
    assert fails(cli("serve", tmp_path), "main.py")


def test_an_app_without_anything_of_an_app(cli, app):
    assert fails(cli("serve", app("x = 1")), "app.py", "modify_document(doc)")


def test_a_syntax_error_names_file_and_line(cli, app, write_files, tmp_path):
    file = app("x = 1\ndef modify_document(doc:\n    ...\n")
    assert fails(cli("serve", file), f"{file}, line 2: syntax error: ")
    write_files(tmp_path / "dir", {"main.py": "from .part import x\n", "part.py": "\n\nif\n"})
    assert fails(cli("serve", tmp_path / "dir"), f"{tmp_path / 'dir' / 'part.py'}, line 3: syntax error: ")


def test_an_app_that_raises_while_it_is_imported(cli, app):
    file = app("def f():\n    raise RuntimeError('two\\nlines')\n\nf()\n")
    assert fails(cli("serve", file), f"{file}, line 2: RuntimeError", "two lines")
    assert fails(cli("serve", app("import no_such_module_of_ours")), "line 1: ModuleNotFoundError")
    assert fails(cli("serve", app("import sys\nsys.exit(0)")), "line 2: SystemExit")


@pytest.mark.parametrize(
    "hook",
    [
        "def on_application_load(): ...",
        "async def on_session_created(a, b): ...",
        "def on_session_destroyed(*, session_context): ...",
        "def modify_document(): ...",
        "on_application_unload = 3",
    ],
)
def test_a_hook_with_a_wrong_signature(cli, app, hook):
    name = re.search(r"on_\w+|modify_document", hook)[0]
    assert fails(cli("serve", app(f"{hook}\n")), "app.py", name, "write `def")


def test_two_handlers_of_one_message(cli, app):
    text = COUNTER + "\n    @receives(Add)\n    def again(doc, message): ...\n"
    assert fails(cli("serve", app(text)), "on_add", "again", "Add")


def test_two_apps_of_one_name(cli, app, write_files, tmp_path):
    app(COUNTER)
    write_files(tmp_path / "app", {"main.py": COUNTER})
    assert fails(cli("serve", tmp_path / "app.py", tmp_path / "app"), "two", "'app'")


def test_two_files_of_hooks(cli, write_files, tmp_path):
    write_files(tmp_path / "app", {"main.py": "", "lifecycle.py": "", "app_hooks.py": ""})
    assert fails(cli("serve", tmp_path / "app"), "lifecycle.py", "app_hooks.py")


def test_a_message_that_a_browser_could_not_send(cli, app):
    text = COUNTER.replace("number: int", "number: object()")
    assert cli("serve", app(text)).error


@pytest.mark.parametrize(
    "raising", ["raise RuntimeError('no data')", "raise SystemExit('no data')", "raise PermissionError('no data')"]
)
def test_a_load_hook_that_raises(cli, app, raising):
    result = cli("serve", app(f"def on_application_load(app_context):\n    {raising}\n", "bad.py"), "--port", 0)
    assert fails(result, "'bad'", "on_application_load", "no data", "incident")
    assert "ExceptionGroup" not in result.stderr


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("def on_application_load(app_context):\n    raise RuntimeError('no data')", "on_application_load raised"),
        ("def modify_document(doc:", "syntax error"),
        ("import json\njson.nothing", "AttributeError while the app was loaded"),
    ],
)
def test_of_two_apps_one_that_cannot_be_loaded_ends_alone(start, write_files, tmp_path, fetch, bad, said):
    write_files(tmp_path, {"good.py": COUNTER, "bad.py": bad})
    server = start("serve", "bad.py", "good.py", "--port", 0, cwd=tmp_path)
    (url,) = server.until_served(1)
    assert url.endswith("/good")
    assert fetch(url).status == 200
    base = url.removesuffix("/good")
    answer = fetch(f"{base}/bad")
    assert (answer.status, "This application has failed" in answer.text) == (503, True)
    assert "bad.py" not in answer.text  # no traceback for strangers
    incident = re.search(r"incident <code>([0-9a-f]{8})</code>", answer.text)[1]
    (line,) = [line for line in server.stderr.splitlines() if "application failed" in line]
    assert "application=bad" in line
    assert f"incident={incident}" in line
    assert said in line
    assert (fetch(f"{base}/-/health").text, fetch(f"{base}/-/health/ready").status) == ("degraded\n", 200)
    assert server.stop() == 0
    assert_structured(server.stderr)


def test_of_two_apps_none_that_can_be_loaded(cli, write_files, tmp_path):
    load = "def on_application_load(app_context):\n    raise RuntimeError('no data')"
    write_files(tmp_path, {"one.py": load, "two.py": load, "broken.py": "f(:"})
    result = cli("serve", tmp_path / "one.py", tmp_path / "two.py", "--port", 0)
    assert fails(result, "no application can be served: ", "'one'", "'two'", "incident")
    result = cli("serve", tmp_path / "broken.py", tmp_path / "none.py")
    assert fails(result, "no application can be served: ", "syntax error", "none.py")


def test_the_last_application_that_escalates_ends_the_process(start, app, tmp_path):
    app("""
        def fail():
            raise RuntimeError("no data")

        def on_application_load(app_context):
            app_context.add_callback(fail, restart="temporary", escalate=True)
    """)
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    assert server.end() == 1
    last = server.stderr.splitlines()[-1]
    assert last.startswith(
        "Error: no application is left: application 'app' has failed, and its sessions end: producer"
    )
    assert "ExceptionGroup" not in server.stderr


def test_a_load_hook_whose_tasks_raise_together(cli, app):
    """A group of two is still one sentence."""
    file = app("""
        import trio

        async def fail():
            raise RuntimeError("no data")

        async def on_application_load(app_context):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                nursery.start_soon(fail)
    """)
    assert fails(cli("serve", file, "--port", 0), "'app'", "on_application_load", "incident")


def test_a_late_load_hook(cli, app, monkeypatch):
    """Its deadline has no option: 60 s."""
    make = options.ApplicationOptions
    monkeypatch.setattr(options, "ApplicationOptions", lambda **given: make(load_timeout=0.05, **given))
    file = app("import trio\nasync def on_application_load(app_context):\n    await trio.sleep_forever()\n")
    assert fails(cli("serve", file, "--port", 0), "'app'", "on_application_load", "TooSlowError", "0.05 s", "incident")


def test_a_failing_app_ends_the_process(start, tmp_path, app):
    app("def on_application_load(app_context): 1 / 0")
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    assert server.end() == 1
    assert server.stdout == ""
    assert server.stderr.splitlines()[-1].startswith("Error: application 'app' can't be served: ")
    assert "ExceptionGroup" not in server.stderr
    assert_structured(server.stderr.rpartition("\nError: ")[0])


def test_a_port_that_is_taken(cli, app):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert fails(cli("serve", app(COUNTER), "--port", port), f"port {port}", "--port")


def test_as_json_an_error_is_a_line_too(cli, app, monkeypatch):
    result = cli("serve", app("def f(:"), "--log-json")
    assert (result.code, result.stdout) == (1, "")
    event = json.loads(result.stderr)
    assert (event["level"], event["event"].partition(": ")[2]) == ("error", "syntax error: invalid syntax")
    monkeypatch.setattr(serve.trio, "run", lambda *_: 1 / 0)
    result = cli("serve", app(COUNTER), "--log-json")
    assert result.code == 1
    event = json.loads(result.stderr)
    assert event["level"] == "critical"
    assert "ZeroDivisionError" in event["exception"]
    assert cli("serve", app(COUNTER), "--log-json", "--ssl-keyfile", "key").code == 2


def test_a_host_that_is_not_ours(cli, app):
    assert fails(cli("serve", app(COUNTER), "--port", 0, "--host", "192.0.2.1"), "192.0.2.1", "--host")
    assert fails(cli("serve", app(COUNTER), "--port", 0, "--host", "nowhere.invalid"), "nowhere.invalid", "--host")


def test_a_key_file_that_is_not_safe(cli, app, tmp_path):
    """All that can be wrong with one is in test_keys.py."""
    key = tmp_path / "the key"
    key.write_text(secrets.token_hex(16))
    key.chmod(0o640)
    assert fails(cli("serve", app(COUNTER), "--secret-key-file", key), "others may", f"chmod 600 '{key}'")
    assert fails(cli("serve", app(COUNTER), "--secret-key-file", tmp_path / "none"), "no key file", "secret -o")


BLOCKED = """
import time
import trio

async def produce(app_context):
    await trio.to_thread.run_sync(time.sleep, 60)

def on_application_load(app_context):
    app_context.add_callback(produce, app_context)

def on_application_unload(app_context):
    print("unload hook", flush=True)

def modify_document(doc):
    pass
"""


def test_a_blocked_thread_of_an_app_does_not_outlast_the_shutdown(start, app, tmp_path):
    app(BLOCKED)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 1, cwd=tmp_path)
    server.until_served()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < ServerOptions().shutdown_timeout
    assert server.stdout.endswith("unload hook\n")
    left = [line for line in server.stderr.splitlines() if "producer left behind" in line]
    assert any("where='produce, line " in line for line in left), server.stderr


def test_a_blocked_thread_is_left_behind_as_soon_as_hooks_are_over(start, app, tmp_path):
    """The shutdown has 60 s left; nobody waits for them."""
    app(BLOCKED)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 60, cwd=tmp_path)
    server.until_served()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 30
    assert server.stdout.endswith("unload hook\n")


UNWINDING = """
import trio

async def produce(app_context):
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(4)
            print("unwound", flush=True)

def on_application_load(app_context):
    app_context.add_callback(produce, app_context)

def modify_document(doc): ...
"""


def test_a_producer_that_unwinds_has_the_time_of_the_shutdown(start, app, tmp_path):
    app(UNWINDING)
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    server.until_served()
    assert server.stop() == 0
    assert server.stdout.endswith("unwound\n")
    assert "left behind" not in server.stderr


# What holds a shutdown up.

IMPATIENT = "from supervisor.cli import exit_watchdog, main; exit_watchdog.LAST_GRACE = 0.5; main.main()"
"""The program with an exit watchdog that waits for half a second in place of ten."""
HELD = """
    import time

    import attrs
    import trio

    from supervisor import receives


    @attrs.frozen
    class Hold:
        how: str


    @receives(Hold, from_client=True)
    async def on_hold(doc, message):
        print("held", flush=True)
        if message.how == "loop":
            spin()
        elif message.how == "library":
            time.sleep(100)
        elif message.how == "thread":
            await trio.to_thread.run_sync(block)
        else:
            await shield()


    def spin():
        while True:
            pass


    def block():
        time.sleep(100)


    async def shield():
        with trio.CancelScope(shield=True):
            await trio.sleep(100)


    def on_session_destroyed(session_context):
        print("destroyed hook", flush=True)


    def modify_document(doc): ...
"""


@pytest.mark.parametrize(
    ("how", "function", "who"),
    [
        ("loop", "spin", "thread MainThread"),
        ("library", "on_hold", "thread MainThread"),
        ("thread", "block", "thread "),
        ("shield", "shield", "task "),
    ],
)
async def test_what_holds_a_shutdown_up_is_named_and_the_process_ends(start, app, tmp_path, how, function, who):
    app(HELD)
    server = start(
        *("serve", "app.py", "--port", 0, "--shutdown-timeout", 0.5, "--log-level", "error"),
        cwd=tmp_path,
        command=(sys.executable, "-c", IMPATIENT),
    )
    (url,) = await trio.to_thread.run_sync(server.until_served)
    async with connect(url) as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.send, "Hold", {"how": how})
        await trio.to_thread.run_sync(server.until_printed, "held\n")
        began = trio.current_time()
        assert await trio.to_thread.run_sync(server.stop) == 1
        assert trio.current_time() - began < 10
        nursery.cancel_scope.cancel()
    assert "destroyed hook" not in server.stdout
    first = next(line for line in server.stderr.splitlines() if "shutdown held up" in line)
    assert f"who='{who}" in first
    assert f"where='{function}, line " in first.replace("on_hold.<locals>.", "")
    assert f"in {function}" in server.stderr
    assert_structured(server.stderr)


def test_a_shutdown_that_is_held_up_by_what_cannot_be_read_is_told_too():
    told = []

    class Log:
        def critical(self, event, **fields):
            told.append((event, fields["where"]))

    serve._tell_holders(Log(), [])
    assert told == [("shutdown held up", "unknown: its code can't be read")]


def test_a_log_that_nobody_reads_any_more_does_not_keep_the_process(app, tmp_path):
    """1. The log is full, and its reader stands still; 2. the loop waits in a line of it; 3. so would the watchdog."""
    app("""
        import contextlib
        import logging
        import os
        import sys
        import trio

        async def talk():
            await trio.to_thread.run_sync(sys.stdin.readline)
            os.set_blocking(2, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(2, b"x")
            os.set_blocking(2, True)
            print("full", flush=True)
            logging.error("nobody reads this")

        def on_application_load(app_context):
            app_context.add_callback(talk)

        def modify_document(doc): ...
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "serve", "app.py", "--port", "0", "--shutdown-timeout", "0.5"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process, process.stdout, process.stderr:
        try:
            assert process.stdout.readline()
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"full\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 1
        finally:
            process.kill()


def test_a_shutdown_that_the_last_failed_application_begins_is_watched_too(start, app, tmp_path):
    app("""
        import time

        async def fail():
            raise ValueError("mine")

        def on_application_load(app_context):
            app_context.add_callback(fail, restart="temporary", escalate=True)

        def on_application_unload(app_context):
            time.sleep(100)

        def modify_document(doc): ...
    """)
    arguments = ("serve", "app.py", "--port", 0, "--shutdown-timeout", 0.5)
    server = start(*arguments, cwd=tmp_path, command=(sys.executable, "-c", IMPATIENT))
    assert server.end() == 1
    assert "shutdown held up" in server.stderr
    assert "on_application_unload" in server.stderr


def test_a_producer_that_is_left_behind_by_a_failed_application_does_not_make_its_end_a_good_one(start, app, tmp_path):
    app("""
        import time
        import trio

        async def hang():
            await trio.to_thread.run_sync(time.sleep, 100)

        async def fail():
            await trio.sleep(0.2)
            raise ValueError("mine")

        def on_application_load(app_context):
            app_context.add_callback(hang)
            app_context.add_callback(fail, restart="temporary", escalate=True)

        def modify_document(doc): ...
    """)
    server = start("serve", "app.py", "--port", 0, "--shutdown-timeout", 5, cwd=tmp_path)
    assert server.end() == 1
    assert "producer left behind" in server.stderr


# Draining, with clients.

WORKING = """
    import attrs
    import trio

    from supervisor import receives


    @attrs.frozen
    class Work:
        seconds: float


    @receives(Work, from_client=True)
    async def on_work(doc, message):
        print("work begins", flush=True)
        await trio.sleep(message.seconds)
        doc.data["done"] += 1
        return doc.data["done"]


    async def on_session_destroyed(session_context):
        await trio.sleep(0.5)
        print("destroyed hook", flush=True)


    def on_application_unload(app_context):
        print("unload hook", flush=True)


    def modify_document(doc):
        doc.data["done"] = 0
"""


def closings_of(client):
    return [event for event in client.received if type(event).__name__ == "Closing"]


async def test_200_clients_are_answered_and_sent_away_each_with_a_delay_of_its_own(app):
    async with supervise_process(app(WORKING), "--log-level", "error") as server, trio.open_nursery() as nursery:
        clients = [await (await server.new_session()).connect() for _ in range(200)]
        for client in clients[:50]:  # what is under way when the signal comes
            nursery.start_soon(functools.partial(client.send, "Work", seconds=0.01))
        began = trio.current_time()
        server.terminate()
        assert await server.wait_ended() == 0
        assert trio.current_time() - began < 20
        for client in clients:
            await client.until(lambda data, client=client: closings_of(client))
        nursery.cancel_scope.cancel()
    closings = [closings_of(client)[0] for client in clients]
    assert {closing.code for closing in closings} == {1012}
    delays = [closing.retry_after for closing in closings]
    assert all(0 <= delay <= 3 for delay in delays)
    for third in range(3):  # so they don't return all at once
        assert 20 < sum(third <= delay < third + 1 for delay in delays) < 120
    served, *lines = server.log.splitlines()
    assert "is served at" in served
    assert lines.count("destroyed hook") == 200
    assert lines[-1] == "unload hook"
    assert set(lines) <= {"work begins", "destroyed hook", "unload hook"}


async def test_what_was_in_the_mailbox_is_answered_before_1012_and_health_says_draining(app):
    answers = []
    async with supervise_process(app(WORKING), "--log-level", "error") as server, trio.open_nursery() as nursery:
        client = await (await server.new_session()).connect()

        async def send():
            answers.append(await client.send("Work", seconds=0.5))

        for _ in range(3):
            nursery.start_soon(send)
        await client.until(lambda data: data["done"] == 1)
        server.terminate()
        while (health := await server.get("/-/health")).text == "ok\n":
            pass
        assert health.text == "draining\n"
        page = await server.get("/app")
        assert (page.status, page.headers["retry-after"]) == (503, "5")
        assert await server.wait_ended() == 0
        await client.until(lambda data: closings_of(client))
    assert answers == [1, 2, 3]
    kinds = [type(event).__name__ for event in client.received]
    assert kinds.count("Answered") == 3
    assert "Answered" not in kinds[kinds.index("Closing") :]
    assert [closing.code for closing in closings_of(client)] == [1012]


async def test_a_second_signal_cuts_the_work_short_and_hooks_run(app):
    arguments = ("--drain-timeout", "60", "--shutdown-timeout", "90")
    async with supervise_process(app(WORKING), *arguments) as server, trio.open_nursery() as nursery:
        client = await (await server.new_session()).connect()
        nursery.start_soon(functools.partial(client.send, "Work", seconds=80.0))
        await server.until_logged("work begins")
        server.terminate()
        await server.until_logged("timeout=90")
        began = trio.current_time()
        os.kill(server.pid, signal.SIGINT)
        assert await server.wait_ended() == 0
        assert trio.current_time() - began < 20
        nursery.cancel_scope.cancel()
    assert "timeout=6.0" in server.log
    hooks = [line for line in server.log.splitlines() if line.endswith(" hook")]
    assert hooks == ["destroyed hook", "unload hook"]


def test_the_port_is_free_while_unload_hooks_run(start, app, tmp_path, fetch):
    app("""
        import trio

        async def on_application_unload(app_context):
            print("unload hook", flush=True)
            await trio.sleep(5)

        def modify_document(doc): ...
    """)
    old = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    (url,) = old.until_served()
    assert fetch(url).status == 200
    old.send(signal.SIGTERM)
    old.until_printed("unload hook\n")
    new = start("serve", "app.py", "--port", urlsplit(url).port, cwd=tmp_path)
    assert new.until_served() == [url]
    assert fetch(url).status == 200
    assert old.end() == 0

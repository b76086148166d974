"""Errors of apps and of the system: one sentence, exit code 1."""

import json
import re
import secrets
import socket

import pytest

from supervisor.cli import options, serve

from .apps import COUNTER, assert_structured


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

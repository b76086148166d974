"""Static files, the index, health, and nothing."""

import re
import subprocess
import sys

import pytest
import trio
import trio.testing

from supervisor.server_options import ServerOptions
from supervisor.transport.web import _BROWSER_CLIENT

from .apps import app_of, serving, template


async def test_static_files_have_etags_ranges_and_types(supervise, directory):
    async with supervise(app_of(directory)) as app:
        whole = await app.get("/app/static/data.bin")
        assert (whole.status, whole.body) == (200, bytes(range(256)))
        assert whole.headers["cache-control"] == "no-cache"
        etag = whole.headers["etag"]
        unchanged = await app.get("/app/static/data.bin", headers={"If-None-Match": etag})
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert unchanged.headers["etag"] == etag
        part = await app.get("/app/static/data.bin", headers={"Range": "bytes=10-19"})
        assert (part.status, part.body) == (206, bytes(range(10, 20)))
        assert part.headers["content-range"] == "bytes 10-19/256"
        beyond = await app.get("/app/static/data.bin", headers={"Range": "bytes=500-"})
        assert beyond.status == 416
        head = await app.get("/app/static/data.bin", method="HEAD")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "256")
        assert (await app.get("/app/static/style.css")).headers["content-type"].startswith("text/css")
        assert len(app.sessions) == 0


@pytest.mark.parametrize(
    "target",
    [
        "/app/static",
        "/app/static/",
        "/app/static/missing.css",
        "/app/static/../secret.txt",
        "/app/static/%2e%2e/secret.txt",
        "/app/static/..%2fsecret.txt",
        "/app/static//etc/passwd",
        "/app/secret.txt",
        "/app/templates/index.html",
    ],
)
async def test_nothing_but_the_static_files_is_served(supervise, directory, target):
    template(directory, "x")
    async with supervise(app_of(directory)) as app:
        answer = await app.get(target)
        assert answer.status == 404
        assert "secret" not in answer.text


async def test_a_directory_without_static_files(supervise, tmp_path):
    async with supervise(app_of(tmp_path)) as app:
        assert (await app.get("/app/static/x")).status == 404


@pytest.mark.parametrize("prefix", ["", "/tools", "/deep/er"])
async def test_the_browser_client_is_served_as_modules(supervise, prefix):
    async with supervise(app_of(), options=ServerOptions(prefix=prefix)) as app:
        for file in _BROWSER_CLIENT.glob("*.js"):
            answer = await app.get(f"{prefix}/-/client/{file.name}")
            assert answer.body == file.read_bytes()
            assert "javascript" in answer.headers["content-type"]
            assert answer.headers["cache-control"] == "no-cache"
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("prefix", ["", "/tools"])
async def test_the_only_app_is_found_at_the_root(supervise, prefix):
    async with supervise(app_of(), options=ServerOptions(prefix=prefix)) as app:
        for target in (f"{prefix}/", prefix or "/"):
            answer = await app.get(target)
            assert answer.status == 307
            assert answer.headers["location"] == f"{prefix}/app"
        answer = await app.get(f"{prefix}/?symbol=a%26b")
        assert answer.headers["location"] == f"{prefix}/app?symbol=a%26b"
        assert len(app.sessions) == 0


@pytest.mark.parametrize("prefix", ["", "/tools"])
async def test_several_apps_have_an_index(autojump_clock, prefix):
    async with serving(app_of(name="one"), app_of(name="two"), prefix=prefix) as ask:
        answer = await ask(f"{prefix}/")
        assert answer.status == 200
        assert re.findall(r'<li><a href="([^"]*)">', answer.text) == [f"{prefix}/one", f"{prefix}/two"]
        assert answer.text.count("no sessions") == 2
        for name in ("one", "two"):
            assert (await ask(f"{prefix}/{name}")).status == 200


@pytest.mark.parametrize("prefix", ["", "/tools"])
async def test_the_icon_that_browsers_ask_for_by_themselves_is_nothing(supervise, prefix):
    async with supervise(app_of(), options=ServerOptions(prefix=prefix)) as app:
        answer = await app.get("/favicon.ico")
        assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("prefix", ["", "/tools"])
async def test_health_is_the_status_word_only(supervise, prefix):
    async with supervise(app_of(), options=ServerOptions(prefix=prefix)) as app:
        answer = await app.get(f"{prefix}/-/health")
        assert (answer.status, answer.text) == (200, "ok\n")
        assert answer.headers["cache-control"] == "no-store"
        assert (await app.get(f"{prefix}/-/health", method="HEAD")).status == 200


async def test_health_says_that_the_server_is_draining(supervise):
    async def on_session_destroyed(session_context):
        await trio.sleep(3)

    async with supervise(app_of(on_session_destroyed=on_session_destroyed)) as app:
        await app.get("/app")
        stream = await app.transport.connect()
        await stream.send_all(b"GET /-/health HTTP/1.1\r\nHost: localhost\r\n")
        await trio.testing.wait_all_tasks_blocked()
        app.server.stop()
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b"\r\n")
        assert (await stream.receive_some()).endswith(b"\r\n\r\ndraining\n")


@pytest.mark.parametrize(
    "target",
    [
        "/unknown",
        "/app/more",
        "/app/-/websocket",
        "/-/",
        "/-/client/",
        "/-/client/missing.js",
        "/APP",
        "//app",
        "/-/health/",
    ],
)
async def test_other_addresses_lead_to_nothing(supervise, target):
    async with supervise(app_of()) as app:
        answer = await app.get(target)
        assert answer.status == 404
        assert "Nothing is here" in answer.text
        assert len(app.sessions) == 0


@pytest.mark.parametrize(
    "target", ["/app", "/", "/-/health", "/toolsapp", "/tools/app/more", "/tools/-/health/", "/tools/tools/app"]
)
async def test_nothing_is_served_beside_the_prefix(supervise, target):
    async with supervise(app_of(), options=ServerOptions(prefix="/tools")) as app:
        answer = await app.get(target)
        assert answer.status == 404
        assert 'href="/tools/app"' in answer.text
        assert (await app.get("/tools/app")).status == 200


LOADED = """
import sys, trio
from supervisor.testing import supervise

async def main():
    async with supervise(lambda doc: None) as app:
        before = set(sys.modules)
        assert (await app.get("/-/client/banner.js")).status == 200
        print(*(name for name in sys.modules if name.startswith("anyio._backends") and name not in before))

trio.run(main)
"""


def test_the_first_static_file_loads_no_code():
    """In a process of its own. Loading it held the loop for a tenth of a second, as the log of a new app said."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

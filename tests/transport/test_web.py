"""The pages' half of the port, asked over memory streams as a browser asks."""

import contextlib
import html
import json
import re

import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import SessionRefused
from supervisor.server import Server, ServerOptions
from supervisor.testing import PageRefused
from supervisor.testing.http import get
from supervisor.testing.memory import MemoryListener
from supervisor.transport.web import _BROWSER_CLIENT


def app_of(directory=None, name="app", **namespace):
    return Application(NamespaceHandler(namespace, where=name, directory=directory), name=name)


@contextlib.asynccontextmanager
async def serving(*applications, **options):
    """A server of several applications; gives a function that asks it for a page."""
    server, listener = Server(applications, options=ServerOptions(**options)), MemoryListener()

    async def ask(target, **headers):
        return await get(await listener.connect(), target, headers=list(headers.items()))

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        yield ask
        server.stop()


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "data.bin").write_bytes(bytes(range(256)))
    (tmp_path / "static" / "style.css").write_text("p { color: red }")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


def template(directory, text):
    (directory / "templates").mkdir()
    (directory / "templates" / "index.html").write_text(text)
    return directory


# Who creates a session, and who does not.


@pytest.mark.parametrize("target", ["/app", "/app/", "/app?symbol=ABC", "/app/?a=1&b=2"])
async def test_a_pages_get_creates_a_session_without_a_redirect(supervise, target):
    async with supervise(app_of()) as app:
        page = await app.get(target)
        assert page.status == 200
        assert len(app.sessions) == 1
        assert (await app.get(target)).status == 200
        assert len(app.sessions) == 2  # each visitor has one


async def test_the_session_has_the_request_that_created_it(supervise):
    async with supervise(app_of()) as app:
        headers = {"Cookie": "a=1; b=2", "Accept-Language": "de"}
        assert (await app.get("/app?symbol=%C3%A4&symbol=x", headers=headers)).status == 200
        [session] = app.sessions
        assert session.request.arguments == {"symbol": ("ä", "x")}
        assert session.request.cookies == {"a": "1", "b": "2"}
        assert session.request.headers["accept-language"] == "de"
        assert session.request.path == "/app"
        assert session.request.remote_address is None


async def test_head_creates_no_session(supervise):
    async with supervise(app_of()) as app:
        answer = await app.get("/app", method="HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex"
        assert answer.headers["content-type"].startswith("text/html")
        assert len(app.sessions) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "Prefetch;prerender"},
        {"Purpose": "prefetch"},
    ],
)
async def test_a_prefetch_creates_no_session(supervise, headers):
    async with supervise(app_of()) as app:
        assert (await app.get("/app", headers=headers)).status == 503
        assert len(app.sessions) == 0


async def test_another_purpose_is_no_prefetch(supervise):
    async with supervise(app_of()) as app:
        assert (await app.get("/app", headers={"Sec-Purpose": "other"})).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
@pytest.mark.parametrize("target", ["/app", "/", "/-/health", "/-/client/supervisor.js"])
async def test_other_methods_are_refused_and_create_nothing(supervise, method, target):
    async with supervise(app_of()) as app:
        answer = await app.get(target, method=method)
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, HEAD"
        assert len(app.sessions) == 0


# ?session=


async def test_a_generated_id_can_be_joined_while_it_lives(supervise):
    async with supervise(app_of()) as app:
        first = await app.new_session()
        second = await app.new_session(id=first.id)
        assert second.id == first.id
        assert len(app.sessions) == 1
        await trio.sleep(16)
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id=first.id)
        assert refused.value.status == 404
        assert "This session is over" in refused.value.text


@pytest.mark.parametrize("id", ["unknown", "", "two words", "ä", "a" * 129, "../../etc"])
async def test_no_other_id_is_served_while_ids_are_generated(supervise, id):
    created = []
    async with supervise(app_of(on_session_created=created.append)) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id=id)
        assert refused.value.status == 404
        assert created == []


async def test_a_session_that_is_being_created_cannot_be_joined_by_a_guess(supervise):
    async def on_session_created(session_context):
        ids.append(session_context.id)
        await trio.sleep(1)

    ids = []
    async with supervise(app_of(on_session_created=on_session_created)) as app, trio.open_nursery() as nursery:
        nursery.start_soon(app.get, "/app")
        await trio.testing.wait_all_tasks_blocked()
        assert (await app.get(f"/app?session={ids[0]}")).status == 404


@pytest.mark.parametrize("id", ["room-1", "A.b_c~d-e", "a" * 128, "-"])
async def test_any_well_formed_id_is_served_in_that_mode(supervise, id):
    async with supervise(app_of(), options=ServerOptions(session_ids="any")) as app:
        assert (await app.new_session(id=id)).id == id
        assert (await app.new_session(id=id)).id == id
        assert [session.id for session in app.sessions] == [id]


@pytest.mark.parametrize("id", ["", "two words", "ä", "a" * 129, "a/b", "<b>", "a\n", "a\x00"])
async def test_malformed_ids_are_refused_in_that_mode(supervise, id):
    async with supervise(app_of(), options=ServerOptions(session_ids="any")) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id=id)
        assert refused.value.status == 400
        assert len(app.sessions) == 0


async def test_without_a_name_an_id_is_generated_in_that_mode_too(supervise):
    async with supervise(app_of(), options=ServerOptions(session_ids="any")) as app:
        assert len((await app.new_session()).id) == 22


async def test_requests_for_one_id_wait_for_one_creation(supervise):
    async def on_session_created(session_context):
        created.append(session_context.id)
        await trio.sleep(1)

    created, statuses = [], []

    async def ask():
        statuses.append((await app.get("/app?session=room")).status)

    options = ServerOptions(session_ids="any")
    async with supervise(app_of(on_session_created=on_session_created), options=options) as app:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert statuses == [200] * 5
        assert created == ["room"]


async def test_a_visitor_who_leaves_does_not_end_the_creation(supervise):
    async def on_session_created(session_context):
        await trio.sleep(1)

    async with supervise(app_of(on_session_created=on_session_created)) as app:
        with trio.move_on_after(0.5):
            await app.get("/app")
        await trio.sleep(1)
        assert len(app.sessions) == 1


# Who is not let in.


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SessionRefused("<only> for members"), "&lt;only&gt; for members"),
        (SessionRefused("\ud800 for members"), "? for members"),
        (SessionRefused(), "This application does not let you in."),
        (PermissionError("not shown"), "This application does not let you in."),
    ],
)
async def test_a_refusal_is_403_and_shows_its_own_reason_only(supervise, error, text):
    def on_session_created(session_context):
        raise error

    async with supervise(app_of(on_session_created=on_session_created)) as app:
        answer = await app.get("/app")
        assert answer.status == 403
        assert text in answer.text
        assert "not shown" not in answer.text
        assert len(app.sessions) == 0


async def test_a_destroyed_session_is_refused_with_its_reason(supervise):
    def on_session_created(session_context):
        session_context.destroy(reason="closed on Sundays")

    async with supervise(app_of(on_session_created=on_session_created)) as app:
        answer = await app.get("/app")
        assert answer.status == 403
        assert "closed on Sundays" in answer.text


@pytest.mark.parametrize("hook", ["on_session_created", "modify_document"])
async def test_a_failure_is_500_with_the_incident_and_no_text_of_the_exception(supervise, hook):
    def fail(context):
        raise ValueError("the password is swordfish")

    async with supervise(app_of(**{hook: fail})) as app:
        answer = await app.get("/app")
        assert answer.status == 500
        [incident] = app.incidents
        assert f"<code>{incident.id}</code>" in answer.text
        assert "swordfish" not in answer.text
        assert "ValueError" not in answer.text
        assert incident.what == hook
        app.incidents.clear()


async def test_a_full_server_says_when_to_come_back(supervise):
    options = ServerOptions(application=ApplicationOptions(max_sessions=1, linger=14.2))
    async with supervise(app_of(), options=options) as app:
        session = await app.new_session()
        await session.connect()
        answer = await app.get("/app")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "15"
        assert "Try again in 15 s" in answer.text


async def test_retry_after_is_never_zero(supervise):
    options = ServerOptions(application=ApplicationOptions(max_sessions=1, linger=0.01))
    async with supervise(app_of(), options=options) as app:
        client = (await app.new_session()).client()
        await client.until(lambda data: True)
        assert (await app.get("/app")).headers["retry-after"] == "1"


# What a page is.


async def test_the_headers_of_a_page_and_its_nonce(supervise):
    async with supervise(app_of()) as app:
        page = await app.get("/app")
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-robots-tag"] == "noindex"
        [nonce] = re.findall(r"script-src 'self' 'nonce-([\w-]{22})'", page.headers["content-security-policy"])
        assert set(re.findall(r'nonce="([^"]*)"', page.text)) == {nonce}
        assert nonce not in (await app.get("/app")).text


async def test_refusals_have_the_same_headers(supervise):
    async with supervise(app_of()) as app:
        for target in ("/app?session=none", "/unknown"):
            page = await app.get(target)
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["x-robots-tag"] == "noindex"
            assert "nonce-" in page.headers["content-security-policy"]


async def test_an_apps_template_is_its_page(supervise, directory):
    template(directory, "<p>{{ title }} {{ client_url }} {{ static_url }} {{ nonce }}</p>")
    async with supervise(app_of(directory), options=ServerOptions(prefix="/tools")) as app:
        session = await app.new_session()
        assert "<p>app /tools/-/client/supervisor.js /tools/app/static " in session.page.text
        [content] = re.findall(r'name="supervisor" content="([^"]*)"', session.page.text)
        assert json.loads(html.unescape(content))["websocket"] == "/tools/app/-/websocket"
        assert (await session.connect()).status == "live"


@pytest.mark.parametrize("text", ["{{ unknown.name }}", "{% endif %}", "{{ 1 // 0 }}", "{{ [].pop() }}"])
async def test_a_template_that_fails_is_500_with_an_incident_of_its_session(supervise, directory, text):
    template(directory, text)
    async with supervise(app_of(directory)) as app:
        answer = await app.get("/app")
        assert answer.status == 500
        [incident] = app.incidents
        assert f"<code>{incident.id}</code>" in answer.text
        assert incident.what == "templates/index.html"
        assert app.sessions[0].id.startswith(incident.session)
        assert len(incident.session) == 8
        app.incidents.clear()


# Static files, the index, health, and nothing.


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
        for name in ("one", "two"):
            assert (await ask(f"{prefix}/{name}")).status == 200


@pytest.mark.parametrize("prefix", ["", "/tools"])
async def test_health_is_the_status_word_only(supervise, prefix):
    async with supervise(app_of(), options=ServerOptions(prefix=prefix)) as app:
        answer = await app.get(f"{prefix}/-/health")
        assert (answer.status, answer.text) == (200, "ok\n")
        assert answer.headers["cache-control"] == "no-store"
        assert (await app.get(f"{prefix}/-/health", method="HEAD")).status == 200


async def test_health_says_that_the_server_is_draining(supervise):
    async def on_session_created(session_context):
        await trio.sleep(3)

    async with supervise(app_of(on_session_created=on_session_created)) as app, trio.open_nursery() as nursery:
        nursery.start_soon(app.get, "/app")
        await trio.testing.wait_all_tasks_blocked()
        stream = await app.listener.connect()
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
        assert 'href="/tools/"' in answer.text
        assert (await app.get("/tools/app")).status == 200

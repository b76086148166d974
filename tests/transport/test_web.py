"""The pages' half of the port, asked over memory streams as a browser asks."""

import contextlib
import html
import json
import math
import re
import subprocess
import sys

import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.document.json_document import JsonDocument
from supervisor.errors import SendUnsent, SessionRefused
from supervisor.identity import KeyRing
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing import PageRefused
from supervisor.testing.http import get
from supervisor.testing.memory import MemoryListener
from supervisor.transport.web import _BROWSER_CLIENT
from supervisor.transport.websocket_options import WebSocketOptions


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


# The session that the app chooses.


async def test_the_app_chooses_the_session_of_who_names_none(supervise):
    async def choose_session_id(request):
        return "board" if request.cookies.get("team") == "red" else None

    async with supervise(app_of(choose_session_id=choose_session_id)) as app:
        first = await app.new_session(cookies={"team": "red"})
        second = await app.new_session(cookies={"team": "red"})
        other = await app.new_session()
        assert first.id == second.id == "board" != other.id
        assert (await app.new_session(id=other.id, cookies={"team": "red"})).id == other.id
        assert (await app.new_session(id="board")).id == "board"
        assert len(app.sessions) == 2


@pytest.mark.parametrize("id", ["", "my board", "x" * 129, "\ud800", 7, b"board"])
async def test_an_id_that_is_none_is_500_with_an_incident(supervise, id):
    async with supervise(app_of(choose_session_id=lambda request: id)) as app:
        answer = await app.get("/app")
        assert answer.status == 500
        [incident] = app.incidents
        assert incident.what == "choose_session_id"
        assert incident.id in answer.text
        assert len(app.sessions) == 0
        app.incidents.clear()


async def test_a_choice_that_fails_is_500_with_an_incident_and_one_that_refuses_is_403(supervise):
    error = LookupError("swordfish")

    def choose_session_id(request):
        raise error

    async with supervise(app_of(choose_session_id=choose_session_id)) as app:
        answer = await app.get("/app")
        assert answer.status == 500
        assert "swordfish" not in answer.text
        assert [incident.error for incident in app.incidents] == [error]
        app.incidents.clear()
        error = SessionRefused("closed on Sundays")
        answer = await app.get("/app")
        assert (answer.status, "closed on Sundays" in answer.text) == (403, True)
        assert len(app.sessions) == 0


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
        assert 'href="/app">Try again' in answer.text
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


async def test_a_full_server_whose_sessions_never_expire_says_when_to_come_back_all_the_same(supervise):
    options = ServerOptions(application=ApplicationOptions(max_sessions=1, linger=math.inf))
    async with supervise(app_of(), options=options) as app:
        await (await app.new_session()).connect()
        answer = await app.get("/app")
        assert (answer.status, answer.headers["retry-after"]) == (503, "3600")


async def test_retry_after_is_never_zero(supervise):
    options = ServerOptions(application=ApplicationOptions(max_sessions=1, linger=0.01))
    async with supervise(app_of(), options=options) as app:
        client = (await app.new_session()).client()
        await client.until(lambda data: True)
        assert (await app.get("/app")).headers["retry-after"] == "1"


def note_refusals(app):
    """Who is not let in from now on, as (application, reason, incident)."""
    refused = []

    def note(*, application, reason, incident, session=None):
        refused.append((application, reason, incident))

    instruments = app.server.runtime.instruments
    instruments.session_refused = instruments.session_had_no_room = instruments.page_refused = note
    return refused


async def test_a_refused_visitor_is_told_an_incident_that_is_logged(supervise):
    def on_session_created(session_context):
        raise SessionRefused("members only")

    async with supervise(app_of(on_session_created=on_session_created)) as app:
        refused = note_refusals(app)
        answer = await app.get("/app?a=%22b")
    [(application, reason, incident)] = refused
    assert (application, reason) == ("app", "members only")
    assert re.fullmatch("[0-9a-f]{8}", incident)
    assert f"<code>{incident}</code>" in answer.text
    assert 'href="/app?a=%22b">Try again' in answer.text


async def test_who_comes_without_a_signed_link_is_told_an_incident_that_is_logged(supervise):
    options = ServerOptions(session_ids="external-signed", keys=KeyRing((b"k" * 32,)))
    async with supervise(app_of(), options=options) as app:
        refused = note_refusals(app)
        answers = [await app.get(target) for target in ("/app", "/app?session=forged")]
    assert [answer.status for answer in answers] == [403, 403]
    for answer, (_, _, incident) in zip(answers, refused, strict=True):
        assert f"<code>{incident}</code>" in answer.text


async def test_who_finds_no_room_is_told_an_incident_that_is_logged(supervise, nursery):
    async def modify_document(doc):
        await trio.sleep(1)

    options = ServerOptions(application=ApplicationOptions(max_sessions=1, max_creating=1, creating_timeout=0.1))
    async with supervise(app_of(modify_document=modify_document), options=options) as app:
        refused = note_refusals(app)
        for _ in range(2):
            nursery.start_soon(app.get, "/app")
        await trio.sleep(0.5)
    assert [(application, len(incident)) for application, _, incident in refused] == [("app", 8)] * 2
    assert refused[0][1].startswith("live sessions: ")


async def test_who_finds_nothing_is_told_an_incident_that_is_logged(supervise):
    """The log has the address, for who is asked about it, but neither all of a long one nor its query."""
    async with supervise(app_of()) as app:
        refused = note_refusals(app)
        answers = [await app.get(target) for target in ("/app?session=gone", "/nothing?token=secret", "/" + "x" * 1000)]
    assert [(application, reason) for application, reason, _ in refused] == [
        ("app", "404 This session is over: /app"),
        ("-", "404 Nothing is here: /nothing"),
        ("-", "404 Nothing is here: /" + "x" * 199),
    ]
    for answer, (_, _, incident) in zip(answers, refused, strict=True):
        assert answer.status == 404
        assert f"<code>{incident}</code>" in answer.text


async def test_who_comes_while_the_server_goes_down_is_told_an_incident_that_is_logged(supervise):
    async with supervise(app_of()) as app:
        refused = note_refusals(app)
        stream = await app.transport.connect()
        app.actor.stop(deadline=trio.current_time() + 10)
        answer = await get(stream, "/app")
    [(application, reason, incident)] = refused
    assert (answer.status, application, reason) == (503, "app", "503 Restarting: /app")
    assert f"<code>{incident}</code>" in answer.text


async def test_a_page_that_we_fail_to_make_is_an_incident_too(supervise, monkeypatch):
    async with supervise(app_of()) as app:
        monkeypatch.setattr(app.server.applications["app"], "open_session", None)
        answer = await app.get("/app")
        assert answer.status == 500
        [incident] = app.incidents
        assert (incident.what, incident.application) == ("page", "-")
        assert f"<code>{incident.id}</code>" in answer.text
        assert "TypeError" not in answer.text
        app.incidents.clear()


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


async def test_a_template_has_the_document_and_cannot_change_it(supervise, directory):
    template(directory, "<body>{{ data.prices.ACME }}{% set _ = data.prices.clear() %}</body>")

    def modify_document(doc):
        doc.data = {"prices": {"ACME": 12.5}}

    async with supervise(app_of(directory, modify_document=modify_document)) as app:
        session = await app.new_session()
        assert session.page.text.partition("<body>")[2].startswith("12.5<script")
        client = await session.connect()
        assert client.data == {"prices": {"ACME": 12.5}}
        data = json.loads(re.search(r'id="supervisor-data" nonce="[^"]*">(.*?)</script>', session.page.text)[1])
        actor = app.actor.find(session.id)
        assert data == {"epoch": actor.epoch, "revision": 1, "data": client.data}


async def test_who_joins_is_shown_the_document_only_once_the_opened_hook_has_let_them_in(supervise, directory):
    template(
        directory, "<body>{{ data.secret }}{{ data.deep.er|tojson }}{% for each in data['list'] %}x{% endfor %}</body>"
    )

    def modify_document(doc):
        doc.data = {"secret": "swordfish", "deep": {"er": 1}, "list": [1]}

    def on_connection_opened(session_context, connection):
        if connection.request.headers.get("user") != "ann":
            raise SessionRefused("Only Ann.")

    hooked = app_of(directory, modify_document=modify_document, on_connection_opened=on_connection_opened)
    async with supervise(hooked) as app:
        first = await app.new_session(headers={"user": "ann"})
        assert "<body>swordfish1x<script" in first.page.text
        assert (await first.connect()).data["secret"] == "swordfish"
        joining = await app.get(f"/app?session={first.id}")
        assert joining.status == 200
        assert "<body>null</body>" in joining.text
        assert "swordfish" not in joining.text
        assert "supervisor-data" not in joining.text


async def test_where_no_hook_says_who_may_join_the_page_shows_the_document_to_all(supervise, directory):
    template(directory, "<body>{{ data.n }}</body>")
    async with supervise(app_of(directory, modify_document=lambda doc: doc.data.update(n=7))) as app:
        first = await app.new_session()
        await first.connect()
        assert "<body>7<script" in (await app.get(f"/app?session={first.id}")).text


async def test_a_page_says_how_large_a_message_may_be_and_its_client_sends_no_larger_one(supervise):
    namespace = {"modify_document": lambda doc: doc.allow_edits("/note")}
    options = ServerOptions(websocket=WebSocketOptions(max_message_size=2_000))
    async with supervise(app_of(**namespace), options=options) as app:
        client = await (await app.new_session()).connect()
        with pytest.raises(SendUnsent, match="the server takes 2,000"):
            await client.edit("/note", "x" * 2_000)
        longest = "x" * (2_000 - 170)
        await client.edit("/note", longest)
        assert client.data == {"note": longest}


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


# Ids that another program signs.

KEYS = KeyRing((b"old key, 16 byte", b"new key, 16 byte"))


@contextlib.asynccontextmanager
async def signed_only(supervise, **namespace):
    options = ServerOptions(session_ids="external-signed", keys=KEYS)
    async with supervise(app_of(**namespace), options=options) as app:
        yield app


async def test_a_signed_id_makes_and_joins_the_session_that_it_names(supervise):
    async with signed_only(supervise) as app:
        now = app.clock.wall()
        for expires in (None, now + 60, now + 120):  # other links, one session
            signed = KEYS.sign_id("board-7", expires=expires)
            assert (await app.get(f"/app?session={signed}")).status == 200
        assert [session.id for session in app.sessions] == ["board-7"]
        old = KeyRing(KEYS.keys[:1]).sign_id("board-8", expires=None)
        assert (await app.get(f"/app?session={old}")).status == 200
        assert len(app.sessions) == 2


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "opened by a link that another program makes"),
        ("?session=", "not complete"),
        ("?session=board-7", "not complete, or was not made for this server"),
        ("?session=board-7.never.AAAA", "not complete"),
        ("?session=" + KeyRing((b"other key, 16 by",)).sign_id("board-7", expires=None), "not complete"),
        ("?session=" + KEYS.sign_id("board-7", expires=-1), "has expired. Get a new one where you found it"),
        ("?session=%FF%00", "not complete"),
    ],
)
async def test_whoever_has_no_signed_id_gets_one_sentence_and_no_session(supervise, query, sentence):
    async with signed_only(supervise) as app:
        page = await app.get(f"/app{query}")
        assert page.status == 403
        assert sentence in html.unescape(page.text)
        assert not app.sessions
        # An id alone joins nothing, not even a session that lives.
        assert (await app.get(f"/app?session={KEYS.sign_id('live', expires=None)}")).status == 200
        assert (await app.get("/app?session=live")).status == 403


async def test_an_app_may_choose_for_whoever_has_no_signed_id(supervise):
    async with signed_only(supervise, choose_session_id=lambda request: "lobby") as app:
        assert (await app.get("/app")).status == 200
        assert [session.id for session in app.sessions] == ["lobby"]
        assert (await app.get("/app?session=lobby")).status == 403


async def test_a_page_of_a_signed_id_attaches_and_comes_back(supervise):
    async with signed_only(supervise, modify_document=lambda doc: doc.data.update(a=1)) as app:
        session = await app.new_session(id=KEYS.sign_id("board-7", expires=None))
        client = await session.connect()
        assert client.data == {"a": 1}
        assert session.id == "board-7"


async def test_ids_can_only_be_signed_with_keys_that_are_known():
    with pytest.raises(ValueError, match="needs the keys that ids are signed with"):
        Server([app_of()], options=ServerOptions(session_ids="external-signed"))


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


async def test_a_page_and_its_connection_share_one_encoded_document(supervise, monkeypatch, autojump_clock):
    encoded, real = [], JsonDocument.snapshot
    monkeypatch.setattr(JsonDocument, "snapshot", lambda document: encoded.append(1) or real(document))
    async with supervise(app_of(modify_document=lambda doc: doc.data.update(n=1))) as running:
        session = await running.new_session()
        client = await session.connect()
        assert client.data == {"n": 1}
        assert len(encoded) == 1

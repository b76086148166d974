"""What a page is: its headers, its template, its document."""

import html
import json
import re

import pytest

from supervisor.document.json_document import JsonDocument
from supervisor.errors import SendUnsent, SessionRefused
from supervisor.server_options import ServerOptions
from supervisor.transport.websocket_options import WebSocketOptions

from .apps import app_of, template


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


async def test_a_page_and_its_connection_share_one_encoded_document(supervise, monkeypatch, autojump_clock):
    encoded, real = [], JsonDocument.snapshot
    monkeypatch.setattr(JsonDocument, "snapshot", lambda document: encoded.append(1) or real(document))
    async with supervise(app_of(modify_document=lambda doc: doc.data.update(n=1))) as running:
        session = await running.new_session()
        client = await session.connect()
        assert client.data == {"n": 1}
        assert len(encoded) == 1

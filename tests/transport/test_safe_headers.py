"""What browsers are told of every address, and that no page of ours has what its own policy forbids."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import trio
from starlette.routing import Mount

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.client.http import exchange
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.memory import MemoryListener
from supervisor.transport.safe_headers import OPENER_POLICY, SAFE_HEADERS, SafeHeaders, content_policy


class Elements(HTMLParser):
    """Complains of what a policy without 'unsafe-inline' forbids."""

    def __init__(self, policy):
        super().__init__()
        self.policy = policy
        self.complaints = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if any(name.startswith("on") or name == "style" for name in attrs):
            self.complaints.append((tag, attrs))
        if tag in ("script", "style") and f"'nonce-{attrs.get('nonce')}'" not in self.policy:
            self.complaints.append((tag, attrs))
        if any((attrs.get(name) or "").strip().lower().startswith("javascript:") for name in ("href", "src", "action")):
            self.complaints.append((tag, attrs))


def check(answer):
    """The headers of one answer; returns its policy, as a dictionary."""
    assert {name: answer.headers.get(name.lower()) for name in SAFE_HEADERS} | SAFE_HEADERS == SAFE_HEADERS
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["object-src"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'self' https://friend.example"
    assert "unsafe" not in answer.headers["content-security-policy"]
    if answer.headers.get("content-type", "").startswith("text/html"):
        elements = Elements(answer.headers["content-security-policy"])
        elements.feed(answer.text)
        elements.close()
        assert elements.complaints == []
    return policy


@pytest.fixture
async def serve(nursery, autojump_clock, tmp_path):
    """A server with an app of its own pages and files, one with neither, one that refuses, and one that fails."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_text("a")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "index.html").write_text('<h1>Hi</h1><script nonce="{{ nonce }}">1</script>')

    def refuse(session_context):
        session_context.destroy(reason="<script>no</script>")

    def application(name, directory=None, **namespace):
        return Application(NamespaceHandler(namespace, where=name, directory=directory), name=name)

    applications = [
        application("own", tmp_path),
        application("generic", modify_document=lambda doc: doc.data.update(text="</script><img src=x onerror=a()>")),
        application("refusing", on_session_created=refuse),
        application("failing", modify_document=lambda doc: 1 / 0),
    ]

    async def start(**options):
        server = Server(applications, options=ServerOptions(allow_embedding=("https://friend.example",), **options))
        server.runtime.instruments.failed = lambda incident: None
        listener = MemoryListener()
        await nursery.start(server.serve, [listener])

        async def ask(target, *, method="GET", headers=None):
            sent = {"Host": "localhost"} | (headers or {})
            return await exchange(await listener.connect(), target, headers=[*sent.items()], method=method)

        return server, ask

    yield start
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("target", "status", "options"),
    [
        ("/", 200, {}),
        ("/own", 200, {}),
        ("/own/", 200, {}),
        ("/own", 200, {"method": "HEAD"}),
        ("/own", 405, {"method": "POST"}),
        ("/own", 503, {"headers": {"Sec-Purpose": "prefetch"}}),
        ("/own?session=none", 404, {}),
        ("/generic", 200, {}),
        ("/refusing", 403, {}),
        ("/failing", 500, {}),
        ("/own/static/a.txt", 200, {}),
        ("/own/static/a.txt", 206, {"headers": {"Range": "bytes=0-0"}}),
        ("/own/static/a.txt", 416, {"headers": {"Range": "bytes=9-9"}}),
        ("/own/static/a.txt", 405, {"method": "POST"}),
        ("/own/static/none.txt", 404, {}),
        ("/-/client/supervisor.js", 200, {}),
        ("/-/client/generic.css", 200, {}),
        ("/-/health", 200, {}),
        ("/favicon.ico", 204, {}),
        ("/nowhere/<script>", 404, {}),
    ],
)
async def test_every_address_sends_them(serve, target, status, options):
    _, ask = await serve()
    answer = await ask(target, **options)
    assert answer.status == status
    policy = check(answer)
    is_page = answer.headers.get("content-type", "").startswith("text/html") and options.get("method") != "HEAD"
    assert ("nonce-" in policy["script-src"]) == ("nonce-" in policy["style-src"]) == is_page
    assert OPENER_POLICY[0].lower() not in answer.headers


async def test_every_route_sends_them(serve):
    """Those above are known; this finds what is new. Of a websocket the head is the library's."""
    server, ask = await serve()
    routes = server._reception._web_app._app.routes
    assert len(routes) > 10
    for route in routes:
        check(await ask(f"{route.path}/none" if isinstance(route, Mount) else route.path))


async def test_a_copy_that_is_fresh_sends_them(serve):
    _, ask = await serve()
    fresh = (await ask("/own/static/a.txt")).headers["etag"]
    answer = await ask("/own/static/a.txt", headers={"If-None-Match": fresh})
    assert answer.status == 304
    check(answer)


async def test_a_full_server_sends_them(serve):
    _, ask = await serve(application=ApplicationOptions(max_sessions=1))
    await ask("/own")
    answer = await ask("/own")
    assert answer.status == 503
    check(answer)


async def test_the_way_to_the_only_app_sends_them(supervise):
    async with supervise(Application(NamespaceHandler({}, where="app"), name="app")) as app:
        answer = await app.get("/")
        assert answer.status == 307
        assert {name: answer.headers.get(name.lower()) for name in SAFE_HEADERS} == SAFE_HEADERS
        assert answer.headers["content-security-policy"] == content_policy()


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"X-Long": "x" * 20_000}, 431)],
)
async def test_a_refusal_without_a_page_may_do_nothing_at_all(serve, headers, status):
    _, ask = await serve()
    answer = await ask("/own", headers=headers)
    assert answer.status == status
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"
    for name in ("Cross-Origin-Resource-Policy", "Referrer-Policy", "X-Content-Type-Options"):
        assert answer.headers[name.lower()] == SAFE_HEADERS[name]


async def test_a_failure_where_nothing_is_ours_sends_them(serve, monkeypatch):
    monkeypatch.setattr("supervisor.transport.web._StaticFiles.get_response", lambda *_: 1 / 0)
    _, ask = await serve()
    answer = await ask("/own/static/a.txt")
    assert answer.status == 500
    check(answer)


@pytest.mark.parametrize(("scheme", "sent"), [("http", None), ("https", "same-origin-allow-popups")])
async def test_who_opens_a_page_is_cut_off_over_tls(scheme, sent):
    """Elsewhere browsers ignore it, and complain. An answer's own headers win."""
    started = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"referrer-policy", b"origin")]})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message):
        await trio.lowlevel.checkpoint()
        started.append(message)

    await SafeHeaders(app, ())({"type": "http", "scheme": scheme}, None, send)
    headers = {name.decode(): value.decode() for name, value in started[0]["headers"]}
    assert headers.get(OPENER_POLICY[0].lower()) == sent
    assert headers["referrer-policy"] == "origin"
    assert len(headers) == len(started[0]["headers"])
    assert started[1] == {"type": "http.response.body", "body": b"x"}


def test_a_policy_names_a_nonce_for_scripts_and_styles_alone():
    policy = dict(part.split(" ", 1) for part in content_policy(nonce="n").split("; "))
    assert [name for name, value in policy.items() if "'nonce-n'" in value] == ["script-src", "style-src"]
    assert "nonce" not in content_policy()


def test_the_documentation_has_the_headers():
    text = (Path(__file__).parents[2] / "docs" / "explanation" / "security.md").read_text()
    rows = dict(re.findall(r"^\| ([\w-]+) \| `([^`]*)` \|", text, re.MULTILINE))
    policy = content_policy(nonce="…")
    assert rows == {**SAFE_HEADERS, OPENER_POLICY[0]: OPENER_POLICY[1], "Content-Security-Policy": policy}

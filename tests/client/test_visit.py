"""Visits to pages: redirects, cookies, headers, refusals."""

import pytest

from supervisor.client.address import page_address
from supervisor.client.dialing import Dialer
from supervisor.client.visit import MAX_REDIRECTS, Visitor, check_headers
from supervisor.errors import ConnectFailed, PageRefused
from tests.client.conftest import answer, page, redirect


def visitor(scripted, **options):
    return Visitor(Dialer(scripted.open_stream), **options)


async def visit(scripted, url=None, **options):
    return await visitor(scripted, **options).visit(page_address(url or scripted.url))


async def test_a_page_leads_to_its_websocket(scripted, autojump_clock):
    visited = await visit(scripted, "http://server.example:81/app?a=b", headers=[("X-Own", "1"), ("X-Own", "2")])
    (asked,) = scripted.asked
    assert (asked.host, asked.port, asked.target) == ("server.example", 81, "/app?a=b")
    assert asked.headers["host"] == "server.example:81"
    assert asked.headers["user-agent"].startswith("session-supervisor/")
    assert (visited.entry.session, visited.entry.token) == ("s-1", "t-1")
    assert (visited.websocket.authority, visited.websocket.target) == ("server.example:81", "/app/-/websocket")
    assert visited.headers[:2] == (("X-Own", "1"), ("X-Own", "2"))
    assert "Own" not in repr(visited)


async def test_redirects_are_followed(scripted, autojump_clock):
    scripted.pages = [redirect("/app"), redirect("sub/app?x=1", status=308), answer(body=page())]
    visited = await visit(scripted, "http://server.example/")
    assert [asked.target for asked in scripted.asked] == ["/", "/app", "/sub/app?x=1"]
    assert visited.websocket.target == "/app/-/websocket"


@pytest.mark.parametrize(
    ("pages", "url", "text", "asked"),
    [
        (
            [redirect("/again")],
            "http://server.example/",
            "http://server.example/ redirects from one address to the next and never to a page",
            MAX_REDIRECTS + 1,
        ),
        ([redirect("mailto:ada@example.org")], "http://a/", "http://a/ redirects to another address, but 'mailto:", 1),
    ],
)
async def test_redirects_that_lead_nowhere_are_told(scripted, pages, url, text, asked, autojump_clock):
    scripted.pages = pages
    with pytest.raises(ConnectFailed) as caught:
        await visit(scripted, url)
    assert str(caught.value).startswith(text)
    assert len(scripted.asked) == asked


async def test_a_redirect_away_from_tls_is_not_followed(scripted, monkeypatch, autojump_clock):
    monkeypatch.setattr(Dialer, "_encrypt", lambda self, stream, address: scripted.open_stream("", 0))
    scripted.pages = [redirect("http://server.example/app")]
    with pytest.raises(ConnectFailed, match=r"which isn't encrypted$"):
        await visit(scripted, "https://server.example/app")


async def test_cookies_of_the_page_go_with_the_next_request_and_the_websocket(scripted, autojump_clock):
    scripted.pages = [
        redirect("/app").replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=1; HttpOnly\r\nSet-Cookie: p=2; Path=/app\r\n\r\n"),
        answer(body=page(), set_cookie="secret=3; Secure"),
    ]
    ours = visitor(scripted, headers=[("cookie", "own=0")])
    visited = await ours.visit(page_address("http://server.example/"))
    assert scripted.asked[0].headers["cookie"] == "own=0"
    assert set(scripted.asked[1].headers["cookie"].split("; ")) == {"own=0", "a=1", "p=2"}
    cookies = dict(visited.headers)["Cookie"].split("; ")
    assert set(cookies) == {"own=0", "a=1", "p=2"}
    await ours.visit(page_address("http://server.example/"))
    assert set(scripted.asked[2].headers["cookie"].split("; ")) == {"own=0", "a=1"}


async def test_a_cookie_comes_back_byte_by_byte(scripted, autojump_clock):
    scripted.pages = [
        redirect("/app").replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=caf\xe9\r\n\r\n"),
        answer(body=page()),
    ]
    visited = await visit(scripted, "http://server.example/")
    assert scripted.asked[1].headers["cookie"] == "a=café"
    assert dict(visited.headers)["Cookie"] == "a=café"


async def test_what_is_meant_for_one_server_goes_to_no_other(scripted, autojump_clock):
    scripted.pages = [
        redirect("http://other.example/app").replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=1\r\n\r\n"),
        answer(body=page()),
    ]
    visited = await visit(
        scripted, "http://ada:secret@server.example/", headers=[("Cookie", "own=0"), ("X-Key", "secret")]
    )
    first, second = scripted.asked
    assert first.headers["authorization"].startswith("Basic ")
    assert first.headers["x-key"] == "secret"
    assert {"cookie", "x-key", "authorization"} & second.headers.keys() == set()
    assert [name for name, _ in visited.headers] == ["User-Agent"]


async def test_an_own_authorization_counts_more_than_the_password_in_the_address(scripted, autojump_clock):
    visited = await visit(scripted, "http://ada:secret@server.example/", headers=[("authorization", "Bearer x")])
    assert dict(visited.headers)["authorization"] == "Bearer x"
    assert "Authorization" not in dict(visited.headers)


@pytest.mark.parametrize(
    ("given", "status", "retry_after", "said"),
    [
        (answer(403, "<h1>No entry</h1><p>Please log in."), 403, None, "No entry. Please log in"),
        (answer(503, "<h1>Busy</h1>", retry_after="7"), 503, 7.0, "Busy"),
        (answer(503, "", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 503, None, "it says no more"),
        (answer(304), 304, None, "it says no more"),
        (answer(302), 302, None, "it says no more"),
    ],
)
async def test_a_page_that_is_refused_says_why(scripted, given, status, retry_after, said, autojump_clock):
    scripted.pages = [given]
    with pytest.raises(PageRefused) as caught:
        await visit(scripted)
    assert str(caught.value) == f"http://server.example/app answers with status {status}: {said}"
    assert (caught.value.status, caught.value.retry_after) == (status, retry_after)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            answer(body="<html>hello"),
            r"^http://server.example/app is not the page of a session, .* give the address of an",
        ),
        (answer(body=page(websocket="ftp://a/b")), "^http://server.example/app names a websocket, but 'ftp://a/b' is"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "^server.example doesn't answer as a web server: no complete response"),
        (b"", "^server.example doesn't answer as a web server: no complete response"),
    ],
)
async def test_what_is_no_page_of_a_session_is_one_sentence(scripted, given, said, autojump_clock):
    scripted.pages = [given]
    with pytest.raises(ConnectFailed, match=said):
        await visit(scripted)


async def test_a_network_that_is_down_is_one_sentence(scripted, autojump_clock):
    scripted.fails = OSError("all is dark")
    with pytest.raises(ConnectFailed, match=r"^server.example can't be reached: all is dark$"):
        await visit(scripted)


@pytest.mark.parametrize("name", ["Host", "connection", "Sec-WebSocket-Key", "Upgrade", "Content-Length"])
def test_headers_of_the_connection_are_not_the_users(name):
    with pytest.raises(ValueError, match=f"the header '{name}' is set by the client itself"):
        check_headers([(name, "x")])


def test_headers_that_can_not_be_sent_are_refused_at_the_door():
    with pytest.raises(ValueError, match="HTTP can't carry this request"):
        check_headers([("X-A", "b\r\nX-B: c")])

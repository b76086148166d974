"""Which requests create a session, and which do not."""

import pytest

from .apps import app_of


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

"""Who is not let in, and what they read."""

import math
import re

import pytest
import trio

from supervisor.application.options import ApplicationOptions
from supervisor.errors import SessionRefused
from supervisor.identity import KeyRing
from supervisor.server_options import ServerOptions
from supervisor.testing.http import get

from .apps import app_of


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

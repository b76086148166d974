"""Ids that another program signs."""

import contextlib
import html

import pytest

from supervisor.identity import KeyRing
from supervisor.server import Server
from supervisor.server_options import ServerOptions

from .apps import app_of

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
    with pytest.raises(ValueError, match="needs the keys that sign ids"):
        Server([app_of()], options=ServerOptions(session_ids="external-signed"))

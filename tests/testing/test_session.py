"""One session in a test, as its visitor has it."""

import pytest

from supervisor.server_options import ServerOptions


def modify_document(doc):
    doc.data["n"] = 1


async def test_a_session_as_its_visitor_has_it(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session(headers={"Accept-Language": "de"}, cookies={"a": "1", "b": "2"})
        assert session.context.request.headers["accept-language"] == "de"
        assert session.context.request.cookies == {"a": "1", "b": "2"}
        assert session.context.id == session.id
        assert session.page.status == 200
        assert app.sessions[0] is session.context
        session.context.destroy()
        with pytest.raises(LookupError, match="has ended"):
            session.context


async def test_a_session_may_be_named_and_joined(supervise):
    async with supervise(modify_document, options=ServerOptions(session_ids="any", prefix="/tools")) as app:
        first, second = await app.new_session(id="room"), await app.new_session(id="room")
        assert first.context is second.context
        assert (await first.connect()).data == (await second.connect()).data


async def test_a_sessions_clients_connect_with_the_headers_and_cookies_of_its_page(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session(headers={"X-Remote-User": "ada"}, cookies={"team": "red"})
        await session.connect()
        [connection] = session.context.connections
        assert connection.request.headers["x-remote-user"] == "ada"
        assert connection.request.cookies == {"team": "red"}

"""One session in a test, as its visitor has it."""

import pytest

from supervisor.errors import PageRefused
from supervisor.server_options import ServerOptions
from supervisor.testing import Conditions
from supervisor.transport.web import make_web_app


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


async def test_whether_a_client_follows_is_true_or_false(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session()
        with pytest.raises(TypeError, match=r"^follow_reload must be True or False, not 'no'$"):
            await session.connect(follow_reload="no")


async def test_a_network_is_no_condition(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session()
        with pytest.raises(
            TypeError, match=r"^network is a Network, as in Network\(down=Conditions\(.*, not Conditions\("
        ):
            await session.connect(network=Conditions(delay=0.2))


async def test_a_session_may_be_named_and_joined(supervise):
    async with supervise(modify_document, options=ServerOptions(session_ids="any", prefix="/tools")) as app:
        first, second = await app.new_session(id="room"), await app.new_session(id="room")
        assert first.context is second.context
        assert (await first.connect()).data == (await second.connect()).data


async def test_an_id_that_nobody_may_choose_says_who_may(supervise):
    async with supervise(modify_document) as app:
        with pytest.raises(PageRefused, match="status 404") as caught:
            await app.new_session(id="desk")
        [note] = caught.value.__notes__
        assert note.startswith(
            "no session has the id 'desk' now; a test may choose ids with supervise(app, options=Serv"
        )
        with pytest.raises(PageRefused) as caught:
            await app.new_session(query={"session": "desk"})  # the page as it is
        assert not hasattr(caught.value, "__notes__")


async def test_a_sessions_clients_connect_with_the_headers_and_cookies_of_its_page(supervise):
    async with supervise(modify_document) as app:
        session = await app.new_session(headers={"X-Remote-User": "ada"}, cookies={"team": "red"})
        await session.connect()
        [connection] = session.context.connections
        assert connection.request.headers["x-remote-user"] == "ada"
        assert connection.request.cookies == {"team": "red"}


async def test_cookies_that_pages_set_are_sent_as_by_the_windows_of_one_browser(supervise, monkeypatch):
    """With each websocket, and when a page is loaded again, which may set others."""
    visits = []

    def counting_visits(site):
        """As middleware does that stands before the server."""
        inner = make_web_app(site)

        async def web_app(scope, receive, send):
            async def send_with_cookie(message):
                if message["type"] == "http.response.start":
                    visits.append(dict(scope["headers"]).get(b"cookie"))
                    message["headers"] = [*message["headers"], (b"set-cookie", b"visit=%d; HttpOnly" % len(visits))]
                await send(message)

            await inner(scope, receive, send_with_cookie)

        return web_app

    monkeypatch.setattr("supervisor.server.make_web_app", counting_visits)
    async with supervise(modify_document) as app:
        session = await app.new_session(cookies={"team": "red"})
        client, neighbour = await session.connect(), await session.connect()
        assert [each.request.cookies for each in session.context.connections] == [{"team": "red", "visit": "1"}] * 2
        await app.restart()
        for each in (client, neighbour):
            await each.until(lambda data, each=each: each.session != session.id)
        assert visits == [b"team=red", b"team=red; visit=1", b"team=red; visit=2"]
        assert sorted(each.request.cookies["visit"] for session in app.sessions for each in session.connections) == [
            "2",
            "3",
        ]

"""What a server is made of, and what is refused; its ids and tokens."""

import attrs
import pytest

from supervisor.errors import ApplicationError
from supervisor.identity import KeyRing
from supervisor.instruments import Instruments
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.transport.websocket_options import WebSocketOptions

from .running import app_of


def test_a_server_needs_an_application():
    with pytest.raises(ValueError, match="at least one"):
        Server([])


def test_two_applications_of_one_name_are_an_error():
    with pytest.raises(ApplicationError, match="two applications are named 'app'; rename one"):
        Server([app_of(), app_of()])


def test_a_message_that_cannot_be_decoded_is_an_error_of_the_application():
    class Plain:
        pass

    def on_plain(doc, message):
        pass

    with pytest.raises(ApplicationError, match=r"application 'app': .*Plain"):
        Server([app_of(on_plain=receives(Plain, from_client=True)(on_plain))])


def test_a_wrong_origin_is_refused():
    with pytest.raises(ValueError, match="is not an origin"):
        Server([app_of()], options=ServerOptions(allow_origins=("*",)))


def test_a_server_says_what_it_serves():
    server = Server([app_of("one"), app_of("two")])
    assert repr(server) == "<Server one, two>"
    assert list(server.applications) == ["one", "two"]


# Ids and tokens.


async def test_logs_show_8_characters_of_generated_ids_and_all_of_public_ones(serve):
    run = await serve(app_of())
    await run.get()
    [session] = run.server.applications["app"].context.sessions
    assert run.server.applications["app"].find(session.id).shown_id == session.id[:8]
    assert len(session.id) == 22
    run = await serve(app_of(), session_ids="any")
    await run.get("/app?session=a-public-name")
    assert run.server.applications["app"].find("a-public-name").shown_id == "a-public-name"


async def test_a_token_outlives_a_restart_if_the_key_does(serve, nursery):
    keys = KeyRing((b"k" * 32,))
    pages = []
    for options in ({"keys": keys}, {"keys": keys}, {}):
        run = await serve(app_of(), session_ids="any", **options)
        session = await run.clients(nursery).new_session(id="room")
        if pages:
            entry = attrs.evolve(session._visit.entry, token=pages[0]._visit.entry.token)
            session._visit = attrs.evolve(session._visit, entry=entry)
        pages.append(session)
        client = session.client(follow_reload=False)
        if options:
            await client.until(lambda data: True)
        else:
            assert (await client.until_ended()).code == 4401
        run.server.stop()
        await run.server.wait_stopped()


def test_the_defaults_are_what_the_issue_says():
    options = ServerOptions()
    assert (options.prefix, options.allow_origins, options.session_ids) == ("", (), "generated")
    assert (options.token_max_age, options.shutdown_timeout) == (300.0, 20.0)
    assert isinstance(options.websocket, WebSocketOptions)
    assert isinstance(Server([app_of()]).runtime.instruments, Instruments)

"""A server that is restarted under its clients."""

import pytest
import trio

from supervisor.errors import ApplicationError
from supervisor.server_options import ServerOptions


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "shop.py"
    file.write_text("opened = []\ndef modify_document(doc):\n    opened.append(1)\n    doc.data['n'] = len(opened)\n")
    return file


@pytest.mark.schedules(10)
async def test_a_restart_ends_sessions_and_hooks_and_begins_anew(supervise, tmp_path):
    log = tmp_path / "log"
    file = tmp_path / "shop.py"
    file.write_text(
        "import pathlib\n"
        f"log = pathlib.Path({str(log)!r})\n"
        "def note(what): log.write_text((log.read_text() if log.exists() else '') + what + ' ')\n"
        "def on_application_load(app_context): note('load')\n"
        "def on_application_unload(app_context): note('unload')\n"
        "def on_session_destroyed(session_context): note('destroyed')\n"
        "def modify_document(doc): doc.data['n'] = 1\n"
    )
    async with supervise(file) as app:
        before, session = app.server, await app.new_session()
        await app.restart()
        assert app.server is not before
        assert log.read_text() == "load destroyed unload load "
        with pytest.raises(LookupError, match="has ended"):
            session.context
        assert list(app.sessions) == []
        client = await (await app.new_session()).connect()
        assert client.data == {"n": 1}
    assert log.read_text() == "load destroyed unload load destroyed unload "


async def test_an_app_of_a_path_is_loaded_anew(supervise, script):
    """As by another process: what it had in memory is gone."""
    async with supervise(script) as app:
        assert [(await (await app.new_session()).connect()).data["n"] for _ in range(2)] == [1, 2]
        await app.restart()
        assert (await (await app.new_session()).connect()).data == {"n": 1}


async def test_keys_outlive_a_restart(supervise, script):
    async with supervise(script, options=ServerOptions(session_ids="any")) as app:
        session = await app.new_session(id="room")
        await app.restart()
        await app.new_session(id="room")  # the id exists again, and the token of the page before is good for it
        assert (await session.connect()).data == {"n": 1}


async def test_an_app_that_does_not_load_again_is_told(supervise, script):
    with pytest.raises(ApplicationError, match="no such price"):
        async with supervise(script) as app:
            script.write_text("raise LookupError('no such price')\n")
            await app.restart()


@pytest.mark.parametrize("follows", [True, False])
async def test_clients_come_back_after_a_restart(supervise, script, follows):
    """Their session is gone: who follows loads the page again and has a new one; for who doesn't that is the end."""
    async with supervise(script) as app:
        session = await app.new_session()
        client = await session.connect(follow_reload=follows)
        other = await session.connect(follow_reload=follows)
        script.write_text(script.read_text().replace("len(opened)", "-1"))
        await app.restart()
        for each in (client, other):
            if follows:
                await each.until(lambda data: data == {"n": -1})
                assert each.ended is None
            else:
                assert (await each.until_ended()).code == 4404
        assert len(app.sessions) == 2 * follows
        assert all(len(each.connections) == 1 for each in app.sessions)


async def test_clients_come_back_to_a_session_of_their_id_where_they_may_choose_it(supervise, script):
    async with supervise(script, options=ServerOptions(session_ids="any")) as app:
        session = await app.new_session(id="room")
        clients = [await session.connect(), await session.connect()]
        (before,) = app.sessions
        for n in (-1, -20):  # of different lengths: Python's bytecode knows its source by length and whole seconds
            script.write_text(f"def modify_document(doc):\n    doc.data['n'] = {n}\n")
            await app.restart()
            for client in clients:
                await client.until(lambda data, n=n: data == {"n": n})
        (now,) = app.sessions
        assert (before.destroyed, now.id, len(now.connections)) == (True, "room", 2)


async def test_between_two_servers_connections_are_refused(supervise, script):
    async with supervise(script) as app:
        app.server.stop()
        await app.server.wait_stopped()
        with pytest.raises((OSError, trio.BrokenResourceError)):
            await app.get("/shop")
        await app.restart()  # also of a server that has ended
        assert (await app.get("/shop")).status == 200

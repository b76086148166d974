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


async def test_between_two_servers_connections_are_refused(supervise, script):
    async with supervise(script) as app:
        app.server.stop()
        await app.server.wait_stopped()
        with pytest.raises((OSError, trio.BrokenResourceError)):
            await app.get("/shop")
        await app.restart()  # also of a server that has ended
        assert (await app.get("/shop")).status == 200

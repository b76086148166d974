"""An application that runs in a test: its sessions, its messages, what failed in it, and its pages."""

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.handlers import NamespaceHandler
from supervisor.errors import SessionRefused
from supervisor.session.receivers import receives
from supervisor.testing import PageRefused


@attrs.frozen
class Fail:
    pass


@receives(Fail)
def on_fail(doc, message):
    raise LookupError("no such feed")


def app_of(**namespace):
    return NamespaceHandler(namespace, where="app")


async def test_a_page_that_is_not_served_is_an_error(supervise):
    def on_session_created(session_context):
        raise SessionRefused("members only")

    async with supervise(app_of(on_session_created=on_session_created)) as app:
        with pytest.raises(PageRefused, match="status 403") as refused:
            await app.new_session()
        assert refused.value.status == 403
        assert "members only" in refused.value.text
        assert refused.value.headers["cache-control"] == "no-store"


async def test_a_broadcast_reaches_every_session(supervise):
    async with supervise(app_of(on_fail=on_fail)) as app:
        await app.new_session()
        report = await app.broadcast(Fail())
        assert len(report.accepted) == 1
        await trio.testing.wait_all_tasks_blocked()
        assert [incident.what for incident in app.incidents] == ["message Fail"]
        app.incidents.clear()
        assert app.context is app.actor.context


async def test_a_directory_apps_own_messages_can_be_sent_from_inside(supervise, request):
    async with supervise(request.config.rootpath / "docs" / "examples" / "ticker") as app:
        client = await (await app.new_session()).connect()
        symbol = client.data["symbols"][0]
        await client.send("Watch", symbol=symbol)
        report = await app.broadcast(app.messages.Quote(symbol, -1.5))
        assert len(report.accepted) == 1
        await client.until(lambda data: data["watched"][symbol] == -1.5)


async def test_after_the_block_there_is_no_server(supervise):
    async with supervise(app_of()) as app:
        session = await app.new_session()
    for use in (app.new_session, app.restart, session.connect, lambda: app.get("/"), lambda: app.broadcast(5)):
        with pytest.raises(RuntimeError, match=r"^the block has ended, and the app"):
            await use()

"""What clients send, through the whole server in memory: edits, and whose work is in hand."""

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.errors import Rejected
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing import SendFailed
from supervisor.transport import entries
from supervisor.transport.websocket_options import WebSocketOptions


@attrs.frozen
class Work:
    what: str = ""


SEEN = []


def judge(doc, edit):
    SEEN.append((doc.connection, edit.connection))
    if edit.value == "bad":
        raise Rejected("That is bad.")
    if edit.value == "broken":
        doc.data["log"].append("never kept")
        raise ZeroDivisionError
    if edit.value == "log":
        doc.data["log"].append(edit.path)
    if edit.value == "commit":
        doc.data["log"].insert(0, "committed")
        doc.commit()
    return attrs.evolve(edit, value=edit.value.strip()) if isinstance(edit.value, str) else None


def modify_document(doc):
    doc.data.update(log=[], list=["a", "b", "c"], text="", free={"n": 0})
    doc.allow_edits("/text", judge)
    doc.allow_edits("/log/*", judge)
    doc.allow_edits("/list/*")
    doc.allow_edits("/free")


@receives(Work, from_client=True)
async def on_work(doc, message):
    SEEN.append(doc.connection)
    if message.what == "sleep":
        await trio.sleep(5)
        return
    if message.what == "fail":
        raise Rejected("no")
    doc.add_next_tick_callback(lambda: SEEN.append(doc.connection))


@pytest.fixture
async def app(supervise):
    SEEN.clear()
    namespace = {"modify_document": modify_document, "on_work": on_work}
    async with supervise(Application(NamespaceHandler(namespace, where="app"), name="app")) as app:
        yield app


async def failure(awaitable):
    with pytest.raises(SendFailed) as caught:
        await awaitable
    return caught.value


def frames_of(client):
    return [type(event).__name__ for event in client.received]


async def test_edits_are_shown_at_once_and_to_others_when_they_are_done(app):
    session = await app.new_session()
    author, other = await session.connect(), await session.connect()
    assert author.editable == ("/text", "/log/*", "/list/*", "/free")
    async with trio.open_nursery() as nursery:
        async with session.context.locked_document():
            for edit, *args in (
                (author.edit, "/free/n", 1),
                (author.insert, "/list/-", "d"),
                (author.remove, "/list/0"),
            ):
                nursery.start_soon(edit, *args)
                await trio.testing.wait_all_tasks_blocked()
            assert author.data["free"] == {"n": 1}
            assert author.data["list"] == ["b", "c", "d"]
            assert (author.revision, other.data["free"]) == (1, {"n": 0})
    await other.until(lambda data: data["list"] == ["b", "c", "d"])
    await author.until(lambda data: author.revision == 4)
    assert author.data == other.data == await session.context.with_locked_document(lambda doc: dict(doc.data))


async def test_edited_comes_before_its_patch(app):
    client = await (await app.new_session()).connect()
    await client.edit("/free/n", 1)
    assert frames_of(client) == ["Attached", "Snapshotted", "Edited", "Patched", "Arrived"]


async def test_an_edit_that_changes_nothing_is_done(app):
    client = await (await app.new_session()).connect()
    await client.edit("/free/n", 0)
    assert client.revision == 1


async def test_what_is_not_allowed_is_refused_and_undone(app):
    client = await (await app.new_session()).connect()
    refused = await failure(client.edit("/list", []))
    assert (refused.kind, refused.text) == ("rejected", "/list can't be edited by clients.")
    refused = await failure(client.edit("/text", "bad"))
    assert (refused.kind, refused.text) == ("rejected", "That is bad.")
    assert client.data["list"] == ["a", "b", "c"]
    assert client.data["text"] == ""


async def test_the_apps_function_can_put_in_another_value(app):
    client = await (await app.new_session()).connect()
    await client.edit("/text", "  x ")
    await client.until(lambda data: data["text"] == "x")


async def test_a_failing_function_is_an_incident_and_rolls_back(app):
    client = await (await app.new_session()).connect()
    refused = await failure(client.edit("/text", "broken"))
    [incident] = app.incidents
    assert (refused.kind, refused.incident) == ("failed", incident.id)
    assert incident.what == "edit of /text of a client"
    assert client.data["log"] == []
    app.incidents.clear()


async def test_what_the_document_cannot_take_is_rejected(app):
    client = await (await app.new_session()).connect()
    refused = await failure(client.edit("/free/n", 2**60))
    assert refused.kind == "rejected"
    assert "beyond" in refused.text


async def test_two_clients_that_remove_the_same_item(app):
    session = await app.new_session()
    first, second = await session.connect(), await session.connect()
    outcomes = []

    async def remove(client):
        try:
            await client.remove("/list/1")
        except SendFailed as failed:
            outcomes.append(failed.kind)
        else:
            outcomes.append("done")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(remove, first)
        nursery.start_soon(remove, second)
    assert sorted(outcomes) == ["conflict", "done"]
    await first.until(lambda data: data["list"] == ["a", "c"])


@pytest.mark.parametrize("value", ["log", "commit"])
async def test_an_edit_is_done_where_it_is_after_what_the_apps_function_did(app, value):
    session = await app.new_session()
    await session.context.with_locked_document(lambda doc: doc.data["log"].append("x"))
    client = await session.connect()
    await client.edit("/log/0", value)
    expected = ["committed", "commit"] if value == "commit" else ["log", "/log/0"]
    await client.until(lambda data: data["log"] == expected)
    await client.insert("/log/0", "first")
    await client.until(lambda data: data["log"] == ["first", *expected])


async def test_edits_follow_what_others_do_meanwhile(app):
    """1. The client's edits wait while the session works. 2. Others move what they are about."""
    session = await app.new_session()
    client = await session.connect()
    async with trio.open_nursery() as nursery:
        async with session.context.locked_document() as doc:
            nursery.start_soon(client.edit, "/list/1", "B")
            nursery.start_soon(client.remove, "/list/2")
            await trio.testing.wait_all_tasks_blocked()
            doc.data["list"].insert(0, "new")
    await client.until(lambda data: data["list"] == ["new", "a", "B"])


async def test_edits_are_done_once_across_a_lost_connection(app):
    session = await app.new_session()
    client = await session.connect()
    async with trio.open_nursery() as nursery:
        async with session.context.locked_document() as doc:
            nursery.start_soon(client.insert, "/list/0", "one")
            await trio.testing.wait_all_tasks_blocked()
            await client.drop()
            nursery.start_soon(client.insert, "/list/0", "two")
            await trio.testing.wait_all_tasks_blocked()
            assert client.data["list"] == ["two", "one", "a", "b", "c"]
            doc.data["list"].append("d")
        await client.reconnect()
    await client.until(lambda data: data["list"] == ["two", "one", "a", "b", "c", "d"])


async def test_clients_are_told_what_they_may_edit(app):
    session = await app.new_session()
    client = await session.connect()
    session.context.document.allow_edits("/more")
    session.context.document.forbid_edits("/free")
    await client.until(lambda _: client.editable == ("/text", "/log/*", "/list/*", "/more"))
    refused = await failure(client.edit("/free/n", 1))
    assert refused.kind == "rejected"
    assert (await session.connect()).editable == client.editable


async def test_the_document_knows_whose_work_is_in_hand(app):
    session = await app.new_session()
    client = await session.connect()
    await client.send("Work")
    with pytest.raises(SendFailed):
        await client.send("Work", what="fail")
    await client.edit("/text", "x")
    [connection] = session.context.connections
    [sent, ticked, failed, (edited, told)] = SEEN
    assert [each.id for each in (sent, failed, edited, told)] == [connection.id] * 4
    assert ticked is None
    assert session.context.document.connection is None


async def test_no_room_in_time_is_told_in_turn(supervise):
    """An edit that found no room is refused behind those before it, since its client relies on that order."""
    namespace = {"modify_document": modify_document, "on_work": on_work}
    options = ServerOptions(websocket=WebSocketOptions(room_timeout=1))
    async with supervise(Application(NamespaceHandler(namespace, where="app"), name="app"), options=options) as app:
        session = await app.new_session()
        client, outcomes = await session.connect(), []

        async def edit(number):
            try:
                await client.edit("/free/n", number)
            except SendFailed as failed:
                outcomes.append((number, failed.kind, failed.text))
            else:
                outcomes.append((number, "done", ""))

        async with trio.open_nursery() as nursery:
            async with session.context.locked_document():
                nursery.start_soon(edit, 1)
                await trio.testing.wait_all_tasks_blocked()
                while True:
                    try:
                        session.context.tell_nowait(Work())
                    except Exception:
                        break
                nursery.start_soon(edit, 2)
                await trio.sleep(2)
                assert outcomes == []
        assert outcomes == [(1, "done", ""), (2, "rejected", entries.BUSY)]
        await client.until(lambda data: data["free"] == {"n": 1})

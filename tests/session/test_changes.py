"""Listeners to changes, in sessions that really run."""

import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.session import changes

BUILDING = []
BUILDING_HANDLES = []


def modify_document(doc):
    BUILDING_HANDLES.append(doc.on_change("", lambda doc, change: BUILDING.append(change)))
    doc.data.update(notes={"a": [1]}, other=0)
    doc.allow_edits("/notes")


@pytest.fixture
async def session(supervise):
    BUILDING.clear()
    async with supervise(
        Application(NamespaceHandler({"modify_document": modify_document}, where="app"), name="app")
    ) as app:
        yield await app.new_session()
        app.incidents.clear()


async def do(session, func):
    await session.context.with_locked_document(func)
    await trio.testing.wait_all_tasks_blocked()


def put(path_value):
    def change(doc):
        doc.data.update(path_value)

    return change


@pytest.fixture
def heard():
    return []


@pytest.fixture
def listen(session, heard):
    def listen(path):
        return session.context.document.on_change(path, lambda doc, change: heard.append(change))

    return listen


async def test_what_changed_is_told_with_the_operations_that_concern_the_place(session, heard, listen):
    listen("/notes/a")

    def change(doc):
        doc.data["other"] = 1
        doc.data["notes"]["a"].append(2)
        doc.data["notes"]["b"] = 1

    await do(session, change)
    [change] = heard
    assert change.path == "/notes/a"
    assert change.operations == ({"op": "add", "path": "/notes/a/1", "value": 2},)
    assert change.connection is None


async def test_a_change_is_decoded_once_for_all_whom_it_does_not_concern(session, heard, listen, monkeypatch):
    """A large one would cost each of them milliseconds, with every commit."""
    decoded = []
    decode = changes.decode_patch
    monkeypatch.setattr(changes, "decode_patch", lambda patch: [decoded.append(patch), decode(patch)][1])
    session.context.document.remove_callback(BUILDING_HANDLES.pop())
    for path in ("/a", "/other", "/b", "/notes", "/other", "/c"):
        listen(path)
    await do(session, put({"other": [1]}))
    assert len(decoded) == 3
    first, second = heard
    assert first.operations == second.operations
    assert first.operations[0]["value"] is not second.operations[0]["value"]


@pytest.mark.parametrize(
    ("path", "times"), [("", 3), ("/notes", 2), ("/notes/a", 1), ("/notes/a/0", 1), ("/notes/b", 2), ("/note", 0)]
)
async def test_at_the_place_inside_of_it_or_above_it(session, heard, listen, path, times):
    listen(path)
    await do(session, put({"other": 1}))
    await do(session, lambda doc: doc.data["notes"].update(b=1))
    await do(session, put({"notes": {}}))
    assert len(heard) == times


async def test_the_building_of_the_document_is_not_told(session):
    await do(session, put({"other": 1}))
    assert [change.operations[0]["path"] for change in BUILDING] == ["/other"]


async def test_a_client_that_changed_it_is_named(session, heard, listen):
    listen("/notes")
    client = await session.connect()
    await client.edit("/notes/b", "x")
    await trio.testing.wait_all_tasks_blocked()
    [change] = heard
    assert change.connection.peer == client.peer


async def test_what_is_rolled_back_is_not_told(session, heard, listen):
    listen("")

    def fail(doc):
        doc.data["other"] = 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await do(session, fail)
    await do(session, lambda doc: None)
    assert heard == []


async def test_a_listener_is_a_transaction_and_does_not_hear_itself(session, heard, listen):
    listen("/other")

    async def count(doc, change):
        assert doc.connection is None
        await trio.lowlevel.checkpoint()
        doc.data["other"] += 1
        doc.commit()
        doc.data["other"] += 1

    session.context.document.on_change("", count)
    await do(session, put({"other": 1}))
    assert await session.context.with_locked_document(lambda doc: doc.data["other"]) == 3
    assert [change.operations[0]["value"] for change in heard] == [1, 2, 3]


async def test_each_transaction_is_told_by_itself_and_in_order(session, heard, listen):
    listen("/other")

    def change(doc):
        for number in range(1, 4):
            doc.data["other"] = number
            doc.commit()

    await do(session, change)
    assert [change.operations[0]["value"] for change in heard] == [1, 2, 3]


async def test_what_it_gets_is_its_own(session, heard, listen):
    listen("/notes")
    listen("/notes")
    await do(session, put({"notes": {"c": []}}))
    first, second = heard
    first.operations[0]["value"]["c"].append(1)
    assert second.operations[0]["value"] == {"c": []}


async def test_a_removed_one_hears_nothing_more(session, heard, listen):
    handle = listen("/other")
    assert handle.active

    def change(doc):
        doc.data["other"] = 1
        doc.commit()
        doc.remove_callback(handle)

    await do(session, change)
    await do(session, put({"other": 2}))
    assert heard == []
    assert not handle.active
    with pytest.raises(ValueError, match="was already removed"):
        session.context.document.remove_callback(handle)


async def test_one_that_fails_is_reported_and_goes_on(session, heard):
    def fail(doc, change):
        heard.append(change)
        doc.data["notes"] = "never"
        raise ZeroDivisionError

    session.context.document.on_change("/other", fail)

    def change(doc):
        for number in (1, 2):
            doc.data["other"] = number
            doc.commit()

    await do(session, change)
    assert len(heard) == 2
    assert await session.context.with_locked_document(lambda doc: doc.data["notes"]) == {"a": [1]}


async def test_more_than_can_be_remembered_is_summed_up(session, heard, listen, monkeypatch):
    monkeypatch.setattr(changes, "MAX_WAITING", 3)
    listen("/other")

    def change(doc):
        for number in range(1, 6):
            doc.data["other"] = number
            doc.commit()

    await do(session, change)
    assert [change.operations for change in heard] == [(), ({"op": "replace", "path": "/other", "value": 5},)]


async def test_after_the_end_nothing_is_heard(session, heard, listen):
    listen("")
    context = session.context
    context.destroy()
    await context.wait_destroyed()
    assert not context.document.on_change("", print).active
    assert heard == []


async def test_a_place_is_a_pointer_and_a_listener_callable(session):
    with pytest.raises(ValueError, match="is a JSON Pointer such as /notes"):
        session.context.document.on_change("notes", print)
    with pytest.raises(TypeError, match="must be callable, not 3"):
        session.context.document.on_change("/notes", 3)


async def test_a_pattern_is_no_place_and_the_error_says_what_to_listen_to(session):
    """As a key the star would be one that no document has, and the function would never be called."""
    with pytest.raises(ValueError, match="takes one path and no pattern, not '/tanks/\\*/target'; listen to '/tanks'"):
        session.context.document.on_change("/tanks/*/target", print)
    assert session.context.document.on_change("/tanks/a*", print).active


async def test_after_a_restart_those_that_listen_still_hear_that_all_has_changed(session, heard, listen):
    """What they had yet to hear was of another document."""
    listen("/notes")
    removed = listen("/other")
    listeners = session.context._host.change_listeners

    def change(doc):
        doc.data["notes"]["b"] = 1
        doc.commit()
        doc.remove_callback(removed)
        listeners.renewed()
        listeners.renewed()

    await do(session, change)
    [change] = heard
    assert (change.path, change.operations, change.connection) == ("/notes", (), None)

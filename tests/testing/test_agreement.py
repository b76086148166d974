"""Documents of server and clients: when they are compared, and what is told if they differ."""

import itertools
import math

import pytest
import trio

from supervisor.application.handlers import Handler
from supervisor.session.receivers import receives
from supervisor.testing import Left
from supervisor.testing import agreement as agreement_module
from supervisor.testing.agreement import MAX_TURNS, Agreement


class Add:
    pass


@receives(Add)
def on_add(doc, message):
    doc.data["n"] += 1


class Slowly:
    """Its handler takes a few turns of the loop."""


@receives(Slowly)
async def on_slowly(doc, message):
    for _ in range(10):
        await trio.lowlevel.checkpoint()
    doc.data["n"] += 1


class App(Handler):
    receivers = (on_add, on_slowly)

    def __init__(self, produce=None):
        self._produce = produce

    def on_application_load(self, app_context):
        if self._produce is not None:
            app_context.add_callback(self._produce, app_context)

    def modify_document(self, doc):
        doc.data["n"] = 0
        doc.data["deep"] = {"a": [1, {"b": 2}]}


def no_time_since(before, app):
    """Whether none has passed, where it is virtual."""
    return trio.current_time() == before or not app.clock.is_virtual


async def test_settled_clients_have_what_was_just_told_and_no_time_has_passed(supervise):
    async with supervise(App()) as app:
        sessions = [await app.new_session() for _ in range(3)]
        clients = [await session.connect() for session in sessions for _ in range(2)]
        before = trio.current_time()
        for _ in range(10):
            await app.broadcast(Add())
        await app.settle()
        assert [client.data["n"] for client in clients] == [10] * 6
        assert no_time_since(before, app)


async def test_without_clients_what_was_told_is_done(supervise):
    async with supervise(App()) as app:
        session = await app.new_session()
        session.context.tell_nowait(Add())
        await app.settle()
        async with session.context.locked_document() as doc:
            assert doc.data["n"] == 1


async def test_what_was_told_is_done_though_it_takes_some_turns(supervise):
    async with supervise(App()) as app:
        session = await app.new_session()
        session.context.tell_nowait(Slowly())
        await app.settle()
        assert app.actor.find(session.id).stored.revision == 2


@pytest.mark.virtual_time("the time that passes is compared")
async def test_a_client_that_had_all_when_this_began_must_have_what_was_told_before(supervise):
    async with supervise(App()) as app:
        session = await app.new_session()
        client = await session.connect()
        client.network.down.delay = 3
        session.context.tell_nowait(Slowly())
        before = trio.current_time()
        await app.settle()
        assert (client.data["n"], trio.current_time()) == (1, before + 3)


async def test_another_document_of_the_same_session_and_revision_is_no_difference(supervise):
    """1. The server restarts. 2. A visitor's page makes the session anew. 3. A client has yet to come back to it."""
    builds = itertools.count()

    class Board(App):
        def choose_session_id(self, request):
            return "board"

        def modify_document(self, doc):
            super().modify_document(doc)
            doc.data["build"] = next(builds)

    async with supervise(Board()) as app:
        client = await (await app.new_session()).connect()
        before = client.revision
        await app.restart()
        await app.new_session()
        assert (client.data["build"], client.revision, app.actor.find("board").stored.revision) == (0, before, before)
        await app.settle()
        assert (client.data["build"], client.status) == (1, "live")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data["deep"]["a"][1].update(b=3), "/deep/a/1/b is 3, in the document 2"),
        (lambda data: data["deep"]["a"][1].update(b=2.0), "/deep/a/1/b is 2.0, in the document 2"),
        (lambda data: data["deep"]["a"].append(1), '/deep/a is [1, {"b": 2}, 1], in the document [1, {"b": 2}]'),
        (lambda data: data.pop("n"), "it lacks /n, which is 0"),
        (lambda data: data.update(x="y" * 200), 'it has /x, "yyy'),
    ],
)
async def test_a_client_that_has_something_else_is_told_with_the_first_difference(supervise, spoil, told):
    with pytest.raises(Left) as raised:
        async with supervise(App()) as app:
            session = await app.new_session()
            client = await session.connect()
            shown = app.actor.find(session.id).shown_id
            revision = client.revision
            spoil(client.mirror[2])
    assert f"documents: a client of session {shown} at revision {revision}: {told}" in str(raised.value)
    assert len(str(raised.value).splitlines()[1]) < 300


async def test_a_test_that_failed_compares_nothing_more(supervise):
    with pytest.raises(ZeroDivisionError) as raised:
        async with supervise(App()) as app:
            client = await (await app.new_session()).connect()
            client.mirror[2]["n"] = 7
            raise ZeroDivisionError
    assert not any("documents: " in note for note in getattr(raised.value, "__notes__", ()))


async def test_clients_that_were_dropped_or_are_stalled_or_have_ended_are_left_out(supervise):
    async with supervise(App()) as app:
        session = await app.new_session()
        dropped, stalled, closed, steady = [await session.connect() for _ in range(4)]
        await dropped.drop()
        stalled.stall()
        await closed.close()
        await app.broadcast(Add())
        before = trio.current_time()
        await app.settle()
        await app.check("documents")
        assert no_time_since(before, app)
        assert [client.data["n"] for client in (dropped, stalled, closed, steady)] == [0, 0, 0, 1]


async def test_a_client_that_stalls_while_it_is_waited_for_is_waited_for_no_longer(supervise):
    async with supervise(App()) as app:
        client = await (await app.new_session()).connect()
        client.network.down.delay = 10
        await app.broadcast(Add())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.settle)
            await trio.sleep(1)
            client.stall()
            before = trio.current_time()
        assert client.data["n"] == 0
        assert no_time_since(before, app)
        client.network.down.delay = 0
        client.resume()
        await app.settle()
        assert client.data["n"] == 1


async def test_a_client_that_comes_back_by_itself_is_waited_for(supervise):
    async with supervise(App()) as app:
        client = await (await app.new_session()).connect()
        await trio.aclose_forcefully(client._stream)
        await trio.testing.wait_all_tasks_blocked()
        assert client.status == "reconnecting"
        await app.broadcast(Add())
        await app.settle()
        assert (client.status, client.data["n"]) == ("live", 1)


async def test_an_end_of_a_session_is_no_difference(supervise):
    async with supervise(App()) as app:
        session = await app.new_session()
        await session.connect()
        session.context.tell_nowait(Add())
        session.context.destroy()


async def test_an_app_that_never_rests_is_compared_all_the_same_and_time_stands_still(supervise):
    async def produce(app_context):
        while True:
            await app_context.broadcast(Add())
            await trio.lowlevel.checkpoint()

    async with supervise(App(produce)) as app:
        client = await (await app.new_session()).connect()
        await client.until(lambda data: data["n"] > 5)
        before = trio.current_time()
        await app.settle()
        assert no_time_since(before, app)
        client.mirror[2]["deep"]["a"] = "spoilt"
        with pytest.raises(Left, match='/deep/a is "spoilt"'):
            await app.settle()
        client.mirror[2]["deep"]["a"] = [1, {"b": 2}]


async def test_an_app_that_changes_its_document_at_each_moment_is_compared(supervise):
    async def produce(app_context):
        while True:
            await app_context.broadcast(Add())
            await trio.sleep(0.001)

    async with supervise(App(produce)) as app:
        client = await (await app.new_session()).connect()
        await client.until(lambda data: data["n"] > 5)
        await app.settle()


@pytest.mark.virtual_time("a minute passes")
async def test_a_client_that_does_not_get_on_is_told_after_a_minute(supervise, monkeypatch):
    async with supervise(App(), unchecked={"documents": "the client is held"}) as app:
        session = await app.new_session()
        client = await session.connect()
        shown, revision = app.actor.find(session.id).shown_id, client.revision
        monkeypatch.setattr(client._record.protocol, "receive", lambda frame: [])
        await app.broadcast(Add())
        before = trio.current_time()
        with pytest.raises(Left) as raised:
            await app.settle()
        assert trio.current_time() == before + 60
    assert (
        f"documents: a client of session {shown} (live) is at revision {revision}, its session was at {revision + 1}"
        in str(raised.value)
    )


async def test_a_pending_edit_is_not_part_of_what_is_compared(supervise):
    class Editable(App):
        async def modify_document(self, doc):
            super().modify_document(doc)
            doc.allow_edits("/n")

    async with supervise(Editable()) as app:
        session = await app.new_session()
        client = await session.connect()
        async with trio.open_nursery() as nursery, session.context.locked_document():
            nursery.start_soon(client.edit, "/n", 5)
            await trio.testing.wait_all_tasks_blocked()
            assert client.data["n"] == 5
            await app.settle()


async def test_only_so_many_revisions_are_kept(monkeypatch, supervise):
    monkeypatch.setattr(agreement_module, "MAX_KEPT", 3)
    async with supervise(App()) as app:
        session = await app.new_session()
        client = await session.connect()
        actor = app.actor.find(session.id)
        agreement = Agreement([client], app.actor.find)
        for _ in range(5):
            await session.context.ask(Add())
            kept = agreement._revisions_of(actor)
        assert list(kept) == [actor.stored.revision - 2, actor.stored.revision - 1, actor.stored.revision]


def test_many_turns_are_far_more_than_a_message_needs():
    """A message goes through some ten tasks."""
    assert MAX_TURNS > 1_000


async def test_it_leaves_nothing_behind_in_trio(supervise):
    async with supervise(App()) as app:
        for scope in (trio.CancelScope(), trio.CancelScope(deadline=-math.inf)):
            agreement = Agreement([], app.actor.find)
            with scope:
                await agreement.wait()
            with pytest.raises(KeyError):
                trio.lowlevel.remove_instrument(agreement)

"""What authors hold of an application, and the sequence of its sessions."""

import collections.abc
import contextlib

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.context import Sessions
from supervisor.session.receivers import receives


def modify_document(doc):
    doc.data["n"] = 0


APP = {"modify_document": modify_document}


async def test_sessions_are_a_sequence(run_app, autojump_clock):
    async with run_app(APP) as app:
        assert list(app.context.sessions) == []
        opened = [await app.open() for _ in range(4)]
        sessions = app.context.sessions
        assert isinstance(sessions, collections.abc.Sequence)
        assert list(sessions) == opened
        assert list(reversed(sessions)) == opened[::-1]
        assert len(sessions) == 4
        assert (sessions[0], sessions[-1]) == (opened[0], opened[3])
        assert isinstance(sessions[1:3], Sessions)
        assert list(sessions[1:3]) == opened[1:3]
        assert opened[2] in sessions
        assert "s1" not in sessions
        assert sessions.index(opened[2]) == 2
        with pytest.raises(IndexError):
            sessions[4]
        assert repr(sessions) == "<Sessions: 4>"


async def test_a_snapshot_does_not_change_but_iterating_it_skips_those_that_ended(run_app, autojump_clock):
    async with run_app(APP) as app:
        opened = [await app.open() for _ in range(4)]
        sessions = app.context.sessions
        opened[1].destroy()
        await app.open()
        left = [opened[0], opened[2], opened[3]]
        assert list(sessions) == left
        assert list(reversed(sessions)) == left[::-1]
        assert list(sessions[:2]) == [opened[0]]
        assert (len(sessions), sessions[1], opened[1] in sessions) == (4, opened[1], True)
        assert len(app.context.sessions) == 4
        iterator = iter(sessions)
        assert next(iterator) is opened[0]
        opened[2].destroy()  # while it is iterated
        assert list(iterator) == [opened[3]]


async def test_a_session_joins_when_it_was_accepted_and_before_its_document_is_built(run_app, autojump_clock):
    seen = []

    def on_session_created(session_context):
        seen.append(list(app.context.sessions))

    def modify_document(doc):
        seen.append(list(app.context.sessions))

    def on_session_destroyed(session_context):
        seen.append(list(app.context.sessions))

    def on_application_unload(app_context):
        seen.append(list(app_context.sessions))

    async with run_app(locals() | {"app": None}) as app:
        session = await app.open()
        session.destroy()
        await session.wait_destroyed()
    assert seen == [[], [session], [], []]


async def test_sessions_of_refused_visitors_never_join(run_app, autojump_clock):
    def on_session_created(session_context):
        session_context.destroy()

    async with run_app(locals()) as app:
        await app.outcome()
        assert len(app.context.sessions) == 0


async def test_state_is_a_namespace_of_the_apps_own(run_app, autojump_clock):
    def on_application_load(app_context):
        app_context.state.feed = "feed"

    async with run_app(locals()) as app:
        assert app.context.state.feed == "feed"
        assert app.context.name == "app"
        assert repr(app.context) == "<ApplicationContext app sessions=0>"


async def test_destroy_session_ends_the_one_with_this_id(run_app, autojump_clock):
    async with run_app(APP) as app:
        session = await app.open("a")
        assert app.context.destroy_session("a") is True
        assert session.destroyed
        assert app.context.destroy_session("a") is False
        await session.wait_destroyed()
        assert app.context.destroy_session("a") is False


async def test_each_kind_of_callback_can_be_removed(run_app, autojump_clock):
    calls = []
    async with run_app(APP) as app:
        context = app.context
        for handle in (
            context.add_callback(calls.append, 1),
            context.add_next_tick_callback(calls.append, 2),
            context.add_timeout_callback(calls.append, 3, seconds=1),
            context.add_periodic_callback(calls.append, 4, seconds=1),
        ):
            context.remove_callback(handle)
            with pytest.raises(ValueError, match="was already removed"):
                context.remove_callback(handle)
        await trio.sleep(5)
    assert calls == []


async def test_an_application_knows_who_is_attached_to_its_sessions(run_app, connect, autojump_clock):
    async with run_app(APP) as app:
        one, two = await app.open(), await app.open()
        assert app.context.connections == ()
        connect(app, one, id="a")
        connect(app, two, id="b")
        connect(app, one, id="c")
        assert [connection.id for connection in app.context.connections] == ["a", "c", "b"]
        one.destroy()
        assert [connection.id for connection in app.context.connections] == ["b"]


async def test_presence_is_shared_when_the_app_says_so(run_app, autojump_clock):
    async with run_app({"on_application_load": lambda app_context: app_context.share_presence()}) as app:
        assert app.actor.shares_presence
    async with run_app(APP) as app:
        assert not app.actor.shares_presence
        app.context.share_presence()
        assert app.actor.shares_presence
        with pytest.raises(RuntimeError, match="this is not the server's thread"):
            await trio.to_thread.run_sync(app.context.share_presence)


async def test_it_shows_who_waits_for_whom_since_when_and_until_when(run_app, autojump_clock):
    """A producer asks a session that asks another one, whose document somebody has borrowed."""
    asked = trio.Event()

    @attrs.frozen
    class Relay:
        to: object

    @receives(Relay)
    async def on_relay(doc, message):
        if message.to is not None:
            asked.set()
            await message.to.ask(Relay(None))

    async with run_app({"on_relay": on_relay}) as app:
        first, second = await app.open(), await app.open()

        async def produce():
            with contextlib.suppress(trio.TooSlowError):
                await first.ask(Relay(second), timeout=7)

        await trio.sleep(3)
        async with second.locked_document():
            await trio.sleep(1)
            app.context.add_callback(produce)
            await asked.wait()
            await trio.testing.wait_all_tasks_blocked()
            lent, produced, relayed = app.context.waits
        assert (lent.waiters, lent.doing) == (("session s2",), "the return of its document")
        assert lent.until - lent.since == pytest.approx(30)
        assert (produced.waiters, produced.targets) == ((), ("session s1",))
        assert "produce" in produced.task
        assert (produced.doing, produced.until - produced.since) == ("ask() of session s1", 7)
        assert (relayed.waiters, relayed.targets) == (("session s1",), ("session s2",))
        assert relayed.until - relayed.since == 30
        await trio.testing.wait_all_tasks_blocked()
        assert app.context.waits == ()


async def test_an_update_that_waits_names_those_that_are_not_done(run_app, autojump_clock):
    async with run_app({}) as app:
        first, second = await app.open(), await app.open()
        async with trio.open_nursery() as nursery, second.locked_document():
            nursery.start_soon(app.context.update_sessions, lambda doc: None)
            await trio.testing.wait_all_tasks_blocked()
            *_, update = app.context.waits
            assert (update.doing, update.targets) == ("update_sessions()", (f"session {second.id}",))
            assert first.id != second.id


@pytest.mark.parametrize(
    "add",
    [
        lambda app_context, doc, call: app_context.add_callback(call),
        lambda app_context, doc, call: app_context.add_periodic_callback(call, seconds=1),
        lambda app_context, doc, call: doc.add_next_tick_callback(call),
        lambda app_context, doc, call: doc.add_timeout_callback(call, seconds=1),
        lambda app_context, doc, call: doc.on_change("", call),
        lambda app_context, doc, call: doc.allow_edits("/n", call),
        lambda app_context, doc, call: doc.session_context.start_soon(call),
    ],
)
async def test_no_adder_takes_the_call_of_an_async_function_for_the_function(supervise, add):
    async def poll():
        pass

    async with supervise(lambda doc: None) as app:
        session = await app.new_session()
        with pytest.raises(TypeError, match=r"write .*poll, not .*poll\(…\)$"):
            add(app.context, session.context.document, poll())
        await app.check("coroutines")

"""What authors hold: the context and the document, as thin faces of the actor."""

import pytest
import trio

from supervisor.errors import MailboxFull
from supervisor.session.context import SessionContext
from supervisor.session.receivers import receives


class Add:
    def __init__(self, number):
        self.number = number


@receives(Add)
def on_add(doc, message):
    doc.data["numbers"].append(message.number)
    return len(doc.data["numbers"])


def modify_document(doc):
    doc.data["numbers"] = []


APP = {"on_add": on_add, "modify_document": modify_document}


async def numbers_of(session):
    async with session.locked_document() as doc:
        return list(doc.data["numbers"])


async def test_tell_tell_nowait_and_ask_reach_the_handler_in_order(run_app, autojump_clock):
    async with run_app(APP) as app:
        session = await app.open()
        await session.tell(Add(1))
        session.tell_nowait(Add(2))
        assert await session.ask(Add(3)) == 3
        assert await numbers_of(session) == [1, 2, 3]


async def test_tell_nowait_never_waits(run_app, autojump_clock):
    async with run_app(APP, mailbox_capacity=1) as app:
        session = await app.open()
        async with session.locked_document():
            session.tell_nowait(Add(1))
            with pytest.raises(MailboxFull, match="session s1 is full"):
                session.tell_nowait(Add(2))
        assert await numbers_of(session) == [1]


async def test_a_message_without_handler_is_a_type_error_at_its_sender(run_app, autojump_clock):
    class Unknown:
        pass

    async with run_app(APP) as app:
        session = await app.open()
        for send in (session.tell, session.ask):
            with pytest.raises(TypeError, match=r"has no handler for .*Unknown"):
                await send(Unknown())
        with pytest.raises(TypeError):
            session.tell_nowait(Unknown())


async def test_it_is_one_class_wherever_an_author_meets_a_session(run_app, autojump_clock):
    met = []

    def on_session_created(session_context):
        met.append(session_context)

    def on_session_destroyed(session_context):
        met.append(session_context)

    def modify_document(doc):
        met.append(doc.session_context)

    async with run_app(locals()) as app:
        session = await app.open()
        met.extend(app.context.sessions)
        report = await app.context.update_sessions(lambda doc: met.append(doc.session_context))
        met.extend(report.done)
        session.destroy()
        await session.wait_destroyed()
    assert len(met) == 6
    assert all(context is session and type(context) is SessionContext for context in met)


async def test_the_document_can_be_replaced_by_its_holder(run_app, autojump_clock):
    def replace(doc):
        doc.data = {"new": [1]}

    async with run_app(APP) as app:
        session = await app.open()
        await session.with_locked_document(replace)
        async with session.locked_document() as doc:
            assert doc.data == {"new": [1]}


async def test_its_callbacks_take_arguments_and_no_document(run_app, autojump_clock):
    """Next tick, periodic and timeout; each is a transaction that holds the document, added by somebody who doesn't."""
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        document = session.document

        def add(*numbers):
            document.data["numbers"].extend(numbers)

        async def add_later(number):
            await trio.sleep(0.1)
            add(number)

        document.add_callback(add, 1, 2)
        document.add_next_tick_callback(lambda: add_later(3))
        timeout = document.add_timeout_callback(add_later, 4, seconds=1)
        periodic = document.add_periodic_callback(add, 5, seconds=2)
        removed = document.add_timeout_callback(add, "never", seconds=1)
        document.remove_callback(removed)
        await trio.sleep(5)
        document.remove_callback(periodic)
        await trio.sleep(5)
        assert await numbers_of(session) == [1, 2, 3, 4, 5, 5]
        for over in (removed, periodic, timeout):
            with pytest.raises(ValueError, match="was already removed, or has finished"):
                document.remove_callback(over)


async def test_callbacks_end_with_the_session(run_app, autojump_clock):
    calls = []
    async with run_app(APP) as app:
        session = await app.open()
        session.document.add_periodic_callback(calls.append, "tick", seconds=1)
        session.document.add_callback(calls.append, "next tick")
        session.destroy()
        await trio.sleep(5)
        assert calls == []
        handle = session.document.add_periodic_callback(calls.append, "late", seconds=1)
        assert not handle.active
        await trio.sleep(5)
        assert calls == []


async def test_what_another_documents_handle_is(run_app, autojump_clock):
    async with run_app(APP) as app:
        one, two = await app.open(), await app.open()
        handle = one.document.add_timeout_callback(print, seconds=10)
        with pytest.raises(ValueError, match="belongs to another actor, not to session s2"):
            two.document.remove_callback(handle)


async def test_they_show_their_state(run_app, autojump_clock):
    async with run_app(APP) as app:
        session = await app.open()
        assert repr(session) == "<SessionContext session s1>"
        assert repr(session.document) == "<Document of session s1 at revision 1>"
        assert (session.id, session.document.session_context is session) == ("s1", True)
        assert session.statistics().counted == 0
        assert "session s1" in repr(app.actor.find("s1"))
        session.destroy()
        assert repr(session) == "<SessionContext session s1 destroyed>"


async def test_a_session_knows_its_application(run_app, autojump_clock):
    async with run_app(APP) as app:
        session = await app.open()
        assert session.application is app.context

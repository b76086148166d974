"""What clients send, and the hooks of their connections."""

import attrs
import pytest
import trio

from supervisor.errors import Rejected, SendConflict, SendInvalid, SessionRefused
from supervisor.session.receivers import receives
from supervisor.testing import hand_driven

from .ticker import Call, Quote, ticker


async def test_a_message_of_a_client_is_validated_and_answered_as_json(session):
    assert session.receive_from_client("Quote", {"symbol": "ACME", "price": 12.5}) == ["ACME", 1]
    with pytest.raises(SendInvalid, match="price"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": "12.5"})
    with pytest.raises(SendInvalid, match="unknown message 'Call'"):
        session.receive_from_client("Call", {"func": "x"})
    with pytest.raises(Rejected, match="free"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 0.0})
    with pytest.raises(ValueError, match="-1"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": -1.0})


async def test_an_answer_that_json_cannot_carry_fails_the_message(autojump_clock):
    @attrs.frozen
    class Get:
        pass

    @receives(Get, from_client=True)
    def on_get(doc, message):
        doc.data["got"] = True
        return object()

    async with hand_driven(ticker(on_get=on_get)) as session:
        with pytest.raises(TypeError, match="can't be sent as JSON"):
            session.receive_from_client("Get")
        assert "got" not in session.data
        with pytest.raises(TypeError, match="can't be sent as JSON"):
            await session.receive_from_client_async("Get")


async def test_more_messages_than_a_window_holds(session):
    for number in range(1, 200):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": float(number)})
    assert session.data == {"prices": {"ACME": 199.0}}


async def test_no_client_of_the_wire_is_left_of_what_was_sent(session):
    """Not of what was answered, refused, or had no turn: else each would cost the wire a record."""

    async def listen(doc, change):
        pass

    session.receive(Call(lambda doc: doc.allow_edits("/note")))
    session.receive_from_client("Quote", {"symbol": "ACME", "price": 1.0})
    session.edit("set", "/note", "x")
    for price in (0.0, -1.0):
        with pytest.raises((Rejected, ValueError)):
            session.receive_from_client("Quote", {"symbol": "ACME", "price": price})
    with pytest.raises(Rejected):
        session.edit("set", "/prices", "x")
    session.receive(Call(lambda doc: doc.on_change("/prices", listen) and None))
    session.receive(Quote("ACME", 2.0))
    with pytest.raises(TypeError, match="listener callback"):
        session.receive_from_client("Quote", {"symbol": "ACME", "price": 3.0})
    assert "0 attached, 0 detached" in repr(session._wire.feed)


async def test_edits_are_taken_as_the_app_allows(session):
    def judge(doc, edit):
        if edit.value == "no":
            raise Rejected("No.")
        return attrs.evolve(edit, value=str(edit.value).upper())

    def allow(doc):
        doc.data["notes"] = []
        doc.allow_edits("/notes/*", judge)

    session.receive(Call(allow))
    assert session.editable == ("/notes/*",)
    session.edit("insert", "/notes/-", "milk")
    session.edit("insert", "/notes/0", "bread")
    session.edit("set", "/notes/1", "honey")
    assert session.data["notes"] == ["BREAD", "HONEY"]
    session.edit("remove", "/notes/0", None)
    assert session.data["notes"] == ["HONEY"]
    with pytest.raises(Rejected, match=r"No\."):
        session.edit("set", "/notes/0", "no")
    with pytest.raises(Rejected, match="can't be edited"):
        session.edit("set", "/prices/ACME", 1)
    with pytest.raises(SendConflict):
        session.edit("set", "/notes/7", "milk")
    assert session.incidents == []


async def test_an_async_judge_needs_edit_async(session, autojump_clock):
    async def judge(doc, edit):
        await trio.sleep(1)

    session.receive(Call(lambda doc: doc.allow_edits("/note", judge)))
    with pytest.raises(TypeError, match=r"edit of /note of a client is asynchronous.*session\.edit_async"):
        session.edit("set", "/note", "x")
    assert session.incidents == []
    await session.edit_async("set", "/note", "x")
    assert session.data["note"] == "x"


async def test_the_handler_knows_whose_message_it_is(session):
    ada = await session.connect("ada", name="Ada", color="red")
    assert session.context.connections == (ada,)
    seen = []
    session.receive(Call(lambda doc: doc.allow_edits("/note", lambda doc, edit: seen.append(edit.connection))))
    session.edit("set", "/note", "x", connection=ada)
    session.edit("set", "/note", "y")
    assert [(each.id, each.name, dict(each.metadata)) for each in seen] == [
        ("ada", "Ada", {"color": "red"}),
        ("client", None, {}),
    ]


async def test_connection_hooks(autojump_clock):
    heard = []

    async def opened(session_context, connection):
        await trio.lowlevel.checkpoint()
        if connection.name == "Eve":
            raise SessionRefused("not you")
        session_context.document.data["people"] = [connection.name]
        heard.append("opened")

    def closed(session_context, connection):
        heard.append(f"closed {connection.name}")

    async with hand_driven(ticker(on_connection_opened=opened, on_connection_closed=closed)) as session:
        ada = await session.connect("ada", name="Ada")
        assert session.data["people"] == ["Ada"]
        with pytest.raises(ValueError, match="attached already"):
            await session.connect("ada")
        with pytest.raises(SessionRefused, match="not you"):
            await session.connect("eve", name="Eve")
        await session.disconnect(ada)
        assert (heard, session.context.connections) == (["opened", "closed Ada"], ())
        await session.connect("bob", name="Bob")
    assert heard == ["opened", "closed Ada", "opened", "closed Bob"]

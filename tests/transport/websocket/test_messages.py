"""What a message is answered with."""

import pytest
import trio

from supervisor.session.receivers import receives
from supervisor.transport.entries import BUSY

from ..peers import Quote, all_blocked, options_of


async def test_what_is_wrong_with_a_message_is_told_by_type_and_field(table):
    peer, _, _ = await table.attached()
    wrong = [("Unknown", {}, "Unknown"), ("Add", {"by": "3"}, "by"), ("Add", {"more": 1}, "more")]
    wrong += [("Wait", {}, "seconds"), ("Wait", {"seconds": 1, "label": None}, "label")]
    for name, fields, part in wrong:
        await peer.send(name, **fields)
        error = await peer.message()
        assert (error["type"], error["kind"], error["incident"]) == ("error", "invalid", None)
        assert name in error["text"]
        assert part in error["text"]
    await peer.send("Add")
    assert (await peer.message())["operations"][0]["value"] == 1


@pytest.mark.parametrize("name", ["Fail", "ReturnNaN"])
async def test_a_failure_rolls_back_and_is_told_by_its_incident(table, name):
    peer, _, session = await table.attached()
    await peer.send(name)
    error = await peer.message()
    [incident] = table.app.incidents
    assert (error["kind"], error["incident"]) == ("failed", incident.id)
    assert session.id.startswith(incident.session)
    assert "swordfish" not in str(error)
    async with session.locked_document() as doc:
        assert doc.data["n"] == 0
    table.app.incidents.clear()
    await peer.send("Add")
    assert (await peer.message())["type"] == "patch"


async def test_a_rejection_rolls_back_and_is_told_by_its_text(table):
    peer, _, session = await table.attached()
    await peer.send("Refuse", text="<not> today")
    error = await peer.message()
    assert (error["kind"], error["text"], error["incident"]) == ("rejected", "<not> today", None)
    async with session.locked_document() as doc:
        assert doc.data["n"] == 0


async def test_a_validator_that_fails_is_answered(table):
    """A number that was accepted must be answered: its client won't send it again."""
    peer, _, session = await table.attached()
    await peer.send("Exploding", value=1)
    error = await peer.message()
    [incident] = table.app.incidents
    assert (error["number"], error["kind"], error["incident"]) == (1, "failed", incident.id)
    assert "swordfish" not in str(error)
    assert session.id.startswith(incident.session)
    assert "Exploding" in incident.what
    table.app.incidents.clear()
    await peer.send("Add")
    assert (await peer.message())["type"] == "patch"


async def test_a_full_mailbox_is_backpressure_and_then_an_error(serve):
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, _, _ = await table.attached()
        for number in range(5):
            await peer.send("Wait", seconds=25, label=str(number))
        began = trio.current_time()
        outcomes = {}
        while len(outcomes) < 5:
            message = await peer.message()
            if message["type"] != "patch":
                outcomes[message["number"]] = (message, trio.current_time() - began)
        assert [outcomes[number][0]["type"] for number in range(1, 6)] == ["answer"] * 5
    async with serve(options=options_of({"mailbox_capacity": 1})) as table:
        peer, _, _ = await table.attached()
        for _ in range(3):
            await peer.send("Wait", seconds=1000)
        began = trio.current_time()
        error = await peer.message()
        assert trio.current_time() - began == pytest.approx(30)
        assert (error["type"], error["number"], error["kind"]) == ("error", 3, "rejected")
        assert "busy" in error["text"]


def quotes(**policy):
    """The namespace of an app that receives quotes under this policy."""

    @receives(Quote, from_client=True, **policy)
    def on_quote(doc, quote):
        doc.data["n"] = quote.price

    return {"on_quote": on_quote}


async def test_a_message_of_a_type_that_is_refused_is_answered_at_once(serve):
    async with serve(options=options_of({"mailbox_capacity": 1}), **quotes(when_full="refuse")) as table:
        peer, _, _ = await table.attached()
        await peer.send("Wait", seconds=1)
        await peer.send("Add")
        await peer.send("Quote", symbol="A", price=1)
        began = trio.current_time()
        error = await peer.message()
        assert trio.current_time() == began
        assert (error["number"], error["kind"], error["text"]) == (3, "rejected", BUSY)


async def test_a_message_whose_place_a_newer_one_got_is_answered_so(serve):
    async with serve(options=options_of({"mailbox_capacity": 1}), **quotes(when_full="drop_oldest")) as table:
        peer, _, session = await table.attached()
        await peer.send("Wait", seconds=1)
        await all_blocked()
        await peer.send("Quote", symbol="A", price=1)
        await peer.send("Quote", symbol="A", price=2)
        error = await peer.message()
        assert (error["number"], error["kind"], error["text"]) == (2, "rejected", BUSY)
        messages = [await peer.message() for _ in range(4)]
        assert [m["number"] for m in messages if m["type"] == "answer"] == [1, 3]
        assert session.statistics().dropped == 1
        assert table.app.incidents == []


async def test_a_browsers_message_is_never_conflated_away(serve):
    async with serve(**quotes(conflate=lambda quote: quote.symbol)) as table:
        peer, _, session = await table.attached()
        await peer.send("Wait", seconds=1)
        for price in range(3):
            await peer.send("Quote", symbol="A", price=price + 10)
        await all_blocked()
        session.tell_nowait(Quote(symbol="A", price=20))
        session.tell_nowait(Quote(symbol="A", price=21))
        messages = [await peer.message() for _ in range(9)]
        assert [m["number"] for m in messages if m["type"] == "answer"] == [1, 2, 3, 4]
        assert messages[-1]["operations"][0]["value"] == 21
        assert session.statistics().conflated == 1


async def test_a_key_function_that_raises_is_answered_with_its_incident(serve):
    async with serve(**quotes(conflate=lambda quote: quote.symbol / 0)) as table:
        peer, _, _ = await table.attached()
        await peer.send("Quote", symbol="A", price=1)
        error = await peer.message()
        [incident] = table.app.incidents
        assert (error["kind"], error["incident"]) == ("failed", incident.id)
        assert incident.what == "key of message Quote of a client"
        table.app.incidents.clear()


async def test_a_document_that_would_be_too_large_stays_as_it_was(serve):
    def modify_document(doc):
        doc.data["n"] = 0
        doc.allow_edits("/text")

    options = options_of({"max_document_size": 10_000})
    async with serve(options=options, modify_document=modify_document) as table:
        peer, attached, session = await table.attached()
        await peer.send("Fill", size=9_000)
        assert [(await peer.message())["type"] for _ in range(2)] == ["patch", "answer"]
        await peer.send("Fill", size=11_000)
        error = await peer.message()
        [incident] = table.app.incidents
        assert (error["kind"], error["incident"]) == ("failed", incident.id)
        assert "11,0" in str(incident.error)
        assert "at most 10,000 are allowed (max_document_size)" in str(incident.error)
        table.app.incidents.clear()
        async with session.locked_document() as doc:
            assert len(doc.data["text"]) == 9_000
        edit = {"type": "edit", "number": 3, "op": "set", "path": ["text"], "value": "y" * 12_000, "confirmed": 0}
        await peer.send_json(**edit, base=attached["revision"] + 1)
        error = await peer.message()
        assert (error["type"], error["number"], error["kind"]) == ("error", 3, "rejected")
        assert "max_document_size" in error["text"]
        await peer.send("Add", number=4)
        assert (await peer.message())["type"] == "patch"
        assert len(session.connections) == 1

"""Messages that the test hands over."""

import contextlib

import attrs
import pytest
import trio

from supervisor.errors import DeadlockError, DocumentNotHeld, HandlerFailed, MailboxFull, Rejected, Unawaited
from supervisor.session.receivers import receives
from supervisor.testing import hand_driven
from supervisor.testing.by_hand import FOR_EVER

from .ticker import Call, Quote, Slowly, Threaded, Unknown, ticker


async def test_a_plain_handler_is_called_at_once_and_its_answer_returned(session):
    assert session.receive(Quote("ACME", 12.5)) == ("ACME", 1)
    assert session.data == {"prices": {"ACME": 12.5}}


async def test_nothing_else_has_a_turn_meanwhile(session):
    turns = []

    async def neighbour():
        turns.append("neighbour")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbour)
        session.receive(Quote("ACME", 12.5))
        session.advance(3600)
        assert turns == []


async def test_what_the_handler_raised_is_raised_and_rolled_back(session):
    session.receive(Quote("ACME", 12.5))
    with pytest.raises(ValueError, match="-1"):
        session.receive(Quote("ACME", -1))
    assert session.data == {"prices": {"ACME": 12.5}}
    assert session.incidents[0].what == "message Quote"
    assert session.incidents[0].decision == "resumed"
    assert session.ending is None


async def test_a_rejection_is_raised_and_is_no_incident(session):
    with pytest.raises(Rejected, match="free"):
        session.receive(Quote("ACME", 0))
    assert session.incidents == []


async def test_what_would_end_the_test_is_raised_as_an_asker_gets_it(session):
    def leave(doc):
        raise SystemExit(3)

    with pytest.raises(HandlerFailed, match="SystemExit"):
        session.receive(Call(leave))


async def test_the_patches_of_each_kept_transaction(session):
    session.receive(Quote("ACME", 12.5))
    with pytest.raises(Rejected):
        session.receive(Quote("ACME", 0))
    session.receive(Call(lambda doc: None))

    def twice(doc):
        doc.data["a"] = 1
        doc.commit()
        doc.data["b"] = 2

    session.receive(Call(twice))
    assert session.patches == [
        [{"op": "add", "path": "/prices", "value": {}}],
        [{"op": "add", "path": "/prices/ACME", "value": 12.5}],
        [{"op": "add", "path": "/a", "value": 1}],
        [{"op": "add", "path": "/b", "value": 2}],
    ]
    assert session.revision == len(session.patches)


async def test_its_data_is_a_copy_and_nobody_else_holds_the_document(session):
    session.data["prices"]["ACME"] = 1
    assert session.data == {"prices": {}}
    with pytest.raises(DocumentNotHeld):
        session.context.document.data


async def test_an_async_handler_is_refused_before_it_runs_and_the_error_names_the_way_out(session):
    ran = []

    async def change(doc):
        ran.append(True)

    with pytest.raises(TypeError, match=r"message Slowly is asynchronous.*await session\.receive_async"):
        session.receive(Slowly(change))
    assert (ran, session.incidents) == ([], [])
    await session.receive_async(Slowly(change))
    assert ran == [True]


class Awaitable:
    """No coroutine, and so without a method `close`."""

    def __await__(self):
        yield from ()


async def do_nothing():
    pass


@pytest.mark.parametrize("later", [do_nothing, Awaitable])
async def test_a_plain_handler_that_returns_something_to_await_is_rolled_back(session, later):
    def change(doc):
        doc.data["changed"] = True
        return later()

    with pytest.raises(TypeError, match="receive_async"):
        session.receive(Call(change))
    assert "changed" not in session.data


async def test_what_had_no_turn_because_of_a_refusal_is_not_done_later(session):
    """A plain call is refused for what waited before its own message.

    1. An `async` listener waits in the mailbox, and is refused as the plain call comes to it.
    2. The call's message was queued behind it, and its caller has an error: no later call may handle it.
    """

    async def listen(doc, change):
        pass

    session.receive(Call(lambda doc: doc.on_change("/prices", listen) and None))
    session.receive(Quote("ACME", 1.0))
    with pytest.raises(TypeError, match=r"listener callback .*listen is asynchronous"):
        session.receive(Quote("ACME", 2.0))
    assert session.queued == []
    assert session.receive(Call(lambda doc: doc.data["prices"]["ACME"])) == 1.0


async def test_an_async_handler_is_awaited_by_receive_async(session, autojump_clock):
    async def change(doc):
        await trio.sleep(5)
        doc.data["changed"] = True
        return "done"

    assert await session.receive_async(Slowly(change)) == "done"
    assert trio.current_time() == 5
    assert session.data["changed"]


async def test_receive_async_takes_plain_handlers_too(session):
    assert await session.receive_async(Quote("ACME", 12.5)) == ("ACME", 1)


async def test_cancelled_it_rolls_the_handler_back_and_the_session_goes_on(session, autojump_clock):
    async def hang(doc):
        doc.data["changed"] = True
        await trio.sleep_forever()

    with trio.move_on_after(1) as scope:
        await session.receive_async(Slowly(hang))
    assert scope.cancelled_caught
    assert session.data == {"prices": {}}
    assert session.receive(Quote("ACME", 12.5)) == ("ACME", 1)


async def test_cancelled_before_its_turn_a_message_is_not_done_later(session, autojump_clock):
    async def hang(doc):
        doc.data["changed"] = True
        await trio.sleep_forever()

    session.context.tell_nowait(Slowly(hang))
    with trio.move_on_after(1):
        await session.receive_async(Quote("ACME", 12.5))
    assert session.queued == []
    session.advance(0)
    assert session.data == {"prices": {}}


async def test_a_handler_in_a_thread_is_lent_the_document(session):
    def change(doc):
        doc.data["changed"] = True

    with pytest.raises(TypeError, match="receive_async"):
        session.receive(Threaded(change))
    await session.receive_async(Threaded(change))
    assert session.data["changed"]


async def test_an_unknown_type_of_message_is_refused(session):
    with pytest.raises(TypeError, match=r"no handler for Unknown; write one and mark it @receives\(Unknown\)"):
        session.receive(Unknown())
    with pytest.raises(TypeError, match="no handler for Unknown"):
        await session.receive_async(Unknown())


async def test_a_coroutine_that_a_handler_drops_fails_it(session):
    async def later():
        pass

    def forget(doc):
        doc.data["changed"] = True
        later()

    async def forget_too(doc):
        forget(doc)

    with pytest.raises(Unawaited, match="later"):
        session.receive(Call(forget))
    with pytest.raises(Unawaited, match="later"):
        await session.receive_async(Slowly(forget_too))
    assert "changed" not in session.data


async def test_a_session_does_one_thing_at_a_time(session):
    with pytest.raises(RuntimeError, match=r"while session\.receive\(\) is running.*tell_nowait"):
        session.receive(Call(lambda doc: session.receive(Quote("ACME", 1.0))))
    with pytest.raises(RuntimeError, match=r"while session\.receive\(\) is running"):
        session.receive(Call(lambda doc: session.advance(1)))
    with pytest.raises(RuntimeError, match=r"while session\.receive\(\) is running"):
        await session.receive_async(Slowly(lambda doc: session.receive_async(Quote("ACME", 1.0))))
    with pytest.raises(RuntimeError, match=r"while session\.advance\(\) is running"):
        session.context.tell_nowait(Slowly(lambda doc: session.advance_async(1)))
        await session.advance_async(0)


async def test_a_handler_that_asks_its_own_session_is_told_of_the_circle(session):
    async def ask(doc):
        await doc.session_context.ask(Quote("ACME", 1.0))

    with pytest.raises(DeadlockError):
        await session.receive_async(Slowly(ask))


async def test_messages_of_others_wait_for_their_turn_and_come_first(session):
    session.context.tell_nowait(Quote("ACME", 1.0))
    session.context.tell_nowait(Quote("ACME", 2.0))
    assert session.queued == ["message Quote", "message Quote"]
    assert session.data == {"prices": {}}
    session.receive(Call(lambda doc: None))
    assert session.data == {"prices": {"ACME": 2.0}}
    assert session.queued == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"conflate": lambda quote: quote.symbol}, [3.0]),
        ({"when_full": "drop_oldest"}, [2.0, 3.0]),
        ({"when_full": "refuse"}, [1.0, 2.0]),
    ],
)
async def test_messages_that_wait_together_are_conflated_and_dropped_as_they_are_marked(options, expected):
    prices = []

    @receives(Quote, **options)
    def on_quote(doc, quote):
        prices.append(quote.price)

    small = attrs.evolve(FOR_EVER, mailbox_capacity=2)
    async with hand_driven(ticker(on_quote=on_quote), options=small) as session:
        with contextlib.suppress(MailboxFull):
            for price in (1.0, 2.0, 3.0):
                session.context.tell_nowait(Quote("ACME", price))
        assert session.queued == ["message Quote"] * len(expected)
        session.advance(0)
        assert prices == expected


async def test_where_the_mailbox_is_full_the_error_says_what_to_do():
    async with hand_driven(ticker(), options=attrs.evolve(FOR_EVER, mailbox_capacity=1)) as session:
        session.context.tell_nowait(Quote("ACME", 1.0))
        with pytest.raises(MailboxFull, match=r"advance\(0\)"):
            session.receive(Quote("ACME", 2.0))
        session.advance(0)
        assert session.receive(Quote("ACME", 2.0)) == ("ACME", 1)


async def test_what_a_message_causes_waits_until_it_is_asked_for(session):
    heard = []

    def begin(doc):
        doc.on_change("/prices", lambda doc, change: heard.append(change.operations))
        doc.add_next_tick_callback(heard.append, "tick")

    session.receive(Call(begin))
    session.receive(Quote("ACME", 1.0))
    assert heard == ["tick"]
    session.advance(0)
    assert heard[1:] == [({"op": "add", "path": "/prices/ACME", "value": 1.0},)]


async def test_code_that_causes_itself_is_named(session):
    def again(doc):
        doc.add_next_tick_callback(again, doc)

    session.receive(Call(again))
    with pytest.raises(RuntimeError, match=r"never comes to rest: next tick callback .*again"):
        session.advance(0)


async def test_code_that_causes_itself_is_named_by_the_twin_too(session):
    def again(doc):
        doc.add_next_tick_callback(again, doc)

    session.receive(Call(again))
    with pytest.raises(RuntimeError, match="never comes to rest"):
        await session.advance_async(0)

import pytest
import trio
import trio.lowlevel

from supervisor.errors import DeadlockError, DocumentNotHeld, InvalidValue, SessionGone
from supervisor.session.lending import Borrow
from supervisor.session.receivers import receives


class Work:
    """Makes the handler sleep, with the document changed."""

    def __init__(self, seconds=1.0):
        self.seconds = seconds


class Call:
    """Makes the handler call a function, and await it."""

    def __init__(self, func, *args):
        self.func, self.args = func, args


@receives(Work)
async def on_work(doc, message):
    doc.data["log"].append("work begins")
    await trio.sleep(message.seconds)
    doc.data["log"].append("work ends")


@receives(Call)
async def on_call(doc, message):
    return await message.func(doc, *message.args)


def modify_document(doc):
    doc.data["log"] = []


APP = {"on_work": on_work, "on_call": on_call, "modify_document": modify_document}


async def log_of(session):
    async with session.locked_document() as doc:
        return list(doc.data["log"])


def test_reports_call_it_a_borrow():
    assert Borrow(gone=SessionGone).describe() == "borrow"


async def test_the_session_handles_nothing_while_its_document_is_lent(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        async with session.locked_document() as doc:
            await session.tell(Work())
            await trio.sleep(10)
            doc.data["log"].append("borrowed")
        await trio.sleep(2)
        assert await log_of(session) == ["borrowed", "work begins", "work ends"]


async def test_a_borrow_has_its_place_in_the_order_of_messages(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        await session.tell(Work())
        async with session.locked_document() as doc:
            assert list(doc.data["log"]) == ["work begins", "work ends"]


async def test_borrowers_get_their_turns_in_order(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()

        async def borrow(number):
            async with session.locked_document() as doc:
                await trio.sleep(1)
                doc.data["log"].append(number)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(borrow, number)
                await trio.testing.wait_all_tasks_blocked()
        assert await log_of(session) == [0, 1, 2, 3]


async def test_a_block_that_raises_is_rolled_back_and_its_exception_is_its_own(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        with pytest.raises(ValueError, match="mine"):
            async with session.locked_document() as doc:
                doc.data["log"].append("lost")
                raise ValueError("mine")
        assert await log_of(session) == []


async def test_a_block_that_is_cancelled_is_rolled_back(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        with trio.move_on_after(1) as scope:
            async with session.locked_document() as doc:
                doc.data["log"].append("lost")
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert await log_of(session) == []


async def test_a_commit_inside_a_block_stays_though_the_block_raises(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        with pytest.raises(ValueError, match="mine"):
            async with session.locked_document() as doc:
                doc.data["log"].append("kept")
                doc.commit()
                doc.data["log"].append("lost")
                raise ValueError("mine")
        assert await log_of(session) == ["kept"]


async def test_the_timeout_bounds_the_wait_and_takes_the_borrow_back(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        await session.tell(Work(10))
        with pytest.raises(trio.TooSlowError):
            async with session.locked_document(timeout=2):
                raise AssertionError("never entered")
        assert trio.current_time() == 2
        assert session.statistics().counted == 0


async def test_waiting_for_a_document_is_bounded_by_thirty_seconds_unless_told_otherwise(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        await session.tell(Work(1000))
        with pytest.raises(trio.TooSlowError):
            async with session.locked_document():
                raise AssertionError("never entered")
        assert trio.current_time() == 30


async def test_the_timeout_does_not_bound_the_block(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        async with session.locked_document(timeout=1) as doc:
            await trio.sleep(20)
            doc.data["log"].append("kept")
        assert await log_of(session) == ["kept"]


async def test_a_block_is_cancelled_after_thirty_seconds_and_the_session_goes_on(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        with pytest.raises(trio.TooSlowError, match="held for 30 s, so it was taken back and rolled back"):
            async with session.locked_document() as doc:
                doc.data["log"].append("lost")
                await trio.sleep_forever()
        assert trio.current_time() == 30
        assert await log_of(session) == []


async def test_a_session_that_has_ended_lends_nothing(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        session.destroy()
        with pytest.raises(SessionGone, match="session s1 has ended"):
            async with session.locked_document():
                raise AssertionError("never entered")
        await session.wait_destroyed()
        with pytest.raises(SessionGone):
            async with session.locked_document():
                raise AssertionError("never entered")


async def test_a_cancelled_borrower_that_waits_leaves_no_trace(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        await session.tell(Work(10))
        with trio.move_on_after(1):
            async with session.locked_document():
                raise AssertionError("never entered")
        assert session.statistics().counted == 0
        assert len(app.actor.runtime.holds.graph) == 0


async def test_borrowing_what_is_held_already_says_so_and_names_the_way_out(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()

        async def borrow(doc):
            async with doc.session_context.locked_document():
                raise AssertionError("never entered")

        async def borrow_in_a_nursery(doc):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(borrow, doc)

        advice = "the document is held here already, so use session_context.document"
        with pytest.raises(DeadlockError, match=advice):
            await session.ask(Call(borrow))
        with pytest.raises(DeadlockError, match=advice):
            await session.ask(Call(borrow_in_a_nursery))
        with pytest.raises(DeadlockError, match=advice):
            async with session.locked_document() as doc:
                await borrow(doc)
        assert trio.current_time() == 0
        assert [type(error) for error in app.recorder.errors] == [DeadlockError, DeadlockError]
        app.recorder.incidents.clear()


async def test_two_documents_borrowed_in_opposite_orders(run_app, autojump_clock):
    """A circle of borrows.

    1. One task holds s1, another s2.
    2. The first waits for s2: no circle yet.
    3. The second would wait for s1, whose holder waits for s2: refused at once, in words.
    4. The second leaves its block, and the first goes on.
    """
    async with run_app(APP, linger=3600) as app:
        one, two = await app.open(), await app.open()
        outcomes = []

        async def first():
            async with one.locked_document():
                await trio.sleep(1)
                async with two.locked_document():
                    outcomes.append("first has both")

        async def second():
            async with two.locked_document():
                await trio.sleep(2)
                with pytest.raises(DeadlockError, match="session s2 → session s1 → session s2"):
                    async with one.locked_document():
                        raise AssertionError("never entered")
                assert trio.current_time() == 2
                outcomes.append("second was refused")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(second)
        assert outcomes == ["second was refused", "first has both"]


async def test_a_task_in_a_nursery_opened_inside_the_block_holds_the_document_too(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()

        async def write(doc, text):
            doc.data["log"].append(text)

        async with session.locked_document() as doc:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, doc, "child")
        assert await log_of(session) == ["child"]


async def test_a_task_in_a_nursery_opened_before_the_block_does_not(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()

        async def write(doc, log):
            with pytest.raises(DocumentNotHeld):
                doc.data["log"].append("no")
            with pytest.raises(DocumentNotHeld):
                log.append("no")
            with pytest.raises(DocumentNotHeld):
                doc.data = {}
            with pytest.raises(DocumentNotHeld):
                doc.commit()

        async with trio.open_nursery() as nursery:
            async with session.locked_document() as doc:
                nursery.start_soon(write, doc, doc.data["log"])
                await trio.sleep(1)
        assert await log_of(session) == []


async def test_the_session_itself_does_not_hold_what_it_has_lent(run_app, autojump_clock):
    """Its background tasks see that too; what it kept from an earlier handler is of no use."""
    kept = []

    async def keep(doc):
        kept.append(doc.data["log"])

    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        await session.ask(Call(keep))
        with pytest.raises(DocumentNotHeld, match=r"use `async with session_context\.locked_document\(\) as doc`"):
            kept[0].append("no")
        async with session.locked_document():
            kept[0].append("yes")
        with pytest.raises(DocumentNotHeld):
            kept[0].append("no")
        assert await log_of(session) == ["yes"]


async def test_a_borrow_that_waits_when_its_session_ends_gets_its_turn(run_app, autojump_clock):
    """Destroyed while somebody waits for the document.

    1. A handler is in hand; a borrower waits, and another for room behind it.
    2. The session is destroyed: the handler is cancelled and rolled back.
    3. The borrowers get their turns, before the destroyed hook; what they change goes to nobody.
    """
    order, heard = [], []

    class Audience:
        def committed(self, patch):
            heard.append(patch)

    def on_session_destroyed(session_context):
        order.append(("destroyed", list(session_context.document.data["log"])))

    async with run_app(APP | locals(), linger=3600, mailbox_capacity=1) as app:
        session = await app.open()
        app.actor.find("s1").audience = Audience()
        await session.tell(Work(10))
        await trio.testing.wait_all_tasks_blocked()

        async def borrow(name):
            async with session.locked_document() as doc:
                order.append(name)
                await trio.sleep(1)
                doc.data["log"].append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow, "queued")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(borrow, "without room")
            await trio.testing.wait_all_tasks_blocked()
            assert session.statistics().waiting_for_room == 1
            session.destroy()
            assert session.destroyed
            await session.wait_destroyed()
        assert order == ["queued", "without room", ("destroyed", ["queued", "without room"])]
        assert heard == []


async def test_a_borrow_in_hand_when_its_session_ends_has_five_seconds(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        with pytest.raises(SessionGone):
            async with session.locked_document() as doc:
                doc.data["log"].append("lost")
                session.destroy()
                await trio.sleep_forever()
        assert trio.current_time() == 5
        await session.wait_destroyed()


async def test_borrows_that_wait_share_these_five_seconds(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        entered, gone = [], []

        async def borrow(number):
            try:
                async with session.locked_document():
                    entered.append(number)
                    await trio.sleep(2)
            except SessionGone:
                gone.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(borrow, number)
                await trio.testing.wait_all_tasks_blocked()
            session.destroy()
        assert (entered, sorted(gone)) == ([0, 1, 2], [2, 3, 4])
        assert trio.current_time() == 5


async def test_they_get_their_turn_while_a_background_task_unwinds(run_app, autojump_clock):
    """A task that is slow to unwind takes nobody's turn away.

    1. A background task of the session shields ten seconds of clean-up.
    2. A borrower waits behind a handler; the session is destroyed.
    3. The borrower has the document at once, not after ten seconds.
    """
    entered = []

    async def unwind_slowly():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)

    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        session.start_soon(unwind_slowly)
        await session.tell(Work(100))
        await trio.testing.wait_all_tasks_blocked()

        async def borrow():
            async with session.locked_document():
                entered.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(borrow)
            await trio.testing.wait_all_tasks_blocked()
            session.destroy()
        await session.wait_destroyed()
        assert entered == [0]
        assert trio.current_time() == 10


async def test_a_borrower_is_cancelled_in_the_moment_in_which_its_turn_comes(run_app, autojump_clock):
    """The actor and the canceller meet.

    1. A borrower waits behind a handler that ends at second 1.
    2. At second 1 its scope is cancelled too; whichever comes first, the document comes back.
    """
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        await session.tell(Work(1))
        with trio.move_on_after(1):
            async with session.locked_document() as doc:
                doc.data["log"].append("lost")
                await trio.lowlevel.checkpoint()
        assert await log_of(session) == ["work begins", "work ends"]


async def test_a_borrower_whose_session_ends_in_the_moment_in_which_its_turn_comes(run_app, autojump_clock):
    """Destroyed between the loan and the borrower's first step.

    1. A borrower waits behind a handler; the handler's last act is to let somebody else destroy the session.
    2. The actor lends: it wakes the borrower. Before that has run, the session is destroyed.
    3. The borrower has five seconds all the same, and the session waits for it.
    """
    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        actor = app.actor.find("s1")
        entered = trio.Event()

        async def borrow():
            with pytest.raises(SessionGone):
                async with session.locked_document():
                    entered.set()
                    await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            async with session.locked_document():
                nursery.start_soon(borrow)
                await trio.testing.wait_all_tasks_blocked()
                (waiting,) = actor.mailbox._entries
                lend = waiting.parked.wake

                def lend_and_destroy(result):
                    lend(result)
                    assert not entered.is_set()
                    actor.begin_end()  # what destroy() of another task would do now

                waiting.parked = type("Parked", (), {"wake": staticmethod(lend_and_destroy), "is_cancelled": False})()
        assert actor.has_ended
        assert entered.is_set()
        assert trio.current_time() == 5
        await session.wait_destroyed()


async def test_with_locked_document_calls_plain_and_async_functions_and_returns_what_they_return(
    run_app, autojump_clock
):
    async def add(doc, text):
        await trio.sleep(1)
        doc.data["log"].append(text)
        return len(doc.data["log"])

    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        assert await session.with_locked_document(add, "one") == 1
        assert await session.with_locked_document(lambda doc, text: add(doc, text), "two") == 2
        assert await session.with_locked_document(lambda doc: list(doc.data["log"])) == ["one", "two"]
        with pytest.raises(ZeroDivisionError):
            await session.with_locked_document(lambda doc: doc.data["log"].append(1 / 0))
        with pytest.raises(trio.TooSlowError):
            async with session.locked_document():
                # From elsewhere, so that it waits and is no circle.
                await in_another_task(session.with_locked_document, add, "three", timeout=2)


async def in_another_task(func, *args, **options):
    """Run it in a task that nobody waits for as part of a borrow: the nursery's parent is trio's root."""
    done = trio.Event()
    outcome = []

    async def run():
        try:
            outcome.append(await func(*args, **options))
        except Exception as error:
            outcome.append(error)
        done.set()

    trio.lowlevel.spawn_system_task(run)
    await done.wait()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


async def test_a_borrow_of_another_session_from_a_handler_is_no_circle(run_app, autojump_clock):
    async with run_app(APP, linger=3600) as app:
        one, two = await app.open(), await app.open()

        async def write_to(doc, other):
            async with other.locked_document() as theirs:
                theirs.data["log"].append(doc.session_context.id)

        await one.ask(Call(write_to, two))
        await two.ask(Call(write_to, one))
        assert await log_of(one) == ["s2"]
        assert await log_of(two) == ["s1"]


async def test_a_borrow_that_makes_the_document_too_large_is_rolled_back_and_gives_it_back(run_app, autojump_clock):
    async with run_app(APP, max_document_size=1024) as app:
        session = await app.open()
        with pytest.raises(InvalidValue, match="max_document_size"):
            async with session.locked_document() as doc:
                doc.data["text"] = "x" * 2000
        with pytest.raises(InvalidValue, match="max_document_size"):
            await session.with_locked_document(lambda doc: doc.data.update(text="x" * 2000))
        with trio.fail_after(1):
            async with session.locked_document() as doc:
                assert doc.data == {"log": []}
                doc.data["text"] = "y" * 2000
                with pytest.raises(InvalidValue):
                    doc.commit()
                doc.data["text"] = "y"

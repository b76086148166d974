"""A thread whose work is over: its next touch raises, and it is left behind if it doesn't come back."""

import threading

import pytest
import trio
import trio.testing

from supervisor.application.deadline import HOOKS_ONLY
from supervisor.errors import ActorGone, DocumentNotHeld, SessionGone

from .working import APP, PATIENCE, Do, Look, refusals


async def test_after_the_end_of_the_session_its_next_touch_raises(run_app, gate, recorder):
    found, seen = [], []

    def work(doc):
        data = doc.data
        data["a"] = 1
        gate.wait()
        found.extend(refusals(doc, data))

    async with run_app(
        {**APP, "on_session_destroyed": lambda context: seen.append(dict(context.document.data))}
    ) as app:
        session = await app.open()
        await session.tell(Do(work))
        await gate.reached()
        session.destroy()
        await trio.testing.wait_all_tasks_blocked()
        gate.open.set()
        await session.wait_destroyed()
    assert {type(error) for error in found} == {SessionGone}
    assert "has ended, and took its document back from this thread" in str(found[0])
    assert seen == [{}]
    assert recorder.incidents == []


async def test_a_thread_that_does_not_come_back_is_abandoned_and_named(run_app, gate, recorder, mock_clock):
    """1. The session is destroyed; 2. its thread touches nothing for 5 s; 3. the end goes on; 4. the thread touches."""
    found, seen, back = [], [], threading.Event()

    def hang(doc):
        data = doc.data
        data["a"] = 1
        gate.wait()
        found.extend(refusals(doc, data))
        with pytest.raises(ActorGone):
            app.context.call_from_thread(print)
        back.set()

    hooks = {"on_session_destroyed": lambda context: seen.append(dict(context.document.data))}
    async with run_app({**APP, **hooks}, expect_failures=True) as app:
        session = await app.open()
        await session.tell(Do(hang))
        await gate.reached()
        session.destroy()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(4.9)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        mock_clock.jump(0.2)
        await session.wait_destroyed()
        assert seen == [{}]
        assert app.actor.workers.at_work == 1  # it counts as long as it lasts
        (incident,) = recorder.incidents
        assert incident.what.startswith("thread of on_do")
        assert incident.session == session.id
        assert "hang" in "".join(incident.error.__notes__)
        gate.open.set()
        assert await trio.to_thread.run_sync(back.wait, PATIENCE)
        with trio.fail_after(PATIENCE):
            while app.actor.workers.at_work:
                await trio.lowlevel.checkpoint()
    assert {type(error) for error in found} == {SessionGone}
    assert len(recorder.incidents) == 1


async def test_what_an_abandoned_thread_raises_is_reported(run_app, gate, recorder, mock_clock):
    def hang(doc):
        gate.wait()
        raise KeyError("late")

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        await session.tell(Do(hang))
        await gate.reached()
        session.destroy()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(5)
        await session.wait_destroyed()
        gate.open.set()
        while len(recorder.incidents) < 2:
            await trio.lowlevel.checkpoint()
    assert recorder.failed_parts == ["thread of on_do", "abandoned thread of on_do"]


async def test_an_asker_that_gives_up_takes_the_document_from_the_thread(run_app, gate, recorder, mock_clock):
    found = []

    def work(doc):
        data = doc.data
        data["a"] = 1
        gate.wait()
        found.extend(refusals(doc, data))
        data["b"] = 1  # raises once more, and this time it leaves

    async with run_app(APP) as app:
        session = await app.open()

        async def give_up():
            with pytest.raises(trio.TooSlowError):
                await session.ask(Do(work), timeout=1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up)
            await gate.reached()
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
            gate.open.set()
        assert {type(error) for error in found} == {DocumentNotHeld}
        assert "took its document back from this thread: its work is over, or was cancelled" in str(found[0])
        assert await session.ask(Look()) == {}
    assert recorder.incidents == []


@pytest.mark.parametrize("touches_late", [False, True])
async def test_a_thread_that_finishes_all_the_same_counts_unless_it_was_refused(
    run_app, gate, mock_clock, touches_late
):
    answers = []

    def work(doc):
        doc.data["a"] = 1
        gate.wait()
        if touches_late:
            refusals(doc, {})
        return "done"

    def refusals(doc, _):
        with pytest.raises(DocumentNotHeld):
            doc.data["b"] = 1

    async with run_app(APP) as app:
        session = await app.open()

        async def ask():
            try:
                answers.append(await session.ask(Do(work), timeout=1))
            except trio.TooSlowError:
                answers.append("too slow")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await gate.reached()
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
            gate.open.set()
        assert answers == (["too slow"] if touches_late else ["done"])
        assert await session.ask(Look()) == ({} if touches_late else {"a": 1})


async def test_what_a_cancelled_thread_raises_is_reported(run_app, gate, recorder, mock_clock):
    def work(doc):
        gate.wait()
        raise KeyError("meanwhile")

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        await session.tell(Do(work))
        await gate.reached()
        session.destroy()
        await trio.testing.wait_all_tasks_blocked()
        gate.open.set()
        await session.wait_destroyed()
    assert [repr(error) for error in recorder.errors] == ["KeyError('meanwhile')"]


async def test_a_thread_in_a_call_of_the_loop_is_released_when_the_session_ends(run_app):
    raised = []

    def work(doc):
        try:
            app.context.call_from_thread(trio.sleep_forever)
        except ActorGone as error:
            raised.append(error)
            raise

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        await session.tell(Do(work))
        await trio.testing.wait_all_tasks_blocked(0.05)
        session.destroy()
        await session.wait_destroyed()
    assert len(raised) == 1


async def test_a_stop_that_is_cut_short_leaves_hooks_their_time_and_a_thread_none(run_app, gate, recorder, mock_clock):
    """1. The server stops; 2. the thread that has the document doesn't come back; 3. a second stop leaves 6 s."""
    times = []

    async def on_session_destroyed(context):
        times.append(trio.current_time())
        await trio.sleep(1)
        times.append(trio.current_time())

    async with run_app({**APP, "on_session_destroyed": on_session_destroyed}, expect_failures=True) as app:
        session = await app.open()
        await session.tell(Do(lambda doc: gate.wait()))
        await gate.reached()
        app.actor.stop(deadline=20)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1)
        app.actor.stop(deadline=1 + HOOKS_ONLY)
        await trio.testing.wait_all_tasks_blocked()
        begun = list(times)
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()
        ended = list(times)
        mock_clock.jump(20)  # whatever hangs has an end
        gate.open.set()
    assert (begun, ended) == ([1], [1, 2])
    assert recorder.failed_parts[0].startswith("thread of on_do")
    assert len(recorder.failed_parts) == 1

"""A document in a worker thread. These run in real time, but where a clock is asked for; they wait for no sleep."""

import threading
import time

import msgspec
import pytest
import trio
import trio.testing

from supervisor.actor.in_thread import in_thread
from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.deadline import HOOKS_ONLY
from supervisor.errors import ActorGone, DeadlockError, DocumentNotHeld, Rejected, SessionGone, Unawaited
from supervisor.session.receivers import receives

PATIENCE = 60.0
"""Seconds that a thread may take before a test fails: machines can be slow."""


class Do:
    """Makes the handler call a function, in a thread."""

    def __init__(self, func, *args):
        self.func, self.args = func, args


class Look:
    """Answered in the loop, with a copy of the data."""


@receives(Do, thread=True)
def on_do(doc, message):
    return message.func(doc, *message.args)


@receives(Look)
def on_look(doc, message):
    return dict(doc.data)


APP = {"on_do": on_do, "on_look": on_look}


class Gate:
    """Where a thread waits until the test lets it go on."""

    def __init__(self):
        self.inside, self.open = threading.Event(), threading.Event()

    def wait(self):
        self.inside.set()
        assert self.open.wait(PATIENCE)

    async def reached(self):
        assert await trio.to_thread.run_sync(self.inside.wait, PATIENCE)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def put(doc, key, value):
    doc.data[key] = value


# A message like any other.


async def test_a_handler_in_a_thread_answers_and_its_changes_are_one_transaction(run_app):
    async with run_app(APP) as app:
        session = await app.open()

        def work(doc):
            doc.data["a"] = 1
            doc.data["b"] = [1, 2]
            return threading.get_ident()

        assert await session.ask(Do(work)) != threading.get_ident()
        assert session.document.revision == 1
        assert await session.ask(Look()) == {"a": 1, "b": [1, 2]}


async def test_what_it_raises_reaches_the_asker_and_is_rolled_back(run_app, recorder):
    def fail(doc, error):
        doc.data["a"] = 1
        raise error

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        for error in (KeyError("mine"), Rejected("no")):
            with pytest.raises(type(error)) as raised:
                await session.ask(Do(fail, error))
            assert raised.value is error
        assert await session.ask(Look()) == {}
    assert [repr(error) for error in recorder.errors] == ["KeyError('mine')"]
    assert recorder.failed_parts == ["message Do"]


async def test_messages_keep_their_order_and_wait_for_the_thread(run_app, gate):
    async with run_app(APP) as app:
        session = await app.open()
        await session.tell(Do(lambda doc: (gate.wait(), put(doc, "first", 1))))
        await gate.reached()
        await session.tell(Do(lambda doc: put(doc, "second", list(doc.data))))
        gate.open.set()
        assert await session.ask(Look()) == {"first": 1, "second": ["first"]}


async def test_the_server_serves_everybody_else_while_a_thread_works(run_app, gate):
    async with run_app(APP) as app:
        slow, quick = await app.open(), await app.open()
        await slow.tell(Do(lambda doc: gate.wait()))
        await gate.reached()
        for _ in range(20):
            assert await quick.ask(Look()) == {}
        gate.open.set()
        assert await slow.ask(Look()) == {}


async def test_a_handler_that_awaits_for_long_holds_up_its_own_session_only(run_app, autojump_clock):
    class Wait:
        pass

    @receives(Wait)
    async def on_wait(doc, message):
        await trio.sleep(100)

    async with run_app({**APP, "on_wait": on_wait}, linger=3600) as app:
        slow, quick = await app.open(), await app.open()
        await slow.tell(Wait())
        began = trio.current_time()
        await quick.ask(Look())
        assert trio.current_time() == began
        await slow.ask(Look(), timeout=200)
        assert trio.current_time() == began + 100


async def test_a_function_that_is_no_plain_one_is_refused_when_it_is_marked():
    async def wait(doc, message): ...

    def generate(doc, message):
        yield

    with pytest.raises(TypeError, match=r"calls plain functions, and .*wait is async; write `def` and no await in it"):
        receives(Do, thread=True)(wait)
    with pytest.raises(TypeError, match="is with a yield in it"):
        in_thread(generate)


async def test_what_it_returns_to_be_awaited_is_an_error(run_app, recorder):
    async def later():
        pass

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        with pytest.raises(TypeError, match="nobody awaits in a worker thread"):
            await session.ask(Do(lambda doc: later()))


# What the loop sees meanwhile.


async def test_who_attaches_meanwhile_gets_the_committed_state(run_app, gate):
    async with run_app(APP) as app:
        session = await app.open()
        stored = app.actor.find(session.id).stored
        await session.ask(Do(put, "a", 1))
        await session.tell(Do(lambda doc: (put(doc, "b", 2), gate.wait(), put(doc, "c", 3))))
        await gate.reached()
        assert stored.snapshot() == b'{"a":1}'
        gate.open.set()
        await session.ask(Look())
        assert stored.snapshot() == b'{"a":1,"b":2,"c":3}'


async def test_snapshots_are_safe_while_a_thread_changes_much(run_app):
    def work(doc):
        items = doc.data["items"]
        until = time.perf_counter() + 0.2
        while time.perf_counter() < until:
            items.append([1])
            doc.data["row"]["cells"][0] = str(len(items))
            doc.data[str(len(items))] = items.pop(len(items) % 2)
            del doc.data["row"]["cells"][1:]
            doc.data["row"]["cells"].append({})

    async with run_app(APP) as app:
        session = await app.open()
        stored = app.actor.find(session.id).stored
        await session.ask(Do(lambda doc: doc.data.update(items=[[0]], row={"cells": [0, {}], "n": 1})))
        before = stored.snapshot()
        await session.tell(Do(work))
        answer = []

        async def ask():
            answer.append(await session.ask(Look()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.lowlevel.checkpoint()
            while not answer:
                assert answer or stored.snapshot() == before or session.document.revision > 1
                await trio.lowlevel.checkpoint()


async def test_a_commit_shows_progress_and_stays(run_app, gate, recorder):
    def work(doc):
        doc.data["a"] = 1
        doc.commit()
        doc.data["b"] = 2
        gate.wait()
        raise KeyError("after the commit")

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        await session.tell(Do(work))
        await gate.reached()
        assert session.document.revision == 1
        assert app.actor.find(session.id).stored.snapshot() == b'{"a":1}'
        gate.open.set()
        assert await session.ask(Look()) == {"a": 1}
    assert recorder.failed_parts == ["message Do"]


# Who holds it.


def touches(doc, data):
    return [lambda: doc.data, lambda: data.update(x=1), lambda: setattr(doc, "data", {}), doc.commit]


def refusals(doc, data):
    """What each way to touch a document raises."""
    found = []
    for touch in touches(doc, data):
        with pytest.raises((DocumentNotHeld, SessionGone)) as raised:
            touch()
        found.append(raised.value)
    return found


async def test_another_sessions_document_is_refused_to_a_thread(run_app):
    async with run_app(APP) as app:
        mine, other = await app.open(), await app.open()
        data = app.actor.find(other.id).stored.root
        errors = await mine.ask(Do(lambda doc: refusals(other.document, data)))
        assert all(f"this thread doesn't hold the document of session {other.id}" in str(error) for error in errors)


async def test_ones_own_document_is_refused_to_a_thread_that_was_not_lent_it(run_app):
    def work(doc):
        found = []
        data = doc.data
        thread = threading.Thread(target=lambda: found.extend(refusals(doc, data)))
        thread.start()
        thread.join()
        return found

    async with run_app(APP) as app:
        session = await app.open()
        assert {type(error) for error in await session.ask(Do(work))} == {DocumentNotHeld}
        data = app.actor.find(session.id).stored.root
        found = await trio.to_thread.run_sync(refusals, session.document, data)
        assert {type(error) for error in found} == {DocumentNotHeld}


async def test_a_thread_with_a_copy_of_the_lent_threads_context_is_refused_too(run_app):
    import contextvars

    def work(doc):
        found = []
        data, context = doc.data, contextvars.copy_context()
        thread = threading.Thread(target=lambda: found.extend(context.run(refusals, doc, data)))
        thread.start()
        thread.join()
        return found

    async with run_app(APP) as app:
        session = await app.open()
        assert len(await session.ask(Do(work))) == 4


async def test_the_loop_does_not_hold_it_while_a_thread_does(run_app):
    async with run_app(APP) as app:
        session = await app.open()

        def work(doc):
            with pytest.raises(DocumentNotHeld):
                app.context.call_from_thread(lambda: doc.data)
            with pytest.raises(DocumentNotHeld):
                app.context.call_from_thread(doc.commit)
            doc.data["a"] = 1

        await session.ask(Do(work))
        assert await session.ask(Look()) == {"a": 1}


async def test_a_thread_whose_work_is_over_does_not_hold_it_any_more(run_app):
    kept = []

    def work(doc):
        kept.append((doc, doc.data, app.context))

    async with run_app(APP) as app:
        session = await app.open()
        await session.ask(Do(work))
        doc, data, _ = kept[0]
        with pytest.raises(DocumentNotHeld):
            data["a"] = 1
        with pytest.raises(DocumentNotHeld):
            doc.commit()
        assert await session.ask(Look()) == {}


# What else a thread may do.


async def test_a_thread_reaches_the_server_by_one_door(run_app):
    async with run_app(APP) as app:
        mine, other = await app.open(), await app.open()

        def work(doc):
            for refused in (lambda: other.tell_nowait(Look()), other.destroy, lambda: doc.add_callback(print)):
                with pytest.raises(RuntimeError, match=r"use app_context\.call_from_thread"):
                    refused()
            app.context.call_from_thread(other.ask, Do(put, "by", mine.id))
            return app.context.call_from_thread(other.ask, Look())

        assert await mine.ask(Do(work)) == {"by": mine.id}


async def test_a_circle_through_a_thread_is_an_error_that_names_it(run_app):
    async with run_app(APP) as app:
        one, two = await app.open(), await app.open()

        def back(doc):
            with pytest.raises(DeadlockError) as raised:
                app.context.call_from_thread(one.ask, Look())
            return str(raised.value)

        said = await one.ask(Do(back))
        assert f"{one!r}".split()[2].rstrip(">") in said
        assert "would wait for ever" in said
        said = await one.ask(Do(lambda doc: app.context.call_from_thread(two.ask, Do(back))))
        assert said.count(" → ") == 2
        for wait in (one.wait_destroyed, lambda: one.with_locked_document(print)):
            with pytest.raises(DeadlockError):
                await one.ask(Do(lambda doc, wait=wait: app.context.call_from_thread(wait)))
        app.recorder.incidents.clear()


async def test_a_coroutine_that_nobody_can_await_there_fails_the_message(run_app, recorder):
    from supervisor.actor.unawaited import watch_unawaited

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        with watch_unawaited(recorder.incidents.append):
            with pytest.raises(
                Unawaited, match=r"SessionContext\.tell; in a thread write app_context\.call_from_thread"
            ):
                await session.ask(Do(lambda doc: (put(doc, "a", 1), session.tell(Look()), None)[2]))
        assert await session.ask(Look()) == {}


async def test_a_session_that_its_own_thread_destroys_lets_it_finish(run_app, recorder):
    seen = []
    async with run_app(
        {**APP, "on_session_destroyed": lambda context: seen.append(dict(context.document.data))}
    ) as app:
        session = await app.open()

        def work(doc):
            app.context.call_from_thread(session.destroy)
            doc.data["a"] = 1
            return "done"

        assert await session.ask(Do(work)) == "done"
        await session.wait_destroyed()
    assert seen == [{"a": 1}]


async def test_threads_are_limited_and_who_waits_for_one_can_be_cancelled(run_app, gate):
    async with run_app(APP, max_threads=1) as app:
        first, second = await app.open(), await app.open()
        await first.tell(Do(lambda doc: gate.wait()))
        await gate.reached()
        began = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.ask, Do(lambda doc: began.append(1)))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert app.actor.workers.at_work == 1
        assert await second.ask(Look()) == {}
        await second.tell(Do(lambda doc: began.append(2)))
        gate.open.set()
        await second.ask(Look())
        assert began == [2]
        assert app.actor.workers.at_work == 0


# When it is over.


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


# Hooks, callbacks, listeners and judges.


async def test_hooks_run_in_threads_with_the_document_lent(run_app):
    here, seen = threading.get_ident(), []

    def hook(name, act=lambda context: None):
        @in_thread
        def run(context, *rest):
            seen.append((name, threading.get_ident() != here))
            act(context)

        return run

    app = {
        **APP,
        "on_application_load": hook("load", lambda context: context.call_from_thread(context.share_presence)),
        "on_session_created": hook("created", lambda context: context.document.data.update(created=True)),
        "modify_document": hook("modify", lambda doc: doc.data.update(built=True)),
        "on_session_destroyed": hook("destroyed", lambda context: dict(context.document.data)),
        "on_application_unload": hook("unload"),
    }
    async with run_app(app) as running:
        session = await running.open()
        assert await session.ask(Look()) == {"created": True, "built": True}
        assert running.actor.shares_presence
    assert seen == [(name, True) for name in ("load", "created", "modify", "destroyed", "unload")]


async def test_callbacks_and_listeners_of_a_document_run_in_threads(run_app):
    here = threading.get_ident()

    def note(doc, key, *_):
        doc.data[key] = threading.get_ident() != here

    async with run_app(APP, linger=3600) as app:
        session = await app.open()
        doc = session.document
        doc.on_change("/tick", lambda doc, change: note(doc, "changed"), thread=True)
        doc.add_callback(note, doc, "tick", thread=True)
        doc.add_timeout_callback(note, doc, "timeout", seconds=0.01, thread=True)
        periodic = doc.add_periodic_callback(in_thread(lambda: note(doc, "periodic")), seconds=0.01)
        while len(found := await session.ask(Look())) < 4:
            pass  # threads don't tell
        doc.remove_callback(periodic)
        assert found == dict.fromkeys(("tick", "changed", "timeout", "periodic"), True)
        with pytest.raises(TypeError, match="is async"):
            doc.add_callback(trio.sleep, 1, thread=True)
        with pytest.raises(TypeError, match="a callback must be callable"):
            doc.add_callback(None, thread=True)


async def test_callbacks_and_producers_of_an_application_run_in_threads(run_app):
    here, seen = threading.get_ident(), []

    def note(name):
        seen.append((name, threading.get_ident() != here))

    async with run_app(APP) as app:
        app.context.add_callback(note, "producer", thread=True)
        app.context.add_next_tick_callback(note, "tick", thread=True)
        app.context.add_timeout_callback(note, "timeout", seconds=0.01, thread=True)
        app.context.add_periodic_callback(note, "periodic", seconds=0.01, thread=True)
        while len({name for name, _ in seen}) < 4:  # threads don't tell
            await trio.lowlevel.checkpoint()
    assert all(in_thread for _, in_thread in seen)


async def test_a_producer_in_a_thread_learns_that_it_was_removed(run_app):
    began, ended = threading.Event(), threading.Event()

    def produce(app_context):
        try:
            while True:
                app_context.call_from_thread(trio.lowlevel.checkpoint)
                began.set()
        finally:
            ended.set()

    async with run_app(APP, expect_failures=True) as app:
        handle = app.context.add_callback(produce, app.context, thread=True)
        assert await trio.to_thread.run_sync(began.wait, PATIENCE)
        app.context.remove_callback(handle)
        assert await trio.to_thread.run_sync(ended.wait, PATIENCE)


async def test_a_hook_in_a_thread_that_is_late_fails_as_any_other(run_app, gate, recorder, mock_clock):
    @in_thread
    def modify_document(doc):
        gate.wait()

    async with run_app({"modify_document": modify_document}, expect_failures=True, build_timeout=1) as app:
        outcomes = []

        async def visit():
            outcomes.append(await app.outcome())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit)
            await gate.reached()
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(5)
        assert type(outcomes[0]).__name__ == "Failed"
    assert recorder.failed_parts == [
        "thread of test_a_hook_in_a_thread_that_is_late_fails_as_any_other.<locals>.modify_document",
        "modify_document",
    ]


# A restart.


async def test_a_restart_may_build_in_a_worker_thread_and_nobody_sees_that_before(run_app, gate):
    """The thread is lent the new document; the old one is what others see, and what is left if the session ends."""
    builds = []

    @in_thread
    def modify_document(doc):
        doc.data["n"] = len(builds)
        builds.append(threading.get_ident())
        if len(builds) > 1:
            doc.commit()
            gate.wait()
            doc.data["more"] = 1

    @in_thread
    def on_session_failed(session_context, error):
        session_context.document.data["failed in"] = threading.get_ident()

    policy = FailurePolicy(directive="restart", backoff=Backoff(first=0))
    app = {**APP, "modify_document": modify_document, "on_session_failed": on_session_failed, "failure_policy": policy}
    async with run_app(app, expect_failures=True) as app:
        session = await app.open()
        actor = app.actor.find("s1")
        session.tell_nowait(Do(put, 1, "is no key of JSON"))
        await gate.reached()
        assert msgspec.json.decode(actor.stored.snapshot()).keys() == {"n", "failed in"}
        assert session.restarts == 0
        gate.open.set()
        assert await session.ask(Look()) == {"n": 1, "more": 1}
        assert session.restarts == 1
        assert threading.get_ident() not in builds


async def test_a_thread_that_builds_when_the_session_ends_loses_its_document(run_app, gate):
    outcomes, last = [], []

    @in_thread
    def modify_document(doc):
        doc.data["n"] = len(outcomes)
        if doc.session_context.last_incident is not None:
            gate.wait()
            try:
                doc.data["more"] = 1
            except SessionGone as error:
                outcomes.append(error)

    policy = FailurePolicy(directive="restart", backoff=Backoff(first=0))
    app = {
        **APP,
        "modify_document": modify_document,
        "failure_policy": policy,
        "on_session_destroyed": lambda session: last.append(dict(session.document.data)),
    }
    async with run_app(app, expect_failures=True) as app:
        session = await app.open()
        session.tell_nowait(Do(put, 1, "is no key of JSON"))
        await gate.reached()
        session.destroy()
        await trio.testing.wait_all_tasks_blocked()
        gate.open.set()
        await session.wait_destroyed()
        assert last == [{"n": 0}]
        assert len(outcomes) == 1

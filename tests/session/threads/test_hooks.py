"""Hooks, callbacks, listeners and producers in threads."""

import threading

import pytest
import trio
import trio.testing

from supervisor.actor.in_thread import in_thread

from .working import APP, PATIENCE, Look


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

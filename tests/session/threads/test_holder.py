"""Who holds the document while it is lent to a thread: nobody else."""

import threading

import pytest
import trio

from supervisor.errors import DocumentNotHeld

from .working import APP, Do, Look, refusals


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

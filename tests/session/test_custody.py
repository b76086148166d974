"""Who may touch a session's document, and what others are told who try."""

import pytest
import trio

from supervisor.errors import DocumentNotHeld

from .apps import App, Call


async def test_tasks_in_nurseries_of_a_handler_hold_the_document_and_others_do_not(run_app, autojump_clock):
    tried = []

    async def write(doc, text):
        try:
            doc.data["log"].append(text)
        except DocumentNotHeld:
            tried.append(text)

    async def handle(doc):
        doc.session_context.start_soon(write, doc, "background")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, doc, "child")
            await trio.sleep(1)
        return list(doc.data["log"])

    async with run_app(App()) as app:
        session = await app.open()
        assert await session.ask(Call(handle)) == ["child"]
        await write(session.document, "outsider")
        assert tried == ["background", "outsider"]


async def test_a_container_kept_from_a_handler_is_of_no_use_afterwards(run_app, autojump_clock):
    async with run_app(App()) as app:
        session = await app.open()
        log = await session.ask(Call(lambda doc: doc.data["log"]))
        for mutate in (lambda: log.append(1), log.clear, lambda: log.__setitem__(slice(None), [1]), log.sort):
            with pytest.raises(DocumentNotHeld, match="this task doesn't hold the document of session s1"):
                mutate()
        session.destroy()
        await session.wait_destroyed()
        with pytest.raises(DocumentNotHeld, match="the session has ended"):
            log.append(1)


async def test_the_document_is_not_held_outside_of_trios_thread(run_app):
    def touch():
        with pytest.raises(DocumentNotHeld):
            document.data
        with pytest.raises(RuntimeError, match=r"use app_context\.call_from_thread\(func, \*args\)"):
            document.add_callback(print)

    async with run_app(App()) as app:
        document = (await app.open()).document
        async with document.session_context.locked_document():
            await trio.to_thread.run_sync(touch)

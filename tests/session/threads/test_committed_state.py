"""What the loop sees of a document while a thread works on it."""

import time

import trio

from .working import APP, Do, Look, put


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

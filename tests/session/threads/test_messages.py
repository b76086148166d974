"""A handler in a thread handles a message like any other."""

import threading

import pytest
import trio

from supervisor.actor.in_thread import in_thread
from supervisor.errors import Rejected
from supervisor.session.receivers import receives

from .working import APP, Do, Look, put


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

    with pytest.raises(TypeError, match=r"calls plain functions, but .*wait is async; write `def` without await"):
        receives(Do, thread=True)(wait)
    with pytest.raises(TypeError, match="is a generator function"):
        in_thread(generate)


async def test_what_it_returns_to_be_awaited_is_an_error(run_app, recorder):
    async def later():
        pass

    async with run_app(APP, expect_failures=True) as app:
        session = await app.open()
        with pytest.raises(TypeError, match="nothing awaits in a worker thread"):
            await session.ask(Do(lambda doc: later()))

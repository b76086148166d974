"""Draining, with clients."""

import functools
import os
import signal
from urllib.parse import urlsplit

import trio

from supervisor.testing import supervise_process

WORKING = """
    import attrs
    import trio

    from supervisor import receives


    @attrs.frozen
    class Work:
        seconds: float


    @receives(Work, from_client=True)
    async def on_work(doc, message):
        print("work begins", flush=True)
        await trio.sleep(message.seconds)
        doc.data["done"] += 1
        return doc.data["done"]


    async def on_session_destroyed(session_context):
        await trio.sleep(0.5)
        print("destroyed hook", flush=True)


    def on_application_unload(app_context):
        print("unload hook", flush=True)


    def modify_document(doc):
        doc.data["done"] = 0
"""

UNTIL_TOLD = """while doc.data["done"] and not await trio.Path(__file__).with_name("told").exists():
            await trio.sleep(0.01)"""
"""The work but the first takes until the test has asked what it wants to know: a busy machine may be slow to answer."""


def closings_of(client):
    return [event for event in client.received if type(event).__name__ == "Closing"]


async def test_200_clients_are_answered_and_sent_away_each_with_a_delay_of_its_own(app):
    async with supervise_process(app(WORKING), "--log-level", "error") as server, trio.open_nursery() as nursery:
        clients = [await (await server.new_session()).connect() for _ in range(200)]
        for client in clients[:50]:  # what is under way when the signal comes
            nursery.start_soon(functools.partial(client.send, "Work", seconds=0.01))
        began = trio.current_time()
        server.terminate()
        assert await server.wait_ended() == 0
        assert trio.current_time() - began < 20
        for client in clients:
            await client.until(lambda data, client=client: closings_of(client))
        nursery.cancel_scope.cancel()
    closings = [closings_of(client)[0] for client in clients]
    assert {closing.code for closing in closings} == {1012}
    delays = [closing.retry_after for closing in closings]
    assert all(0 <= delay <= 3 for delay in delays)
    for third in range(3):  # so they don't return all at once
        assert 20 < sum(third <= delay < third + 1 for delay in delays) < 120
    served, *lines = server.log.splitlines()
    assert "is served at" in served
    assert lines.count("destroyed hook") == 200
    assert lines[-1] == "unload hook"
    assert set(lines) <= {"work begins", "destroyed hook", "unload hook"}


async def test_what_was_in_the_mailbox_is_answered_before_1012_and_health_says_draining(app):
    answers = []
    script = app(WORKING.replace("await trio.sleep(message.seconds)", UNTIL_TOLD))
    async with supervise_process(script, "--log-level", "error") as server, trio.open_nursery() as nursery:
        client = await (await server.new_session()).connect()

        async def send():
            answers.append(await client.send("Work", seconds=0))

        for _ in range(3):
            nursery.start_soon(send)
        await client.until(lambda data: data["done"] == 1)
        server.terminate()
        while (health := await server.get("/-/health")).text == "ok\n":
            pass
        assert health.text == "draining\n"
        page = await server.get("/app")
        assert (page.status, page.headers["retry-after"]) == (503, "5")
        script.with_name("told").touch()
        assert await server.wait_ended() == 0
        await client.until(lambda data: closings_of(client))
    assert answers == [1, 2, 3]
    kinds = [type(event).__name__ for event in client.received]
    assert kinds.count("Answered") == 3
    assert "Answered" not in kinds[kinds.index("Closing") :]
    assert [closing.code for closing in closings_of(client)] == [1012]


async def test_a_second_signal_cuts_the_work_short_and_hooks_run(app):
    arguments = ("--drain-timeout", "60", "--shutdown-timeout", "90")
    async with supervise_process(app(WORKING), *arguments) as server, trio.open_nursery() as nursery:
        client = await (await server.new_session()).connect()
        nursery.start_soon(functools.partial(client.send, "Work", seconds=80.0))
        await server.until_logged("work begins")
        server.terminate()
        await server.until_logged("timeout=90")
        began = trio.current_time()
        os.kill(server.pid, signal.SIGINT)
        assert await server.wait_ended() == 0
        assert trio.current_time() - began < 20
        nursery.cancel_scope.cancel()
    assert "timeout=6.0" in server.log
    hooks = [line for line in server.log.splitlines() if line.endswith(" hook")]
    assert hooks == ["destroyed hook", "unload hook"]


def test_the_port_is_free_while_unload_hooks_run(start, app, tmp_path, fetch):
    app("""
        import trio

        async def on_application_unload(app_context):
            print("unload hook", flush=True)
            await trio.sleep(5)

        def modify_document(doc): ...
    """)
    old = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    (url,) = old.until_served()
    assert fetch(url).status == 200
    old.send(signal.SIGTERM)
    old.until_printed("unload hook\n")
    new = start("serve", "app.py", "--port", urlsplit(url).port, cwd=tmp_path)
    assert new.until_served() == [url]
    assert fetch(url).status == 200
    assert old.end() == 0

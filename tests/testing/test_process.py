"""`supervise_process`: a real process, which never outlives its block, and takes real time."""

import os
import signal
import socket
import sys
import textwrap

import pytest
import trio

from supervisor.errors import ApplicationError, ConnectFailed, SendFailed
from supervisor.testing import supervise_process

APP = """
    import os
    import sys
    import attrs
    from supervisor import receives

    @attrs.frozen
    class Add:
        number: int

    @receives(Add, from_client=True)
    def on_add(doc, message):
        if message.number < 0:
            raise LookupError("no such number")
        doc.data["sum"] += message.number

    def choose_session_id(request):
        return "shared"

    def modify_document(doc):
        doc.data["sum"] = 0
        print("built with", os.environ.get("SHOP"), file=sys.stderr, flush=True)
"""


@pytest.fixture
def app(tmp_path):
    file = tmp_path / "shop.py"
    file.write_text(textwrap.dedent(APP))
    return file


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_sessions_and_clients_are_as_in_the_harness(app):
    async with supervise_process(app, "--linger", "5", environment={"SHOP": "open"}) as running:
        session = await running.new_session(query={"a": "b"})
        first, second = await session.connect(), await session.connect()
        await first.send("Add", number=2)
        await second.until(lambda data: data == {"sum": 2})
        assert (await running.get("/shop")).status == 200
        async with running.http() as http:
            assert (await http.get("/shop")).status_code == 200
        assert running.exit_code is None
        await running.until_logged(r"^built with open$")
        assert repr(running) == f"<ProcessApp http://127.0.0.1:{running.port}/shop running>"
        with pytest.raises(RuntimeError, match="in another process, out of reach"):
            _ = session.context
        with pytest.raises(RuntimeError, match="in another process, out of reach"):
            await session.crash()
    assert running.exit_code == 0
    assert not is_there(running.pid)


async def test_a_restart_keeps_the_port_and_the_key(app):
    async with supervise_process(app) as running:
        before = await running.new_session()
        client = await before.connect()
        await client.send("Add", number=2)
        port, pid = running.port, running.pid
        await running.restart()
        assert running.port == port
        assert not is_there(pid)
        await running.new_session()  # which has the same id in this app
        client = await before.connect()  # by the token that the process before has signed
        assert client.data == {"sum": 0}


async def test_after_a_kill_nobody_answers_until_a_restart(app):
    async with supervise_process(app) as running:
        await (await running.new_session()).connect()
        running.kill()
        assert await running.wait_ended() == -signal.SIGKILL
        with pytest.raises(ConnectFailed, match="can't be reached: connection refused"):
            await running.new_session()
        if sys.platform == "linux":  # elsewhere a port is not held
            with socket.socket() as other, pytest.raises(OSError):
                other.bind(("127.0.0.1", running.port))
        await running.restart()
        await (await running.new_session()).connect()


@pytest.mark.parametrize("how", ["terminate", "kill"])
async def test_clients_come_back_when_the_process_does(app, how):
    """Who follows loads the page again and has a new session; for who doesn't that is the end."""
    app.write_text(app.read_text().replace("choose_session_id", "unused"))
    async with supervise_process(app) as running:
        session = await running.new_session()
        clients = [await session.connect(follow_reload=follows) for follows in (True, False)]
        await clients[0].send("Add", number=2)
        for client in clients:
            await client.until(lambda data: data == {"sum": 2})
        getattr(running, how)()
        await running.wait_ended()
        await running.restart()
        for client, follows in zip(clients, (True, False), strict=True):
            if follows:
                await client.until(lambda data: data == {"sum": 0})
                await client.send("Add", number=3)
                assert client.data == {"sum": 3}
            else:
                ended = await client.until_ended()
                assert ended.code == 4404


async def test_what_a_test_has_ended_is_no_failure(app):
    async with supervise_process(app) as running:
        running.terminate()
        assert await running.wait_ended() == 0
        running.terminate()
    async with supervise_process(app) as running:
        running.kill()
    assert running.exit_code == -signal.SIGKILL


async def test_a_process_that_ends_by_itself_is_a_failure(app):
    app.write_text("import os\ndef modify_document(doc):\n    print('out of paper', flush=True)\n    os._exit(3)\n")
    with pytest.raises(AssertionError, match=r"ended with exit code 3(?s:.*)out of paper"):
        async with supervise_process(app) as running:
            with pytest.raises(ConnectFailed, match="the connection was closed"):
                await running.new_session()
            assert await running.wait_ended() == 3


async def test_an_app_that_does_not_start_is_told_with_the_end_of_its_log(app):
    app.write_text("def modify_document(doc, more):\n    pass\n")
    with pytest.raises(ApplicationError, match=r"did not start: exit code 1(?s:.*)must take one argument"):
        async with supervise_process(app):
            raise AssertionError("the block was entered")


async def test_what_the_block_raises_has_the_log_and_ends_the_process(app):
    with pytest.raises(SendFailed) as raised:
        async with supervise_process(app) as running:
            client = await (await running.new_session()).connect()
            await client.send("Add", number=-1)
    assert "no such number" in "".join(raised.value.__notes__)
    assert not is_there(running.pid)


async def test_a_cancelled_block_leaves_no_process(app):
    with trio.CancelScope() as scope:
        async with supervise_process(app) as running:
            await (await running.new_session()).connect()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not is_there(running.pid)


async def test_a_start_that_is_cancelled_leaves_no_process(app, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    app.write_text(f"import os, time\nopen({str(pipe)!r}, 'w').write(str(os.getpid()))\ntime.sleep(1000)\n")
    pids = []
    async with trio.open_nursery() as nursery:

        async def cancel_once_it_loads():
            pids.append(int(await trio.to_thread.run_sync(pipe.read_text)))
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_once_it_loads)
        async with supervise_process(app):
            raise AssertionError("the block was entered")
    assert not is_there(pids[0])


async def test_the_log_is_bounded_and_keeps_its_end(app):
    app.write_text("def modify_document(doc):\n    print('x' * 2_000_000)\n    print('done', flush=True)\n")
    async with supervise_process(app) as running:
        await running.new_session()
        await running.until_logged("^done$")
        assert len(running.log) == 1024 * 1024
        with pytest.raises(AssertionError, match="nothing in the log matches 'never'"):
            await running.until_logged("never", timeout=0.05)
        await running.restart()  # what is looked for is what the new process writes


async def test_after_its_block_nothing_is_asked_of_it(app):
    async with supervise_process(app) as running:
        session = await running.new_session()
    for act in (running.new_session, session.connect, lambda: running.get("/shop")):
        with pytest.raises(RuntimeError, match=r"^the block has ended, and the app's server with it: do this inside"):
            await act()


async def test_what_is_not_in_the_log_of_an_ended_process_never_comes(app):
    async with supervise_process(app) as running:
        running.terminate()
        with pytest.raises(AssertionError, match="nothing in the log matches 'never'"):
            await running.until_logged("never")


async def test_virtual_time_is_refused(app, autojump_clock):
    with pytest.raises(RuntimeError, match="virtual"):
        async with supervise_process(app):
            pass


@pytest.mark.parametrize("argument", ["--unix-socket", "--host=0.0.0.0", "--port", "--ssl-certfile"])
async def test_another_address_is_refused(app, argument):
    with pytest.raises(ValueError, match=r"TLS; remove --"):
        async with supervise_process(app, argument):
            pass


def test_it_needs_trio(app):
    block = supervise_process(app)
    with pytest.raises(RuntimeError, match="needs trio"):
        block.__aenter__().send(None)

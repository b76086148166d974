"""The client that "Write another client" shows, against a real server and a network that can be cut."""

import asyncio
import contextlib
import importlib.util
import json
from pathlib import Path

import pytest

from ..e2e.conftest import DEADLINE, Server
from ..e2e.proxy import Proxy

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
VECTORS = [  # those in which nothing is sent, lost or wrong
    vector
    for file in ("server_messages.json", "restarts.json")
    for vector in json.loads((ROOT / "tests" / "vectors" / file).read_text())
    if all(step["do"] == "open" or ("frame" in step and "expect" not in step) for step in vector["steps"])
]


@pytest.fixture(scope="module")
def follow():
    pytest.importorskip("websockets", reason="the package websockets is missing")
    spec = importlib.util.spec_from_file_location("docs_examples_follow", EXAMPLES / "follow.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serve():
    """Serve an example while the test runs."""
    with contextlib.ExitStack() as stack:

        def serve(app, *options):
            server = Server(EXAMPLES / app, "--port", 0, *options)
            stack.callback(server.stop)
            return server

        yield serve


class Watched:
    """A follower that runs, with a way to wait for what its data becomes."""

    def __init__(self, follow, url):
        self.changed = asyncio.Condition()
        self.follower = follow.Follower(url, on_change=self._on_change)
        self.task = asyncio.create_task(self.follower.run())
        self.seen = []

    def _on_change(self, data):
        self.seen.append(self.follower.revision)
        self._told = asyncio.create_task(self._tell())

    async def _tell(self):
        async with self.changed:
            self.changed.notify_all()

    async def until(self, predicate):
        async with asyncio.timeout(DEADLINE), self.changed:
            await self.changed.wait_for(lambda: self.follower.data is not None and predicate(self.follower.data))

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def run(story, *args):
    asyncio.run(asyncio.wait_for(story(*args), 4 * DEADLINE))


def test_it_follows_and_sends(follow, serve):
    async def story(url):
        watched = Watched(follow, url)
        await watched.until(lambda data: data["watched"] == {})
        assert await watched.follower.send("Watch", symbol="ACME") == 1
        price = watched.follower.data["watched"]["ACME"]
        await watched.until(lambda data: data["watched"]["ACME"] != price)
        with pytest.raises(follow.SendFailed) as refused:
            await watched.follower.send("Watch", symbol="NONE")
        assert refused.value.args == ("rejected", "There is no symbol NONE.")
        assert await watched.follower.send("Watch", symbol="GLOBEX") == 2
        await watched.stop()

    run(story, serve("ticker").url)


def test_it_comes_back_without_a_gap_and_a_message_is_done_once(follow, serve):
    async def story(server):
        with Proxy(server.port) as proxy:
            watched = Watched(follow, server.url.replace(f":{server.port}", f":{proxy.port}"))
            await watched.until(lambda data: True)
            await watched.follower.send("Watch", symbol="ACME")
            socket = watched.follower.socket
            proxy.cut()
            sending = asyncio.create_task(watched.follower.send("Watch", symbol="GLOBEX"))
            await socket.wait_closed()
            proxy.mend()
            assert await sending == 2
            await watched.until(lambda data: len(data["watched"]) == 2)
            assert watched.seen == list(range(watched.seen[0], watched.seen[0] + len(watched.seen)))
            await watched.stop()

    server = serve("ticker")
    run(story, server)
    assert server.stderr.count("session created") == 1


def test_it_loads_the_page_anew_when_its_session_is_gone(follow, serve):
    async def story(url):
        watched = Watched(follow, url)
        await watched.until(lambda data: data["ticks"] == 1)
        first = watched.follower.attached["session"]
        await watched.until(lambda data: data["ticks"] == 2)
        watched.follower.attached["key"] = "wrong"  # so that its return is refused as if the session were gone
        watched.follower.socket.transport.abort()
        await watched.until(lambda data: watched.follower.attached["session"] != first)
        await watched.stop()

    run(story, serve("clock.py").url)


def test_it_says_why_it_was_ended(follow, serve):
    async def story(url):
        watched = Watched(follow, url)
        with pytest.raises(follow.Ended) as ended:
            await asyncio.wait_for(watched.task, DEADLINE)
        assert ended.value.args[0] == 4410

    run(story, serve("clock.py", "--max-age", "0.5").url)


@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a/b": {"~": 1}}, [{"op": "remove", "path": "/a~1b/~0"}], {"a/b": {}}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {}}], {}),
    ],
)
def test_its_patches_do_what_they_say(follow, before, operations, after):
    assert follow.apply(before, operations) == after


class Silent:
    """A websocket that takes what is sent."""

    async def send(self, frame):
        pass


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_its_mirror_is_what_the_vectors_expect(follow, vector):
    async def story(follower):
        for step in vector["steps"]:
            if step["do"] == "receive" and step["frame"]["type"] != "closing":
                await follower._receive(step["frame"], Silent())

    follower = follow.Follower("http://localhost/app")
    run(story, follower)
    assert follower.revision == vector.get("expect_revision", follower.revision)
    assert follower.data == vector.get("expect_data", follower.data)


def test_it_takes_a_patch_for_another_revision_for_an_error(follow):
    async def story(follower):
        follower.attached = {}
        await follower._receive({"type": "snapshot", "epoch": "e", "revision": 3, "data": {}}, Silent())
        assert follower.attached == {"epoch": "e"}
        with pytest.raises(ValueError, match="another revision"):
            await follower._receive({"type": "patch", "from": 4, "to": 5, "operations": []}, Silent())

    run(story, follow.Follower("http://localhost/app"))

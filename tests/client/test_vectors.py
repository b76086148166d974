"""The shared vectors, played on a whole client: its link, its websockets and its tasks, against a scripted server.

`tests/protocol/test_vectors.py` plays all of them on the part that decides. What stays to be shown here is that
everything around it writes, waits, closes and comes back as that part says.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.client import SendFailed
from supervisor.client.address import websocket_address
from supervisor.client.dialing import Dialer
from supervisor.client.link import Link, LinkOptions
from supervisor.client.page import Entry
from supervisor.client.session import ClientSession
from supervisor.client.visit import Visit

VECTORS = Path(__file__).parent.parent / "vectors"
CASES = [
    pytest.param(vector, id=f"{file}: {vector['name']}")
    for file in ("server_messages", "client_messages", "invalid_server_messages")
    for vector in json.loads((VECTORS / f"{file}.json").read_text())
    if not vector.get("was_reload")  # the link decides on that itself: see test_link.py
]


class Player:
    """One client, and the server that the vector describes."""

    def __init__(self, vector, scripted, nursery):
        self.scripted = scripted
        self.nursery = nursery
        self.frames = []
        self.settled = {}
        self.line = None
        self.came_back = None
        self.is_broken = False
        self.session = ClientSession()
        visit = Visit(
            entry=Entry(session="s-1", token="t-1", websocket="/w", max_message_size=vector.get("max_message_size")),
            websocket=websocket_address("ws://server.example/w"),
            headers=(),
        )
        options = LinkOptions(
            dialer=Dialer(scripted.open_stream), random=lambda: 0.5, max_message_size=10**7, revisit=self.revisit
        )
        self.reloaded = False
        self.session._link = Link(visit, options, self.session)
        scripted.fails = OSError("not before the vector opens it")

    async def revisit(self):
        self.reloaded = True
        await trio.sleep_forever()

    async def play(self, step):
        await getattr(self, "_" + step["do"])(step)
        await self.gather()

    async def gather(self):
        await trio.testing.wait_all_tasks_blocked()
        if self.line is not None:
            self.frames += self.line.pending()

    async def _open(self, step):
        self.scripted.fails = None
        if len(self.frames) == 0 and self.line is None:
            self.nursery.start_soon(self.session._link.run)
        self.line = await self.scripted.accept()
        self.scripted.fails = OSError("not before the vector opens it")

    async def _receive(self, step):
        try:
            await self.line.send(step["text"] if "text" in step else json.dumps(step["frame"]))
        except Exception:
            assert self.is_broken  # nothing more is looked at
        if step.get("expect") == "protocol error":
            self.is_broken = True
            assert (await self.line.until_closed()).code == 4400

    async def _send(self, step):
        times = step.get("times")
        for name in [step["as"]] if times is None else [f"{step['as']}{n + 1}" for n in range(times)]:
            self.nursery.start_soon(self._settle, name, self.session.send, step["name"], step["fields"])
            await trio.testing.wait_all_tasks_blocked()

    async def _edit(self, step):
        call = {"set": self.session.edit, "insert": self.session.insert, "remove": self.session.remove}[step["op"]]
        arguments = [step["path"]] if step["op"] == "remove" else [step["path"], step["value"]]
        self.nursery.start_soon(self._settle, step["as"], call, *arguments)

    async def _settle(self, name, call, *arguments):
        try:
            self.settled[name] = {"value": await call(*arguments, timeout=10**6)}
        except SendFailed as error:
            self.settled[name] = {"error": {"kind": error.kind, "text": error.text, "incident": error.incident}}

    async def _lost(self, step):
        began = trio.current_time()
        if not self.is_broken:
            if step["code"] in (1005, 1006):
                await self.line.cut()
            else:
                await self.line.close(step["code"], step.get("reason", ""))
        self.is_broken = False
        await trio.testing.wait_all_tasks_blocked()
        status = self.session.status
        expected = step.get("expect", "reconnect")
        if expected == "reconnect":
            assert status.state != "ended"
            if step.get("after", [1, 1]) != [0, 0]:  # at once: then it has tried already
                assert status.retry_at is not None
            if "after" in step and step["after"] != [0, 0]:
                least, most = step["after"]
                assert status.retry_at - began == pytest.approx((least + most) / 2, abs=0.01)
        else:
            assert self.reloaded == (expected == "reload")
            assert (status.state == "ended") == (expected == "ended")


def plays(vector):
    """Whether a real websocket can live through this: each is opened before it is lost."""
    is_open = False
    for step in vector["steps"]:
        if step["do"] == "open":
            is_open = True
        elif step["do"] == "lost":
            if not is_open:
                return False
            is_open = False
        elif step["do"] == "receive" and not is_open:
            return False
    return True


@pytest.mark.parametrize("vector", CASES)
async def test_the_client_does_what_the_vector_says(vector, scripted, nursery, autojump_clock):
    if not plays(vector):
        return
    player = Player(vector, scripted, nursery)
    for step in vector["steps"]:
        await player.play(step)
    session = player.session
    if "expect_frames" in vector:
        assert player.frames == vector["expect_frames"]
    if "expect_data" in vector:
        assert session.data == vector["expect_data"]
    if "expect_status" in vector and not player.reloaded:
        assert session.status.state == vector["expect_status"]
    if vector.get("expect_revision", -1) >= 0:
        assert session.revision == vector["expect_revision"]
    if "expect_session" in vector:
        assert session.id == vector["expect_session"]
    # Who edits waits until the mirror has it: not only for `edited`, which settles it for a vector.
    shown = {edit.ticket for edit in session._protocol._pending._edits if edit.revision is not None}
    expected_settled = vector.get("expect_settled", player.settled)
    assert len(expected_settled.keys() - player.settled.keys()) == len(shown & session._sends.keys())
    for name, outcome in player.settled.items():
        expected = expected_settled[name]
        if "error" in expected:
            assert {key: outcome["error"][key] for key in expected["error"]} == expected["error"]
        else:
            assert outcome == expected


def test_most_vectors_can_be_played():
    assert len([case for case in CASES if plays(case.values[0])]) > 200

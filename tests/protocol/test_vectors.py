"""The shared vectors, played on the Python client; `tests/vectors/README.md` has their format."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from supervisor.errors import ProtocolError, SendConflict, SendUnsent
from supervisor.protocol import events
from supervisor.protocol.client import ClientConnection

VECTORS = Path(__file__).parent.parent / "vectors"
FILES = ("server_messages", "client_messages", "invalid_server_messages", "restarts", "presence")
CASES = [
    pytest.param(vector, id=f"{file}: {vector['name']}")
    for file in FILES
    for vector in json.loads((VECTORS / f"{file}.json").read_text())
]
STEP_KEYS = {
    "open": {"do"},
    "receive": {"do", "frame", "text", "expect"},
    "send": {"do", "name", "fields", "as", "times"},
    "edit": {"do", "op", "path", "value", "as"},
    "watch": {"do", "scope"},
    "present": {"do", "metadata"},
    "lost": {"do", "code", "reason", "expect", "after"},
}
EXPECTATIONS = {
    f"expect_{key}"
    for key in ("frames", "settled", "data", "epoch", "session", "revision", "status", "peer", "presence")
}
DECISIONS = {events.Reconnect: "reconnect", events.Reload: "reload", events.Ended: "ended"}


class Player:
    """One client, and what it did."""

    def __init__(self, vector, random):
        self.client = ClientConnection(
            token="t-1",
            session="s-1",
            was_reload=vector.get("was_reload", False),
            max_message_size=vector.get("max_message_size"),
        )
        self._random = random
        self.frames = []
        self.settled = {}
        self._names = {}

    def play(self, step):
        assert step.keys() <= STEP_KEYS[step["do"]]
        getattr(self, "_" + step["do"])(step)
        self.frames += map(json.loads, self.client.outgoing())

    def _open(self, step):
        self.frames.append(json.loads(self.client.opened()))

    def _send(self, step):
        times = step.get("times")
        for name in [step["as"]] if times is None else [f"{step['as']}{n + 1}" for n in range(times)]:
            try:
                ticket = self.client.send(step["name"], step["fields"])
            except SendUnsent as error:
                self.settled[name] = {"error": {"kind": "unsent", "text": str(error)}}
            else:
                self._names[ticket] = name
                self.frames += map(json.loads, self.client.outgoing())

    def _edit(self, step):
        try:
            ticket = self.client.edit(step["op"], step["path"], step.get("value"))
        except SendUnsent as error:
            self.settled[step["as"]] = {"error": {"kind": "unsent", "text": str(error)}}
        except SendConflict:
            self.settled[step["as"]] = {"error": {"kind": "conflict"}}
        else:
            self._names[ticket] = step["as"]
            self.frames += map(json.loads, self.client.outgoing())

    def _watch(self, step):
        self.client.watch(step["scope"])

    def _present(self, step):
        self.client.present(step["metadata"])

    def _receive(self, step):
        frame = step["text"] if "text" in step else json.dumps(step["frame"])
        if step.get("expect") is not None:
            assert step["expect"] == "protocol error"
            with pytest.raises(ProtocolError) as caught:
                self.client.receive(frame)
            assert caught.value.code == 4400
        else:
            self._settle(self.client.receive(frame))

    def _lost(self, step):
        decision = self.client.closed(step["code"], step.get("reason", ""), random=self._random)
        assert DECISIONS[type(decision)] == step.get("expect", "reconnect")
        if "after" in step:
            least, most = step["after"]
            assert decision.after == pytest.approx(least + (most - least) * self._random)
        if not isinstance(decision, events.Reconnect):
            self._settle(decision.settled)

    def _settle(self, happened):
        for event in happened:
            if isinstance(event, events.Answered):
                outcome = {"value": event.value}
            elif isinstance(event, events.Edited):
                outcome = {"value": None}
            elif isinstance(event, events.Refused):
                outcome = {"error": {"kind": event.kind, "text": event.text, "incident": event.incident}}
            else:
                continue
            assert event.ticket in self._names, "settled twice"
            self.settled[self._names.pop(event.ticket)] = outcome


@pytest.mark.parametrize("random", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("vector", CASES)
def test_the_client_does_what_the_vector_says(vector, random):
    expectations = vector.keys() - {"name", "was_reload", "max_message_size", "steps"}
    assert expectations <= EXPECTATIONS
    player = Player(vector, random)
    for step in vector["steps"]:
        player.play(step)
    for key in sorted(expectations):
        expected = vector[key]
        if key == "expect_frames":
            assert player.frames == expected
        elif key == "expect_status":
            assert player.client.status.value == expected
        elif key == "expect_presence":
            for scope, peers in expected.items():
                assert msgspec.to_builtins(list(player.client.peers(scope).values())) == peers
        elif key == "expect_settled":
            assert player.settled.keys() == expected.keys()
            for name, outcome in expected.items():
                assert_outcome(player.settled[name], outcome)
        else:
            assert getattr(player.client, key.removeprefix("expect_")) == expected


def assert_outcome(outcome, expected):
    if "error" in expected:
        given = outcome["error"]
        assert {key: given[key] for key in expected["error"]} == expected["error"]
    else:
        assert outcome == expected


def test_names_are_unique():
    names = [case.id for case in CASES]
    assert len(set(names)) == len(names)

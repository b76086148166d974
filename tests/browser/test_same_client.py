"""Both clients do the same: what Python's did in stories of two editing clients, the browser's is made to do again."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from supervisor.errors import SendConflict, SendUnsent
from supervisor.protocol import events
from supervisor.protocol.client import ClientConnection

from ..protocol import links
from ..protocol import test_edits_converge as model

_STORIES = 120
"""Of two clients each. More find little more, and take seconds."""


class Recorded:
    """A client of the model, and the trace of all that was done to it, with what came of each step."""

    def __init__(self, traces, **options):
        self.real = ClientConnection(session="s", **options)
        self.trace = []
        traces.append(self.trace)

    def __getattr__(self, name):
        return getattr(self.real, name)

    def _record(self, do, given, **arguments):
        client = self.real
        outcome = {"given": given, "data": client.data, "revision": client.revision, "status": client.status.value}
        # As text, and now: a frame, or a value that the story goes on changing, must stay what it was.
        self.trace.append(json.dumps({"do": do, **arguments, "outcome": outcome}))

    def opened(self):
        frame = self.real.opened()
        self._record("opened", json.loads(frame))
        return frame

    def receive(self, frame):
        happened = self.real.receive(frame)
        self._record("receive", settled(happened), frame=frame)
        return happened

    def send(self, name, fields):
        return self._take("send", self.real.send, name=name, fields=fields)

    def edit(self, op, path, value=None):
        return self._take("edit", self.real.edit, op=op, path=path, value=value)

    def _take(self, do, take, **arguments):
        try:
            ticket = take(*arguments.values())
        except (SendUnsent, SendConflict):
            self._record(do, None, **arguments)
            raise
        self._record(do, ticket, **arguments)
        return ticket

    def outgoing(self):
        frames = self.real.outgoing()
        self._record("outgoing", [json.loads(frame) for frame in frames])
        return frames

    def closed(self, code, *, random):
        decision = self.real.closed(code, random=random)
        assert isinstance(decision, events.Reconnect)
        self._record("closed", decision.after, code=code, random=random)
        return decision


def settled(happened):
    """What became of sends and edits, in an order that doesn't depend on the client."""
    outcomes = []
    for event in happened:
        if isinstance(event, events.Answered | events.Edited):
            outcomes.append([event.ticket, "answered"])
        elif isinstance(event, events.Arrived):
            outcomes.append([event.ticket, "arrived"])
        elif isinstance(event, events.Refused):
            outcomes.append([event.ticket, event.kind])
    return sorted(outcomes)


def test_both_clients_do_the_same(monkeypatch, tmp_path: Path, node: str) -> None:
    """The same calls and frames: the same frames written, outcomes, data shown, revisions, and delays."""
    traces = []
    monkeypatch.setattr(links, "ClientConnection", partial(Recorded, traces))
    run_state_machine_as_test(
        model.Edits,
        settings=settings(
            max_examples=_STORIES,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert len(traces) >= 2 * _STORIES
    file = tmp_path / "traces.jsonl"
    file.write_text("".join(f"[{','.join(trace)}]\n" for trace in traces))
    run = subprocess.run(
        [node, Path(__file__).with_name("replay.js"), file],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )
    assert run.returncode == 0, run.stdout

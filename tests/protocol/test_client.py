"""What the vectors don't say: events, errors of the caller, and what is kept out of logs."""

from __future__ import annotations

import json

import pytest

from supervisor.errors import ProtocolError, SendUnsent, SessionGone
from supervisor.protocol import events
from supervisor.protocol.client import NO_REVISION, ClientConnection
from supervisor.protocol.messages import Add, Remove

ATTACHED = {
    "type": "attached",
    "session": "s",
    "client": "c",
    "peer": "p",
    "key": "secret",
    "epoch": "e",
    "revision": 3,
    "resumed": False,
    "received": 0,
    "editable": [],
}


def receive(client, /, **message):
    return client.receive(json.dumps(message))


def live_client():
    client = ClientConnection(token="token")
    client.opened()
    receive(client, **ATTACHED)
    receive(client, type="snapshot", epoch="e", revision=3, data={"a": 1})
    return client


def test_what_arrives_is_told_as_events():
    client = ClientConnection(token="token")
    client.opened()
    assert receive(client, **ATTACHED) == [events.Attached(resumed=False, revision=3)]
    snapshot = receive(client, type="snapshot", epoch="e", revision=3, data={"a": 1})
    assert snapshot == [events.Snapshotted()]
    operations = [{"op": "add", "path": "/b", "value": 1}, {"op": "remove", "path": "/a"}]
    patch = receive(client, type="patch", **{"from": 3, "to": 4}, operations=operations)
    assert patch == [events.Patched(operations=(Add(path="/b", value=1), Remove(path="/a")))]
    assert patch[0].paths == ("/b", "/a")
    first, second = client.send("Watch", {}), client.send("Watch", {})
    client.outgoing()
    assert receive(client, type="answer", number=2, value=7) == [events.Answered(ticket=second, value=7)]
    error = receive(client, type="error", number=1, kind="failed", text="x", incident="i")
    assert error == [events.Refused(ticket=first, kind="failed", text="x", incident="i")]
    assert receive(client, type="answer", number=1, value=7) == []
    closing = receive(client, type="closing", code=1012, reason="r", retry_after=1)
    assert closing == [events.Closing(code=1012, reason="r", retry_after=1.0)]
    assert client.closed(1012, "r", random=0) == events.Reconnect(after=1.0)


def test_a_lost_client_id_is_told_with_the_sends_that_it_costs():
    client = live_client()
    ticket = client.send("Watch", {})
    client.outgoing()
    client.closed(1006, random=0)
    client.opened()
    attached, refused = receive(client, **{**ATTACHED, "client": "c2"})
    assert attached == events.Attached(resumed=False, revision=3)
    assert (refused.ticket, refused.kind, refused.incident) == (ticket, "unknown", None)


def test_the_end_carries_code_reason_and_sends():
    client = live_client()
    ticket = client.send("Watch", {})
    ended = client.closed(4410, "the match is over", random=0)
    assert (ended.code, ended.reason) == (4410, "the match is over")
    assert [(each.ticket, each.kind) for each in ended.settled] == [(ticket, "unsent")]
    with pytest.raises(SendUnsent):
        client.send("Watch", {})
    with pytest.raises(SessionGone):
        client.opened()
    assert client.status is events.Status.ENDED


def test_the_announced_reason_is_the_one_that_counts():
    client = live_client()
    receive(client, type="closing", code=4404, reason="gone", retry_after=None)
    assert client.closed(1006, "", random=0) == events.Reload(code=4404, reason="gone", settled=())


def test_fields_are_taken_as_they_are_when_they_are_sent():
    client = live_client()
    fields = {"n": 1}
    client.send("Watch", fields)
    fields["n"] = 2
    (frame,) = client.outgoing()
    assert json.loads(frame)["fields"] == {"n": 1}


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"n": float("nan")}, ValueError, "the fields of 'Watch' can't be sent as JSON: NaN"),
        ({"n": object()}, TypeError, "the fields of 'Watch' can't be sent as JSON"),
        ([1], TypeError, "the fields of 'Watch' must be a mapping, got list"),
    ],
)
def test_fields_that_json_cannot_carry_are_refused_at_once(fields, error, text):
    client = live_client()
    with pytest.raises(error, match=text):
        client.send("Watch", fields)
    assert client.unsettled == 0


@pytest.mark.parametrize("name", ["", "x" * 257])
def test_a_name_that_the_server_would_not_take_is_refused_at_once(name):
    with pytest.raises(ValueError, match="1 to 256 characters"):
        live_client().send(name, {})


def test_too_many_sends_are_refused_at_once():
    client = ClientConnection(token="token")
    for _ in range(64):
        client.send("Watch", {})
    with pytest.raises(SendUnsent):
        client.send("Watch", {})
    assert client.unsettled == 64


def test_nothing_is_written_before_attached_or_after_a_close():
    client = ClientConnection(token="token")
    client.send("Watch", {})
    assert client.outgoing() == []
    client.opened()
    assert client.outgoing() == []
    receive(client, **ATTACHED)
    client.closed(1006, random=0)
    assert client.outgoing() == []


def test_frames_after_a_protocol_error_are_not_looked_at():
    client = live_client()
    for message in ({"type": "answer"}, {"type": "snapshot", "epoch": "e", "revision": 9, "data": {}}):
        with pytest.raises(ProtocolError):
            receive(client, **message)
    assert client.revision == NO_REVISION
    assert client.data == {"a": 1}
    assert client.outgoing() == []


def test_a_frame_without_a_connection_is_a_protocol_error():
    client = ClientConnection(token="token")
    with pytest.raises(ProtocolError, match="a message 'attached' can't come here: no connection"):
        receive(client, **ATTACHED)


def test_a_binary_frame_is_a_protocol_error():
    with pytest.raises(ProtocolError, match="binary"):
        live_client().receive(b"{}")


def test_without_a_token_nothing_can_be_attached():
    with pytest.raises(ValueError, match="needs a token"):
        ClientConnection().opened()


def test_the_session_is_learnt_from_the_server():
    client = live_client()
    assert (client.session, client.epoch, client.revision) == ("s", "e", 3)
    assert ClientConnection(token="token").epoch is None


def test_days_without_a_network_overflow_nothing():
    client = ClientConnection(token="token")
    for _ in range(2_000):
        decision = client.closed(1006, random=1.0)
    assert decision == events.Reconnect(after=30.0)


def test_no_secret_is_in_its_repr():
    client = live_client()
    client.send("Watch", {})
    assert repr(client) == "<ClientConnection live, revision 3, 1 unsettled>"


def test_presence_is_told_as_events():
    client = ClientConnection(token="token")
    assert client.peer is None
    client.watch("session")
    client.present({"a": 1})
    client.opened()
    assert client.outgoing() == []
    receive(client, **ATTACHED)
    assert client.peer == "p"
    assert len(client.outgoing()) == 2
    peer = {"id": "p", "name": "Ada", "metadata": {"a": 1}}
    told = {"type": "presence", "scope": "session", "complete": True, "present": [peer], "left": []}
    assert receive(client, **told) == [events.PresenceChanged(scope="session")]
    assert client.peers("session")["p"].name == "Ada"
    assert receive(client, **told | {"scope": "application"}) == []
    client.unwatch("session")
    assert receive(client, **told) == []
    assert client.peers("session") == {}


def test_a_restart_is_told_with_the_snapshot_that_shows_it():
    client = live_client()
    assert receive(client, type="snapshot", epoch="e", revision=4, data={}) == [events.Snapshotted()]
    assert receive(client, type="snapshot", epoch="e2", revision=5, data={}) == [events.Snapshotted(restarted=True)]
    assert receive(client, type="snapshot", epoch="e2", revision=6, data={}) == [events.Snapshotted()]
    client.closed(1006, random=0)
    client.opened()
    receive(client, **ATTACHED | {"epoch": "e3", "client": "c2"})
    client.closed(1006, random=0)
    client.opened()
    receive(client, **ATTACHED | {"epoch": "e3", "client": "c2"})
    snapshot = receive(client, type="snapshot", epoch="e3", revision=3, data={})
    assert snapshot == [events.Snapshotted(restarted=True)]

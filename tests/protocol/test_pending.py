"""What the vectors don't say: errors of the caller, events, and that nobody else's data are changed."""

from __future__ import annotations

import copy
import json

import pytest

from supervisor.errors import SendConflict, SendUnsent
from supervisor.protocol import events, messages
from supervisor.protocol.client import ClientConnection
from supervisor.protocol.pending import MAX_KEY, MAX_STEPS, Pending, take_apart

DATA = {"list": [{"n": 1}, {"n": 2}], "map": {"k": 1}}
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
    "editable": ["/list"],
}


def receive(client, /, **message):
    return client.receive(json.dumps(message))


def live_client():
    client = ClientConnection(token="token")
    client.opened()
    receive(client, **ATTACHED)
    receive(client, type="snapshot", epoch="e", revision=3, data=DATA)
    return client


def test_the_mirror_is_not_changed_and_shared_where_nothing_is():
    client = live_client()
    mirror = client.data
    client.edit("set", "/list/0/n", 5)
    shown = client.data
    assert mirror == DATA
    assert shown["list"][0] == {"n": 5}
    assert shown["list"][1] is mirror["list"][1]
    assert shown["map"] is mirror["map"]
    assert client.data is shown
    client.edit("set", "/list/0/n", 6)
    assert shown["list"][0] == {"n": 5}


def test_with_nothing_pending_the_mirror_itself_is_shown():
    client = live_client()
    mirror = client.data
    client.edit("remove", "/map/k")
    client.outgoing()
    happened = receive(client, type="error", number=1, kind="rejected", text="no", incident=None)
    assert [type(event) for event in happened] == [events.Redrawn, events.Refused]
    assert client.data is mirror


def test_a_value_is_taken_as_it_is_when_the_edit_is_made():
    client = live_client()
    value = {"a": []}
    client.edit("set", "/map/k", value)
    value["a"].append(1)
    client.edit("insert", "/map/k/a/-", 2)
    assert client.data["map"]["k"] == {"a": [2]}
    assert value == {"a": [1]}
    assert [json.loads(frame)["value"] for frame in client.outgoing()] == [{"a": []}, 2]


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("", {}, "can't name the whole document"),
        ("map", 1, "is not a JSON Pointer"),
        ("/map/k", float("nan"), "can't be sent as JSON"),
        ("/map/\ud800", 1, "can't be sent as JSON"),
        ("/map/" + "k" * (MAX_KEY + 1), 1, "steps of 4096 characters"),
    ],
)
def test_what_the_server_would_not_take_is_refused_at_once(path, value, error):
    client = live_client()
    with pytest.raises(ValueError, match=error):
        client.edit("set", path, value)
    assert client.data == DATA
    assert client.outgoing() == []


def test_a_path_has_a_bound():
    deep = {}
    for _ in range(MAX_STEPS):
        deep = {"k": deep}
    with pytest.raises(ValueError, match="at most 200 steps"):
        Pending().make("set", "/k" * (MAX_STEPS + 1), 1, deep)
    assert len(Pending().make("set", "/k" * MAX_STEPS, 1, deep).keys) == MAX_STEPS


def test_an_edit_that_is_not_taken_shows_nothing():
    client = live_client()
    with pytest.raises(SendConflict, match="'/list/9' is not there"):
        client.edit("set", "/list/9", 1)
    for _ in range(1064):
        client.send("Watch", {})
    with pytest.raises(SendUnsent):
        client.edit("set", "/map/k", 2)
    assert client.data == DATA
    client.closed(4410, random=0)
    with pytest.raises(SendUnsent):
        client.edit("set", "/map/k", 2)


def test_what_may_be_edited_is_told():
    client = live_client()
    assert client.editable == ("/list",)
    assert receive(client, type="editable", patterns=["/a", "/b"]) == [events.Editable(patterns=("/a", "/b"))]
    assert client.editable == ("/a", "/b")


def test_edits_that_are_lost_before_they_were_written_are_told_with_what_lost_them():
    client = live_client()
    for _ in range(64):
        client.send("Watch", {})
    ticket = client.edit("set", "/list/0/n", 5)
    client.outgoing()
    happened = receive(client, type="patch", **{"from": 3, "to": 4}, operations=[{"op": "remove", "path": "/list/0"}])
    assert [type(event) for event in happened] == [events.Patched, events.Refused]
    assert (happened[1].ticket, happened[1].kind) == (ticket, "conflict")
    assert client.unsettled == 64


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/list/-", ("list", "2")),
        ("/list/0", ("list", "0")),
        ("/list/1/sub/-", ("list", "1", "sub", "1")),
        ("/map/-", ("map", "-")),
        ("/nothing/-", ("nothing", "-")),
        ("/list/7/-", ("list", "7", "-")),
        ("", ()),
    ],
)
def test_the_end_of_an_array_is_an_index(path, taken):
    data = {"list": [0, {"sub": [1]}], "map": {}}
    before = copy.deepcopy(data)
    assert take_apart(data, messages.Add(path, 1)).path == taken
    assert data == before

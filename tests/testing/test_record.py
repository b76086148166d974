"""What is kept of what came to a client, and what is forgotten."""

import json

import pytest

from supervisor.client.session import ClientSession
from supervisor.client.status import ClientStatus
from supervisor.protocol.client import ClientConnection
from supervisor.testing import record as module
from supervisor.testing.record import Record

ATTACHED = {"session": "s", "client": "c", "peer": "p", "key": "k", "epoch": "e", "received": 0, "editable": []}


@pytest.fixture
def record():
    """A record whose client is attached at revision 3."""
    made = Record(ClientSession())
    made.connected_by(ClientConnection(token="t"))
    made.protocol.opened()
    come(made, type="attached", resumed=False, revision=3, **ATTACHED)
    assert not made.has_all
    come(made, type="snapshot", epoch="e", revision=3, data={"n": 0, "gone": 1})
    assert made.has_all
    return made


def come(record, **message):
    record.happened(record.protocol.receive(json.dumps(message)))


def patch(record, *operations):
    revision = record.protocol.revision
    come(record, type="patch", **{"from": revision, "to": revision + 1}, operations=operations)


def test_patches_are_given_as_json_once_and_in_order(record):
    operations = [{"op": "add", "path": "/a", "value": 1}, {"op": "remove", "path": "/gone"}]
    patch(record, *operations)
    patch(record, {"op": "replace", "path": "/n", "value": 2})
    assert record.take_patch() == [{"op": "replace", "path": "", "value": {"n": 0, "gone": 1}}]
    assert record.take_patch() == operations
    assert record.take_patch() == [{"op": "replace", "path": "/n", "value": 2}]
    assert not record.has_patch()


def test_what_a_test_has_seen_is_no_next_patch(record):
    for number in range(3):
        patch(record, {"op": "replace", "path": "/n", "value": number})
    record.saw(5)
    assert record.take_patch() == [{"op": "replace", "path": "/n", "value": 2}]


def test_all_that_is_kept_has_a_bound(record, monkeypatch):
    monkeypatch.setattr(module, "MAX_EVENTS", 5)
    for number in range(module.MAX_PATCHES):
        patch(record, {"op": "replace", "path": "/n", "value": number})
    assert len(record.received) == 5
    with pytest.raises(AssertionError, match="more than 1,000 patches"):
        record.take_patch()
    record.saw(record.protocol.revision)
    assert not record.has_patch()


def test_a_client_that_is_away_has_not_all(record):
    record.protocol.closed(1006, random=0.5)
    assert not record.has_all


def test_another_session_begins_anew(record):
    patch(record, {"op": "replace", "path": "/n", "value": 1})
    record.connected_by(ClientConnection(token="t"))
    assert not record.has_patch()
    assert not record.has_all
    record.status_changed(ClientStatus(state="reconnecting"))
    record.settled(())

import json

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import ProtocolError
from supervisor.protocol.messages import (
    MAX_METADATA,
    Peer,
    Presence,
    decode_client_message,
    decode_server_message,
)
from supervisor.protocol.presence import Peers, Roster, encode_nobody, read_metadata

from ..examples import many


@attrs.frozen
class Somebody:
    id: str
    peer: str
    name: str | None = None
    metadata: dict = attrs.field(factory=dict)


def put(roster, connection, peer=None, **described):
    roster.put(Somebody(connection, peer or f"p-{connection}", **described))


def told(roster):
    """The next difference: (who is described, who left)."""
    frame = roster.tell()
    if frame is None:
        return None
    message = decode_server_message(frame.decode())
    assert not message.complete
    return {peer.id: (peer.name, peer.metadata) for peer in message.present}, list(message.left)


def everybody(roster):
    message = decode_server_message(roster.everybody().decode())
    assert message.complete
    assert message.left == ()
    return {peer.id: (peer.name, peer.metadata) for peer in message.present}


@pytest.fixture
def watched():
    roster = Roster("session")
    roster.begin()
    return roster


# The server's roster.


def test_nothing_is_noted_while_nobody_watches():
    roster = Roster("session")
    assert not roster.put(Somebody("a", "p-a"))
    assert not roster.remove(Somebody("a", "p-a"))
    assert len(roster) == 0
    put(roster, "b")
    roster.begin()
    assert everybody(roster) == {"p-b": (None, {})}
    assert roster.tell() is None
    assert roster.put(Somebody("c", "p-c"))
    roster.end()
    roster.begin()
    assert everybody(roster).keys() == {"p-b", "p-c"}
    assert roster.tell() is None


def test_the_frames_are_those_of_the_wire(watched):
    put(watched, "a", name="Ada", metadata={"cursor": [3, 4]})
    assert json.loads(watched.tell()) == {
        "type": "presence",
        "scope": "session",
        "complete": False,
        "present": [{"id": "p-a", "name": "Ada", "metadata": {"cursor": [3, 4]}}],
        "left": [],
    }
    watched.remove(Somebody("a", "p-a"))
    assert json.loads(watched.tell()) == {
        "type": "presence",
        "scope": "session",
        "complete": False,
        "present": [],
        "left": ["p-a"],
    }
    assert json.loads(encode_nobody("application")) == {
        "type": "presence",
        "scope": "application",
        "complete": True,
        "present": [],
        "left": [],
    }


def test_who_joined_and_left_in_between_is_not_mentioned(watched):
    put(watched, "a")
    watched.remove(Somebody("a", "p-a"))
    assert watched.tell() is None


def test_who_left_and_came_back_in_between_has_never_been_away(watched):
    put(watched, "a", "p")
    assert told(watched) == ({"p": (None, {})}, [])
    watched.remove(Somebody("a", "p"))
    put(watched, "b", "p")
    assert watched.tell() is None


def test_a_newer_connection_takes_its_clients_place(watched):
    put(watched, "a", "p", name="Ada")
    watched.tell()
    put(watched, "b", "p", name="Ada")
    assert watched.find("p").id == "b"
    assert watched.tell() is None
    assert not watched.remove(Somebody("a", "p"))
    assert watched.tell() is None
    assert watched.remove(Somebody("b", "p"))
    assert told(watched) == ({}, ["p"])
    assert watched.find("p") is None


def test_what_is_said_anew_is_told_once_and_what_is_the_same_is_not(watched):
    put(watched, "a", "p", metadata={"n": 1})
    watched.tell()
    put(watched, "a", "p", metadata={"n": 2})
    put(watched, "a", "p", metadata={"n": 3})
    assert told(watched) == ({"p": (None, {"n": 3})}, [])
    put(watched, "a", "p", metadata={"n": 4})
    put(watched, "a", "p", metadata={"n": 3})
    assert watched.tell() is None


def test_true_is_not_one(watched):
    """Python says that they are equal; JSON doesn't."""
    put(watched, "a", "p", metadata={"n": 1})
    watched.tell()
    put(watched, "a", "p", metadata={"n": True})
    assert json.loads(watched.tell())["present"][0]["metadata"] == {"n": True}


def test_a_roster_says_what_it_is(watched):
    put(watched, "a")
    assert repr(watched) == "<Roster of the session: 1 there, 1 changed>"
    assert repr(Roster("application")) == "<Roster of the application: 0 there, unwatched>"


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 2), st.sampled_from([None, 1, True])),
        st.tuples(st.just("remove"), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("tell")),
        st.tuples(st.just("watch"), st.integers(0, 2)),
        st.tuples(st.just("unwatch"), st.integers(0, 2)),
    ),
    max_size=60,
)


@settings(max_examples=many(300))
@given(EVENTS)
def test_whatever_happens_each_watcher_knows_the_truth_whenever_it_was_told(events):
    """Joins, leaves, changes and comebacks (one client, several connections), told by differences."""
    roster, watchers, truth = Roster("session"), {}, {}

    def hear(watcher, frame):
        watcher.take(decode_server_message(frame.decode()))

    def tell(newcomers=()):
        difference = roster.tell()
        if difference is not None:
            for watcher in watchers.values():
                hear(watcher, difference)
        for number in newcomers:
            watchers[number] = Peers()
            watchers[number].watch("session")
            hear(watchers[number], roster.everybody())
        expected = {
            f"p{peer}": Peer(id=f"p{peer}", name=None, metadata=metadata) for peer, (_, metadata) in truth.items()
        }
        for watcher in watchers.values():
            assert msgspec.to_builtins(dict(watcher.of("session"))) == msgspec.to_builtins(expected)

    for event, *details in events:
        match event:
            case "put":
                peer, link, value = details
                metadata = {} if value is None else {"n": value}
                truth[peer] = (link, metadata)
                roster.put(Somebody(f"c{peer}-{link}", f"p{peer}", metadata=metadata))
            case "remove":
                peer, link = details
                if truth.get(peer, (None, None))[0] == link:
                    del truth[peer]
                roster.remove(Somebody(f"c{peer}-{link}", f"p{peer}"))
            case "tell":
                if watchers:
                    tell()
            case "watch":
                if not watchers:
                    roster.begin()
                watchers.pop(details[0], None)
                tell(details)
            case "unwatch":
                if watchers.pop(details[0], None) is not None and not watchers:
                    roster.end()
    if watchers:
        tell()


# What a client says of itself.


def metadata_of(text):
    return read_metadata(decode_client_message('{"type":"present","metadata":' + text + "}"))


def test_metadata_are_read():
    assert metadata_of('{"cursor": [3, 4.5], "name": "Ä", "n": null}') == {"cursor": [3, 4.5], "name": "Ä", "n": None}


@pytest.mark.parametrize(
    "text",
    ["[]", "1", "null", '{"n": 1e999}', '{"n": "\\ud800"}', '{"n": "%s"}' % ("x" * MAX_METADATA)],
)
def test_metadata_that_cannot_be_told_to_everybody_break_the_rules(text):
    with pytest.raises(ProtocolError, match=r"^not a message of this wire: "):
        metadata_of(text)


def test_metadata_as_deep_as_they_can_be_are_told(watched):
    depth = (MAX_METADATA - 6) // 2
    metadata = metadata_of('{"n":' + "[" * depth + "]" * depth + "}")
    put(watched, "a", metadata=metadata)
    assert json.loads(watched.tell())["present"][0]["metadata"] == metadata


# A client's end.


def presence(scope="session", *, complete=False, present=(), left=()):
    peers = tuple(Peer(id=id, name=None, metadata={}) for id in present)
    return Presence(scope=scope, complete=complete, present=peers, left=tuple(left))


def test_a_client_writes_what_it_wants_once_per_connection_and_what_it_says_first():
    peers = Peers()
    peers.attached()
    assert peers.outgoing() == []
    peers.watch("application")
    peers.present({"n": 1})
    peers.present({"n": 2})
    said = '{"type":"present","metadata":{"n":2}}'
    assert peers.outgoing() == [said, '{"type":"watch","scope":"application"}']
    assert peers.outgoing() == []
    peers.watch("application")
    assert peers.outgoing() == []
    peers.watch("session")
    peers.attached()
    asked = ['{"type":"watch","scope":"session"}', '{"type":"watch","scope":"application"}']
    assert peers.outgoing() == [said, *asked]
    peers.unwatch("session")
    peers.attached()
    assert peers.outgoing() == [said, asked[1]]


def test_a_client_sums_up_what_it_hears():
    peers = Peers()
    assert not peers.take(presence(complete=True, present=["a"]))
    assert peers.of("session") == {}
    peers.watch("session")
    assert peers.take(presence(complete=True, present=["a", "b"]))
    before = peers.of("session")
    assert peers.take(presence(present=["c"], left=["a", "nobody"]))
    assert peers.of("session").keys() == {"b", "c"}
    assert before.keys() == {"a", "b"}
    assert peers.of("application") == {}
    assert repr(peers) == "<Peers: 2 in the session>"
    assert peers.take(presence(complete=True, present=["d"]))
    assert peers.of("session").keys() == {"d"}
    peers.unwatch("session")
    peers.unwatch("application")
    assert not peers.take(presence(present=["e"]))
    assert peers.of("session") == {}


@pytest.mark.parametrize(
    ("metadata", "error", "text"),
    [
        ([], TypeError, "the metadata must be a mapping, got list"),
        ({"n": object()}, TypeError, "the metadata can't be sent as JSON"),
        ({"n": float("nan")}, ValueError, "the metadata can't be sent as JSON: NaN"),
        ({"n": "x" * MAX_METADATA}, ValueError, "the metadata has 1,032 bytes as JSON, but at most 1,024 may be sent"),
    ],
)
def test_what_can_not_be_said_is_refused_and_changes_nothing(metadata, error, text):
    peers = Peers()
    peers.present({"n": 1})
    with pytest.raises(error, match=text):
        peers.present(metadata)
    assert peers.outgoing() == ['{"type":"present","metadata":{"n":1}}']


def test_there_are_two_scopes():
    with pytest.raises(ValueError, match="a scope must be 'session' or 'application', not 'world'"):
        Peers().watch("world")

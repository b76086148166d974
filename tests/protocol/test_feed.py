from __future__ import annotations

import itertools
import json

import attrs
import msgspec
import pytest

from supervisor.errors import ProtocolError
from supervisor.protocol.bridge import EditTurn
from supervisor.protocol.feed import Feed
from supervisor.protocol.messages import Edit, Resume, Send
from supervisor.protocol.records import New, Repeated


@attrs.frozen
class Patch:
    base: int
    revision: int
    encoded: bytes = b"[]"


def new_feed(**options):
    ids = (f"{kind}-{number}" for number in itertools.count(1) for kind in "cp")
    return Feed(
        session="s",
        epoch="e-1",
        key="secret",
        new_client_id=lambda: next(ids),
        linger=15.0,
        **options,
    )


def resume(client="c-1", revision=0, confirmed=0, epoch="e-1"):
    return Resume(session="s", key="secret", client=client, epoch=epoch, revision=revision, confirmed=confirmed)


def send(number, confirmed=0):
    return Send(number=number, name="Watch", fields=msgspec.Raw(b"{}"), confirmed=confirmed)


SNAPSHOT = b'{"type":"snapshot"}'


def messages(attachment):
    """All that is to be sent, in order, with a stand-in for a snapshot that is due."""
    state = (SNAPSHOT,) if attachment.missed is None else attachment.missed
    return attachment.before + state + attachment.after


def decoded(attachment):
    return [json.loads(message) for message in messages(attachment)]


def attached(client="c-1", revision=0, resumed=False, received=0):
    return {
        "type": "attached",
        "session": "s",
        "client": client,
        "peer": client.replace("c", "p"),
        "key": "secret",
        "epoch": "e-1",
        "revision": revision,
        "resumed": resumed,
        "received": received,
        "editable": [],
    }


def a_snapshot(revision=0):
    return {"type": "snapshot", "epoch": "e-1", "revision": revision, "data": {"a": 1}}


def test_a_patch_becomes_a_message():
    operations = b'[{"op":"add","path":"/a","value":1}]'
    message = new_feed().committed(Patch(3, 5, operations))
    assert message == b'{"type":"patch","from":3,"to":5,"operations":' + operations + b"}"


def test_a_new_client_gets_a_snapshot():
    feed = new_feed()
    first = feed.attach(revision=7, now=0)
    assert (first.client, first.resumed) == ("c-1", False)
    assert decoded(first) == [attached(revision=7), json.loads(SNAPSHOT)]
    assert feed.attach(revision=7, now=0).client == "c-2"


def test_a_client_that_comes_back_gets_exactly_what_it_missed():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    patches = [feed.committed(Patch(n, n + 1)) for n in range(4)]
    feed.detach("c-1", 0)
    back = feed.resume(resume(revision=2), revision=4, now=1)
    assert (back.client, back.resumed) == ("c-1", True)
    assert "1 attached, 0 detached" in repr(feed)
    assert decoded(back)[0] == attached(revision=4, resumed=True)
    assert list(messages(back)[1:]) == patches[2:]


def test_a_client_that_missed_too_much_gets_a_snapshot_and_keeps_its_id():
    feed = new_feed(max_revisions=2)
    feed.attach(revision=0, now=0)
    for n in range(4):
        feed.committed(Patch(n, n + 1))
    back = feed.resume(resume(revision=1), revision=4, now=1)
    assert (back.client, back.resumed) == ("c-1", False)
    assert decoded(back) == [attached(revision=4), json.loads(SNAPSHOT)]


def test_the_log_is_bounded_by_bytes():
    feed = new_feed(max_bytes=100)
    feed.attach(revision=0, now=0)
    feed.committed(Patch(0, 1, b"[" + b" " * 100 + b"]"))
    assert not feed.resume(resume(), revision=1, now=1).resumed


def test_a_client_without_a_mirror_gets_a_snapshot():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    feed.committed(Patch(0, 1))
    back = feed.resume(resume(revision=-1), revision=1, now=1)
    assert decoded(back) == [attached(revision=1), json.loads(SNAPSHOT)]


def test_another_epoch_means_another_client_and_a_snapshot():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    back = feed.resume(resume(epoch="e-0", confirmed=9), revision=0, now=1)
    assert decoded(back) == [attached(client="c-2"), json.loads(SNAPSHOT)]


def test_an_unknown_client_gets_another_id_and_its_patches():
    feed = new_feed()
    patch = feed.committed(Patch(0, 1))
    back = feed.resume(resume(client="c-0", confirmed=9), revision=1, now=1)
    assert (back.client, back.resumed) == ("c-1", True)
    assert messages(back)[1:] == (patch,)


def test_kept_answers_come_last():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    for number in (1, 2, 3):
        assert feed.accept("c-1", send(number), 0) == New()
    assert feed.answered("c-1", 1, b"answer 1")
    feed.detach("c-1", 0)
    assert feed.answered("c-1", 3, b"answer 3")
    assert feed.answered("c-1", 2, b"answer 2")
    patch = feed.committed(Patch(0, 1))
    back = feed.resume(resume(confirmed=1), revision=1, now=1)
    assert [json.loads(messages(back)[0])] == [attached(revision=1, resumed=True, received=3)]
    assert messages(back)[1:] == (patch, b"answer 2", b"answer 3")


def edit(number, base=0, confirmed=0):
    return Edit(number=number, base=base, op="set", path=("a",), value=1, confirmed=confirmed)


def test_kept_answers_to_edits_come_before_the_state():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    assert isinstance(feed.accept_edit("c-1", edit(1), 0, 0), EditTurn)
    assert feed.accept("c-1", send(2), 0) == New()
    feed.accept_edit("c-1", edit(3), 0, 0)
    feed.answered("c-1", 1, b"edited 1", edited=True)
    patch = feed.committed(Patch(0, 1))
    feed.answered("c-1", 2, b"answer 2")
    feed.answered("c-1", 3, b"error 3")
    back = feed.resume(resume(), revision=1, now=1)
    assert messages(back)[1:] == (b"edited 1", patch, b"answer 2", b"error 3")
    back = feed.resume(resume(confirmed=1), revision=1, now=1)
    assert messages(back)[1:] == (patch, b"answer 2", b"error 3")


def test_an_edit_that_was_accepted_before_is_answered_again():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    feed.accept_edit("c-1", edit(1), 0, 0)
    assert feed.accept_edit("c-1", edit(1), 0, 0) == Repeated(())
    feed.answered("c-1", 1, b"edited 1", edited=True)
    assert feed.accept_edit("c-1", edit(1), 0, 0) == Repeated((b"edited 1",))


def test_the_base_of_edits_neither_falls_nor_is_ahead():
    feed = new_feed()
    feed.attach(revision=3, now=0)
    with pytest.raises(ProtocolError, match="edit 1 is based on revision 4, but 3 is the last one"):
        feed.accept_edit("c-1", edit(1, base=4), 3, 0)
    feed.accept_edit("c-1", edit(1, base=3), 3, 0)
    with pytest.raises(ProtocolError, match="edit 2 is based on revision 2, after one on 3"):
        feed.accept_edit("c-1", edit(2, base=2), 3, 0)
    assert isinstance(feed.accept_edit("c-1", edit(2, base=3), 4, 0), EditTurn)


def test_what_may_be_edited_is_told_at_once_and_to_who_attaches():
    feed = new_feed()
    assert json.loads(feed.editable(("/a", "/b/*"))) == {"type": "editable", "patterns": ["/a", "/b/*"]}
    first = feed.attach(revision=0, now=0)
    assert decoded(first)[0]["editable"] == ["/a", "/b/*"]


def test_a_repeat_is_answered_again():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    feed.accept("c-1", send(1), 0)
    assert feed.accept("c-1", send(1), 0) == Repeated(())
    feed.answered("c-1", 1, b"answer 1")
    assert feed.accept("c-1", send(1), 0) == Repeated((b"answer 1",))


def test_a_false_confirmation_attaches_nothing():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    feed.detach("c-1", 0)
    with pytest.raises(ProtocolError):
        feed.resume(resume(confirmed=1), revision=0, now=1)
    assert "0 attached, 1 detached" in repr(feed)


def test_a_client_is_remembered_for_linger_seconds():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    feed.accept("c-1", send(1), 0)
    feed.detach("c-1", 100)
    back = feed.resume(resume(), revision=0, now=114.9)
    assert back.client == "c-1"
    feed.detach("c-1", 200)
    assert feed.resume(resume(), revision=0, now=215).client == "c-2"
    assert feed.answered("c-1", 1, b"late") is False


def test_who_is_attached_is_never_forgotten():
    feed = new_feed()
    feed.attach(revision=0, now=0)
    assert feed.accept("c-1", send(1), 1e6) == New()
    assert feed.answered("c-1", 1, b"answer 1")


def test_of_those_who_left_so_many_are_remembered_and_the_oldest_forgotten():
    feed = new_feed(max_detached=64)
    for _ in range(66):
        client = feed.attach(revision=0, now=0).client
        feed.detach(client, 0)
    assert "0 attached, 64 detached" in repr(feed)
    assert feed.resume(resume(client="c-2"), revision=0, now=1).client == "c-67"
    assert feed.resume(resume(client="c-3"), revision=0, now=1).client == "c-3"


def answer_of(feed, size, *, sends=1, now=0):
    """A new client, with so many answers of this size that it has not confirmed."""
    client = feed.attach(revision=0, now=now).client
    for number in range(1, sends + 1):
        feed.accept(client, send(number), now)
        feed.answered(client, number, b"a" * size)
    return client


def test_of_answers_that_are_too_large_together_those_of_the_clients_with_the_most_are_let_go():
    """Until half of the bound is free; a client that lacks one of them is a new one when it comes back."""
    feed = new_feed(max_answers=1_000)
    little, much, more = (answer_of(feed, 100, sends=sends) for sends in (1, 3, 6))
    assert all(feed.resume(resume(client), revision=0, now=0).client == client for client in (little, much, more))
    feed.accept(little, send(2), 0)
    feed.answered(little, 2, b"")
    feed.accept(little, send(3), 0)
    feed.answered(little, 3, b"a")  # one byte too many
    back = feed.resume(resume(more, confirmed=5), revision=0, now=1)
    assert (back.client, back.after, decoded(back)[0]["received"]) == ("c-4", (), 0)
    for client, kept in ((little, 3), (much, 3)):
        back = feed.resume(resume(client), revision=0, now=1)
        assert (back.client, len(back.after)) == (client, kept)


def test_answers_are_let_go_until_half_of_the_bound_is_free_those_of_clients_that_left_too():
    feed = new_feed(max_answers=1_000)
    clients = [answer_of(feed, 330), answer_of(feed, 340)]
    feed.detach(clients[1], 0)
    clients.append(answer_of(feed, 350))
    known = [feed.resume(resume(client), revision=0, now=0).client == client for client in clients]
    assert known == [True, False, False]


def test_who_has_the_answers_that_were_let_go_stays_the_same_client():
    feed = new_feed(max_answers=1_000)
    client = answer_of(feed, 2_000)
    feed.accept(client, send(2, confirmed=1), 0)
    feed.answered(client, 2, b"answer 2")
    feed.detach(client, 0)
    assert feed.expect(resume(client, confirmed=0), 1)[1] is None
    assert feed.expect(resume(client, confirmed=1), 1)[1] == client
    back = feed.resume(resume(client, confirmed=1), revision=0, now=1)
    assert (back.client, back.after) == (client, (b"answer 2",))


def test_an_edit_whose_answer_was_let_go_is_not_told_when_its_client_comes_back():
    feed = new_feed(max_answers=10)
    client = feed.attach(revision=0, now=0).client
    feed.accept(client, send(1), 0)
    feed.answered(client, 1, b"edited " * 2, edited=True)
    back = feed.resume(resume(client, confirmed=1), revision=0, now=1)
    assert (back.client, len(back.before)) == (client, 1)


@pytest.mark.parametrize("leaves", ["confirms", "is forgotten", "is one of too many"])
def test_answers_that_nobody_needs_any_more_take_no_room(leaves):
    feed = new_feed(max_answers=1_000, max_detached=1)
    client, now = answer_of(feed, 800), 0
    if leaves == "confirms":
        feed.accept(client, send(2, confirmed=1), 0)
    else:
        feed.detach(client, 0)
        if leaves == "is forgotten":
            now = 15
        else:
            feed.detach(feed.attach(revision=0, now=0).client, 0)
    other = answer_of(feed, 800, now=now)
    assert feed.resume(resume(other), revision=0, now=now).client == other


def test_a_newer_connection_takes_over():
    """The older connection's leaving doesn't detach the client that the newer one speaks for."""
    feed = new_feed()
    feed.attach(revision=0, now=0)
    feed.accept("c-1", send(1), 0)
    back = feed.resume(resume(), revision=0, now=1)
    assert decoded(back) == [attached(resumed=True, received=1)]
    feed.detach("c-1", 2)
    assert "1 attached, 0 detached" in repr(feed)
    assert feed.accept("c-1", send(2), 100) == New()
    feed.detach("c-1", 100)
    assert "0 attached, 1 detached" in repr(feed)


def test_only_the_key_admits():
    feed = new_feed()
    assert feed.admits("secret")
    assert not feed.admits("Secret")
    assert not feed.admits("")
    assert not feed.admits("ä\ud800")


def test_a_snapshot_in_between_is_a_message_of_its_own():
    feed = new_feed()
    assert json.loads(feed.snapshot(revision=9, data=b'{"a":1}')) == a_snapshot(9)
    assert feed.epoch == "e-1"


def test_no_secret_is_in_its_repr():
    assert repr(new_feed()) == "<Feed <History empty, 0 bytes>, 0 attached, 0 detached>"


# A client that is expected.


def test_an_unknown_client_that_is_expected_costs_nothing_and_gets_the_peer_that_was_told():
    feed = new_feed()
    peer, client = feed.expect(None, 0)
    assert (peer, client) == ("c-1", None)
    assert "0 attached, 0 detached" in repr(feed)
    attachment = feed.attach(revision=0, now=1, peer=peer)
    assert attachment.peer == decoded(attachment)[0]["peer"] == peer
    for message in (resume(client="nobody"), resume(client=attachment.client, epoch="e-2")):
        peer, client = feed.expect(message, 0)
        assert client is None
        assert feed.resume(message, revision=0, now=0, peer=peer).peer == peer


def test_a_known_client_that_is_expected_is_not_forgotten_and_keeps_its_peer():
    feed = new_feed()
    first = feed.attach(revision=0, now=0)
    feed.detach(first.client, 0)
    assert feed.expect(resume(), 14) == (first.peer, first.client)
    again = feed.resume(resume(), revision=0, now=100, peer=first.peer)
    assert (again.client, again.peer) == (first.client, first.peer)
    feed.detach(first.client, 100)  # it isn't expected any more
    assert "1 attached, 0 detached" in repr(feed)
    feed.detach(first.client, 100)
    assert "0 attached, 1 detached" in repr(feed)


def test_a_known_client_that_is_refused_is_forgotten_later():
    feed = new_feed()
    first = feed.attach(revision=0, now=0)
    feed.detach(first.client, 0)
    feed.expect(resume(), 14)
    feed.detach(first.client, 20)
    assert feed.expect(resume(), 34) == (first.peer, first.client)
    feed.detach(first.client, 34)
    assert feed.expect(resume(), 50)[1] is None


def test_a_restart_keeps_clients_and_their_answers_and_forgets_patches():
    feed = new_feed()
    feed.attach(revision=0, now=0.0)
    feed.accept("c-1", send(1), now=0.0)
    feed.answered("c-1", 1, b"answer 1")
    feed.accept("c-1", send(2), now=0.0)
    feed.committed(Patch(0, 1))
    feed.renewed(epoch="e-2", revision=2)
    assert feed.epoch == "e-2"
    assert json.loads(feed.snapshot(revision=2, data=b"{}")) == {
        "type": "snapshot",
        "epoch": "e-2",
        "revision": 2,
        "data": {},
    }
    assert feed.answered("c-1", 2, b"answer 2")
    feed.detach("c-1", now=1.0)
    attachment = feed.resume(resume(epoch="e-2", revision=2), revision=2, now=1.0)
    assert attachment.resumed
    assert messages(attachment)[1:] == (b"answer 1", b"answer 2")


def test_who_missed_a_restart_is_another_client():
    feed = new_feed()
    feed.attach(revision=0, now=0.0)
    feed.accept("c-1", send(1), now=0.0)
    feed.renewed(epoch="e-2", revision=1)
    attachment = feed.resume(resume(), revision=1, now=0.0)
    assert not attachment.resumed
    assert attachment.client != "c-1"
    assert feed.answered("c-1", 1, b"answer")  # whose older connection isn't known to be lost

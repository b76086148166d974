"""What the model of `test_edits_converge` meets too rarely to rely on it."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET

from supervisor.errors import ProtocolError
from supervisor.protocol.bridge import MAX_OPERATIONS, Bridge, EditTurn
from supervisor.protocol.carrying import operation_at
from supervisor.protocol.history import History
from supervisor.protocol.messages import Edit


class Session:
    """A history, one client's bridge, and the document's revision."""

    def __init__(self, **options):
        self.history = History(**options)
        self.bridge = Bridge()
        self.revision = 0
        self.number = 0

    def others(self, *operations):
        """Somebody else changes the document."""
        encoded = json.dumps([dict(zip(("op", "path", "value"), each, strict=False)) for each in operations]).encode()
        base, self.revision = self.revision, self.revision + 1
        message = b'{"type":"patch","from":%d,"to":%d,"operations":%b}' % (base, self.revision, encoded)
        self.history.append(base, self.revision, message)
        return encoded

    def turn(self, op, *path, value="v", base=0, confirmed=0):
        self.number += 1
        edit = Edit(
            number=self.number,
            base=base,
            op=op,
            path=path,
            value=UNSET if op == "remove" else value,
            confirmed=confirmed,
        )
        return EditTurn(edit, self.bridge, self.history)

    def place(self, op, *path, **options):
        return self.turn(op, *path, **options).place(self.revision)

    def refuse(self, op, *path, **options):
        turn = self.turn(op, *path, **options)
        turn.place(self.revision)
        turn.refused()

    def do(self, op, *path, value="v", **options):
        """Do the edit as it is; returns where."""
        turn = self.turn(op, *path, value=value, **options)
        keys = turn.place(self.revision)
        name = {"insert": "add", "remove": "remove", "set": "replace"}[op]
        operation = (name, "".join(f"/{key}" for key in keys), *([] if op == "remove" else [value]))
        encoded = self.others(operation)
        turn.done(self.revision, encoded)
        return keys


def test_an_edit_is_carried_over_what_came_after_its_base():
    session = Session()
    session.others(("add", "/l/0", 1))
    session.others(("add", "/l/0", 2), ("remove", "/l/1"))
    assert session.place("set", "l", 3) == ("l", 4)
    assert session.place("set", "l", 3, base=1) == ("l", 3)
    assert session.place("set", "l", 3, base=2) == ("l", 3)


def test_an_edit_is_not_carried_over_the_clients_own_edits_before_it():
    session = Session()
    assert session.do("insert", "l", 0) == ("l", 0)
    session.others(("add", "/l/0", 1))
    assert session.do("insert", "l", 1) == ("l", 2)
    assert session.place("set", "l", 5) == ("l", 6)


def test_an_edit_on_a_mirror_that_has_the_own_edits_is_carried_over_the_rest():
    session = Session()
    session.others(("add", "/l/0", 1))
    assert session.do("insert", "l", 0) == ("l", 1)  # the document's revision is 2 now
    session.others(("add", "/l/0", 1))
    assert session.place("set", "l", 4, base=2) == ("l", 5)


def test_what_is_lost_has_no_place():
    session = Session()
    session.others(("remove", "/l/1"))
    turn = session.turn("set", "l", 1)
    assert turn.place(session.revision) is None
    turn.refused()
    # The client has lost it as well: so nothing is taken back for what comes behind it.
    assert session.place("set", "l", 3) == ("l", 2)


def test_a_refused_edit_is_taken_back_until_the_client_knows():
    session = Session()
    session.refuse("insert", "l", 0)
    assert session.place("set", "l", 3) == ("l", 2)
    assert session.place("set", "l", 3, confirmed=1) == ("l", 3)


def test_a_refused_edit_stays_taken_back_while_the_mirror_goes_on():
    """After a reconnect patches come before errors: the mirror can have what came after the refusal."""
    session = Session()
    session.refuse("insert", "l", 2)
    session.others(("add", "/l/0", 1))
    assert session.place("set", "l", 2, base=1) == ("l", 2)
    assert session.place("set", "l", 4, base=1) == ("l", 3)
    assert session.place("set", "l", 3, base=1) is None
    session.others(("remove", "/l/0"))
    assert session.place("set", "l", 1, base=2) == ("l", 1)
    assert session.place("set", "l", 3, base=2) == ("l", 2)


def test_a_refused_edit_whose_place_goes_needs_no_taking_back():
    session = Session()
    session.refuse("insert", "l", 2)
    session.others(("replace", "/l", []))
    assert session.place("insert", "l", 0, base=1) == ("l", 0)
    assert len(session.bridge) == 0


def test_of_an_edit_that_the_app_changed_the_inverse_and_its_patch_remain():
    session = Session()
    turn = session.turn("insert", "l", 0, value={"t": " x"})
    turn.place(0)
    turn.done(1, session.others(("add", "/log/0", 1), ("add", "/l/0", {"t": "x"})))
    assert session.place("set", "l", 0, "t") is None
    assert session.place("set", "l", 1) == ("l", 1)
    assert session.place("set", "l", 0, "t", base=1) == ("l", 0, "t")


def test_what_is_inside_of_an_item_that_the_app_completed_goes_on_by_its_keys():
    session = Session()
    turn = session.turn("insert", "l", 0, value={"t": "x", "tags": ["y"]})
    turn.place(0)
    turn.done(1, session.others(("add", "/l/0", {"t": "x", "tags": ["y"], "id": "7"})))
    assert session.do("set", "l", 0, "t") == ("l", 0, "t")
    assert session.place("insert", "l", 0, "tags", 0) is None
    assert session.place("insert", "l", 0, "tags", 0, base=1) == ("l", 0, "tags", 0)


def test_an_item_that_the_app_completed_can_be_removed_before_its_author_knows():
    session = Session()
    turn = session.turn("insert", "l", 0, value={})
    turn.place(0)
    turn.done(1, session.others(("add", "/l/0", {"id": "7"})))
    assert session.do("remove", "l", 0) == ("l", 0)
    assert session.place("set", "l", 0, "t") == ("l", 0, "t")


def test_an_edit_that_changed_nothing_leaves_no_trace():
    session = Session()
    turn = session.turn("set", "a")
    assert turn.place(0) == ("a",)
    assert turn.value == "v"
    turn.unchanged()
    assert len(session.bridge) == 0


def test_what_the_edits_own_transaction_did_before_it_moves_it():
    session = Session()
    turn = session.turn("remove", "l", 1)
    assert turn.value is None
    assert turn.place(0) == ("l", 1)
    session.others(("add", "/l/0", 1))  # a commit in between
    assert turn.place(1, [operation_at("add", "/l/0"), operation_at("add", "/m")]) == ("l", 3)
    assert turn.place(1, [operation_at("remove", "/l/2")]) is None
    assert turn.place(1) == ("l", 2)


def test_beyond_what_is_remembered_an_index_means_nothing():
    session = Session(max_patches=2)
    for _ in range(3):
        session.others(("add", "/l/0", 1))
    assert session.place("set", "l", 1) is None
    assert session.place("set", "a", "b") == ("a", "b")
    assert session.place("set", "l", 1, base=2) is None
    assert session.place("set", "l", 1, base=3) == ("l", 1)
    session.others(("add", "/l/0", 1))
    assert session.place("set", "l", 1, base=3) == ("l", 2)


def test_an_edit_refused_for_that_hides_indexes_until_the_client_knows():
    session = Session(max_patches=2)
    for _ in range(3):
        session.others(("add", "/l/0", 1))
    session.refuse("insert", "l", 1)
    assert session.place("set", "l", 5, base=3) is None
    assert session.place("set", "l", 5, base=3, confirmed=1) == ("l", 5)


def test_a_refusal_that_is_forgotten_hides_indexes_until_the_client_knows():
    session = Session(max_patches=2)
    session.refuse("insert", "l", 1)
    for _ in range(3):
        session.others(("add", "/l/0", 1))
    assert session.place("set", "l", 5, base=3) is None
    assert session.place("set", "l", 5, base=3, confirmed=1) == ("l", 5)


def test_a_bridge_has_a_bound():
    session = Session()
    session.others(*[("add", "/l/0", 1)] * MAX_OPERATIONS)
    assert session.place("set", "l", 0) == ("l", MAX_OPERATIONS)
    session.others(("add", "/l/0", 1))
    assert session.place("set", "l", 0) is None
    assert session.place("set", "k") == ("k",)
    assert session.place("set", "l", 0, base=2) == ("l", 0)


def test_a_client_whose_mirror_never_gets_on_makes_its_bridge_no_longer():
    """The app changes each of its edits, nobody else changes anything, and the client confirms, but has no patch."""
    session = Session()
    for number in range(MAX_OPERATIONS):
        turn = session.turn("set", f"k{number}", base=0, confirmed=number)
        assert turn.place(session.revision) == (f"k{number}",)
        turn.done(session.revision + 1, session.others(("add", f"/k{number}", "other")))
    assert len(session.bridge) <= MAX_OPERATIONS + 2


def test_an_operation_that_an_edit_undoes_is_crossed_no_more():
    session = Session()
    session.others(("replace", "/a", 1), ("replace", "/b", 1))
    assert session.do("set", "a") == ("a",)
    assert len(session.bridge) == 1


def test_a_client_that_rarely_edits_is_not_carried_over_what_it_has():
    session = Session(max_patches=5)
    session.do("set", "a")
    for _ in range(20):
        session.others(("add", "/l/0", 1))
    assert session.place("set", "l", 0, base=20) == ("l", 1)


def test_a_path_that_is_none_is_our_mistake():
    with pytest.raises(ProtocolError):
        operation_at("add", "a")


@pytest.mark.parametrize("path", [("l", 1), ("key",)])
def test_an_edit_of_another_epoch_is_lost_whatever_it_names_and_leaves_nothing(path):
    session = Session()
    session.others(("add", "/a", 1))
    old = session.turn("set", *path, base=1)
    session.revision = 2
    session.history.begin(2)
    assert old.place(2) is None
    old.refused()
    assert len(session.bridge) == 0
    session.bridge = Bridge(base=session.bridge.base)
    assert session.place("set", "l", 0, base=2, confirmed=0) == ("l", 0)

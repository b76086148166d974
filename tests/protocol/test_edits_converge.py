"""The laws of edits, on a model: two clients and a server over links that can break at any moment.

- A mirror is, at every moment, the document as it was at its revision; in the end all are equal.
- Every edit is done at most once: once if it was answered, never if it was refused; `unknown` only if the server forgot
  the client, or began another epoch while the client was away.
- An edit that was made before a restart is done before it or never.
- An edit that names an item of a list is done to that very item, wherever it is by then, or is refused.
- Nobody sees an edit of their own twice, and with nothing pending a client shows its mirror.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections import deque

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from supervisor.document.edit import EditOperation
from supervisor.document.json_document import JsonDocument
from supervisor.errors import Rejected, SendConflict, SendUnsent
from supervisor.protocol import events
from supervisor.protocol.carrying import operation_at
from supervisor.protocol.client import NO_REVISION
from supervisor.protocol.feed import Feed
from supervisor.protocol.messages import Edit, encode_answer, encode_edited, encode_error
from supervisor.protocol.records import Repeated
from supervisor.session.editing import EditConflict, EditRules

from ..examples import many
from .links import LINGER, Linked, LinkedPage, LinkedServer, Shown

MOODS = ["take", "reject", "fail", "log", "change", "complete", "keep", "scribble", "commit"]
"""What the app's function does with an edit."""
EDITS = [
    "insert",
    "append",
    "fill",
    "remove",
    "replace",
    "same",
    "set",
    "insert sub",
    "replace sub",
    "remove sub",
    "x",
    "y",
    "no x",
]
CHANGES = ["insert", "append", "remove", "replace", "n", "sub", "swap", "new list"]


def identities(data, keys, op):
    """The ids of the items that a path leads through, or to; None where there is no item."""
    found = []
    for depth, key in enumerate(keys):
        if depth == len(keys) - 1 and (op == "insert" or type(key) is str):
            break
        data = data[key]
        if type(key) is int:
            found.append(data["id"])
    return found


class Server(LinkedServer):
    """A session, as small as it can be."""

    def __init__(self, max_revisions):
        super().__init__()
        self.max_revisions = max_revisions
        self.epochs = itertools.count(1)
        self.ids = (f"c-{number}" for number in itertools.count(1))
        self.items = (f"s{number}" for number in itertools.count(1))
        # (epoch, client id, number) of each edit that was done
        self.done: list[tuple[str, str, int]] = []
        self.past: dict[tuple[str, int], dict] = {}
        # What the app's function is to do with the edits that come next.
        self.moods: deque[str] = deque()
        # By (epoch, client id, number): what the author saw at the edit's place.
        self.meant: dict[tuple[str, str, int], list[str]] = {}
        self.begin_epoch()

    def begin_epoch(self):
        self.links.clear()
        self.unhandled = deque()
        self.document = JsonDocument()
        self.rules = EditRules(lambda: None)
        self.rules.allow("", self.judge)
        self.feed = Feed(
            session="s",
            epoch=f"e-{next(self.epochs)}",
            key="k",
            new_client_id=lambda: next(self.ids),
            linger=LINGER,
            max_revisions=self.max_revisions,
        )
        self.document.root.update({"list": [self.item(), self.item()], "map": {}})
        self.commit()

    def restart(self):
        """As a session does: clients and what they wrote stay; the document is another one, in a new epoch."""
        self.document = JsonDocument(revision=self.document.revision)
        self.document.root.update({"list": [self.item(), self.item()], "map": {}})
        patch = self.document.commit()
        self.feed.renewed(epoch=f"e-{next(self.epochs)}", revision=patch.revision)
        self.past[self.feed.epoch, patch.revision] = copy.deepcopy(self.document.root)
        self.show()

    def state(self):
        return {"revision": self.document.revision, "data": self.document.snapshot()}

    def item(self):
        return {"id": next(self.items), "n": 0, "sub": []}

    def commit(self):
        patch = self.document.commit()
        if patch is not None:
            self.past[self.feed.epoch, patch.revision] = copy.deepcopy(self.document.root)
            return patch
        return None

    def change(self, func):
        func(self.document.root)
        patch = self.commit()
        if patch is not None:
            self.broadcast(self.feed.committed(patch))

    def receive(self, link, frame):
        message = link.server.receive(frame)
        if link.client_id is None:
            self.attach(link, message)
            return
        if isinstance(message, Edit):
            accepted = self.feed.accept_edit(link.client_id, message, self.document.revision, self.now)
        else:
            accepted = self.feed.accept(link.client_id, message, self.now)
        if isinstance(accepted, Repeated):
            link.down.extend(each.decode() for each in accepted.messages)
        else:
            self.unhandled.append((link.client_id, message, accepted))

    def handle(self):
        client_id, message, turn = self.unhandled.popleft()
        if not isinstance(message, Edit):
            self.answer(client_id, message.number, encode_answer(message.number, "ok"))
            return
        key = (self.feed.epoch, client_id, message.number)
        was_meant_for_this = message.base >= self.feed._history.begun_at
        edit = EditOperation(op=message.op, keys=message.path, value=turn.value)
        root = self.document.root

        def place():
            changes = [operation_at(each["op"], each["path"]) for each in self.document.changes]
            keys = turn.place(self.document.revision, changes)
            if keys is not None and key in self.meant:
                try:
                    found = identities(self.document.root, keys, message.op)
                except (KeyError, IndexError, TypeError):  # it goes on by keys, and finds out that it doesn't fit
                    assert not any(type(step) is int for step in keys)
                else:
                    assert found == self.meant[key]
            return keys

        try:
            self.rules.take(lambda: self.document.root, root, edit, None, place)
        except EditConflict:
            kind = "conflict"
        except Rejected:
            kind = "rejected"
        except ZeroDivisionError:
            kind = "failed"
        else:
            kind = None
        if kind is not None:
            self.document.roll_back()
            turn.refused()
            self.answer(client_id, message.number, encode_error(message.number, kind, "no"))
            return
        assert was_meant_for_this
        self.done.append(key)
        patch = self.commit()
        if patch is None:
            turn.unchanged()
            self.answer(client_id, message.number, encode_edited(message.number, self.document.revision), edited=True)
            return
        turn.done(patch.revision, patch.encoded)
        frame = self.feed.committed(patch)
        self.answer(client_id, message.number, encode_edited(message.number, patch.revision), edited=True)
        self.broadcast(frame)

    def judge(self, root, edit):
        mood = self.moods.popleft() if self.moods else "take"
        if mood == "reject":
            raise Rejected("no")
        if mood == "fail":
            root["map"]["never"] = 1
            raise ZeroDivisionError
        if mood == "log" and isinstance(root.get("list"), list):
            root["list"].insert(0, self.item())
        if mood == "commit" and isinstance(root.get("list"), list):
            self.change(lambda root: root["list"].insert(0, self.item()))
        if mood == "keep" and edit.op == "set":
            try:
                return attrs.evolve(edit, value=self.at(edit.keys))
            except (KeyError, IndexError, TypeError):
                return None
        if mood == "scribble" and isinstance(edit.value, list):
            edit.value.insert(0, {"id": next(self.items)})
            return edit
        if mood == "complete" and edit.op == "insert":
            # What an index in it names is another thing now, and what a key names is not.
            sub = [{"id": next(self.items)}, *edit.value.get("sub", [])]
            return attrs.evolve(edit, value=edit.value | {"made": next(self.items), "sub": sub})
        if mood == "change" and isinstance(edit.value, dict):
            return attrs.evolve(edit, value=edit.value | {"n": -1})
        return None

    def at(self, keys):
        value = self.document.root
        for key in keys:
            value = value[key]
        return value

    def fall_behind(self, link):
        """As a connection does: patches and answers go, what came before stays, and a snapshot takes their place."""
        frames = [(json.loads(frame)["type"], frame) for frame in link.down]
        frames = [("shown" if isinstance(frame, Shown) else kind, frame) for kind, frame in frames]
        if link.client_id is None or not any(kind in ("patch", "shown") for kind, _ in frames):
            return
        link.down = deque(frame for kind, frame in frames if kind not in ("patch", "shown", "answer", "error"))
        link.down.append(self.feed.snapshot(**self.state()).decode())
        link.down.extend(frame for kind, frame in frames if kind in ("answer", "error"))


class Page(LinkedPage):
    """One client, and what became of its edits."""

    def __init__(self, name, server):
        super().__init__(name, server)
        self.items = (f"{name}{number}" for number in itertools.count(1))
        self.seen: dict[int, list[str]] = {}
        self.numbers: dict[tuple[str, str, int], int] = {}
        self.outcomes: dict[int, str] = {}
        self.arrived: set[int] = set()
        self.tickets: list[int] = []

    def flush(self):
        for frame in self.client.outgoing():
            message = json.loads(frame)
            if message["type"] == "edit":
                ticket = self.client._sends.unsettled(message["number"]).ticket
                key = (self.client.epoch, self.client._client, message["number"])
                self.numbers[key] = ticket
                if ticket in self.seen:
                    self.server.meant[key] = self.seen[ticket]
            self.link.up.append(frame)

    def edit(self, op, keys, value=None):
        path = "".join(f"/{key}" for key in keys)
        shown = self.client.data
        is_stale = self.client._pending.is_stale
        try:
            ticket = self.client.edit(op, path, value)
        except (SendUnsent, SendConflict):
            return
        self.tickets.append(ticket)
        if not is_stale:
            self.seen[ticket] = identities(shown, keys, op)
        assert self.client.data != shown or op == "set"
        self.flush()

    def edit_somehow(self, kind, at, inner):
        """One edit of what is shown, if there is something for that kind."""
        if kind in ("x", "y"):
            self.edit("set", ("map", kind), next(self.items))
            return
        if kind == "no x":
            self.edit("remove", ("map", "x"))
            return
        items = self.client.data.get("list")
        # A value that repeats an id is of an item, and what is stale may show that at another one's place.
        if not isinstance(items, list) or (kind in ("replace", "same") and self.client._pending.is_stale):
            return
        item = {"id": next(self.items), "n": 1, "sub": []}
        if kind == "append":
            self.edit("insert", ("list", len(items)), item)
        elif kind == "insert":
            self.edit("insert", ("list", at % (len(items) + 1)), item)
        elif kind == "fill":
            self.fill(at % (len(items) + 1), item, inner)
        elif items:
            at %= len(items)
            sub = items[at]["sub"]
            if kind == "remove":
                self.edit("remove", ("list", at))
            elif kind == "replace":
                self.edit("set", ("list", at), {"id": items[at]["id"], "n": item["id"], "sub": []})
            elif kind == "same":
                self.edit("set", ("list", at), items[at])
            elif kind == "set":
                self.edit("set", ("list", at, "n"), item["id"])
            elif kind == "insert sub":
                self.edit("insert", ("list", at, "sub", inner % (len(sub) + 1)), {"id": item["id"]})
            elif kind == "replace sub":
                self.edit("set", ("list", at, "sub"), [{"id": item["id"]}])
            elif sub:
                self.edit("remove", ("list", at, "sub", inner % len(sub)))

    def fill(self, at, item, inner):
        """Put an item in, and go on with it before the server has said anything."""
        tickets = len(self.tickets)
        self.edit("insert", ("list", at), item | {"sub": [{"id": next(self.items)}]})
        if len(self.tickets) == tickets:
            return
        if inner % 3 == 0:
            self.edit("remove", ("list", at, "sub", 0))
        if inner % 3 == 1:
            self.edit("insert", ("list", at, "sub", 0), {"id": next(self.items)})
        if inner % 2:
            self.edit("set", ("list", at, "n"), next(self.items))
        if inner >= 8:
            self.edit("remove", ("list", at))

    def send(self):
        try:
            self.client.send("Work", {})
        except SendUnsent:
            return
        self.flush()

    def receive(self):
        frame = str(self.link.down.popleft())
        for event in self.client.receive(frame):
            if isinstance(event, events.Attached):
                self.ids.add(json.loads(frame)["client"])
            elif isinstance(event, events.Edited | events.Refused) and event.ticket in self.tickets:
                assert event.ticket not in self.outcomes
                self.outcomes[event.ticket] = "done" if isinstance(event, events.Edited) else event.kind
            elif isinstance(event, events.Arrived):
                assert self.outcomes[event.ticket] == "done"
                assert event.ticket not in self.arrived
                self.arrived.add(event.ticket)
        self.flush()


def all_ids(value):
    if isinstance(value, dict):
        if "id" in value:
            yield value["id"]
        for inner in value.values():
            yield from all_ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from all_ids(inner)


class Edits(Linked):
    pages_ = st.integers(0, 1)
    places = st.integers(0, 9)
    edits_ = st.lists(st.tuples(st.sampled_from(EDITS), places, places), max_size=4)
    changes_ = st.lists(st.tuples(st.sampled_from(CHANGES), places), max_size=4)

    @initialize(max_revisions=st.sampled_from([3, 1_000, 1_000]), connected=st.booleans())
    def begin(self, max_revisions, connected):
        self.server = Server(max_revisions)
        self.pages = [Page(name, self.server) for name in "ab"]
        if connected:
            for page in (0, 1):
                self.catch_up(page)

    connect = rule(page=pages_)(Linked.connect)
    carry_up = rule(page=pages_, count=st.integers(1, 8))(Linked.carry_up)
    carry_down = rule(page=pages_, count=st.integers(1, 8))(Linked.carry_down)
    break_link = rule(page=pages_, noticed=st.booleans())(Linked.break_link)
    begin_another_epoch = rule(again=st.integers(0, 9))(Linked.begin_another_epoch)

    @rule(page=pages_, edits=edits_)
    def edit(self, page, edits):
        for edit in edits:
            self.pages[page].edit_somehow(*edit)

    @rule(
        page=pages_,
        edits=edits_,
        moods=st.lists(st.sampled_from(MOODS), max_size=3),
        received=st.integers(0, 4),
        handled=st.integers(0, 4),
        told=st.integers(0, 9),
        noticed=st.booleans(),
        seconds=st.sampled_from([0.0, 0.0, 11.0]),
        offline=edits_,
        meanwhile=changes_,
    )
    def lose_in_the_middle(self, page, edits, moods, received, handled, told, noticed, seconds, offline, meanwhile):
        """Some edits arrive, some of these are done, some of what came of it is told, and the link breaks.

        Others change the list meanwhile, and the client goes on editing: offline, and when it has heard of some of it.
        """
        self.catch_up(page)
        self.server.moods.extend(moods)
        self.edit(page, edits)
        self.carry_up(page, received)
        self.handle(handled)
        self.carry_down(page, told)
        self.break_link(page, noticed)
        self.server.now += seconds
        self.edit(page, offline)
        for kind, at in meanwhile:
            self.change_the_list(kind, at)
        self.connect(page)
        self.carry_up(page, received)
        self.carry_down(page, told)
        self.edit(page, edits)
        self.catch_up(page)

    @rule(page=pages_, times=st.sampled_from([1, 1, 66]))
    def send(self, page, times):
        for _ in range(times):
            self.pages[page].send()

    @rule(moods=st.lists(st.sampled_from(MOODS), max_size=3))
    def be_in_moods(self, moods):
        self.server.moods.extend(moods)

    @rule(count=st.integers(1, 8))
    def handle(self, count):
        while self.server.unhandled and count:
            self.server.handle()
            count -= 1

    @rule(kind=st.sampled_from(CHANGES), at=places)
    def change_the_list(self, kind, at):
        server = self.server

        def change(root):
            items = root["list"]
            if kind == "insert":
                items.insert(at % (len(items) + 1), server.item())
            elif kind == "append":
                items.append(server.item())
            elif kind == "new list":
                root["list"] = [server.item() for _ in range(at % 4)]
            elif items:
                at_item = at % len(items)
                if kind == "remove":
                    del items[at_item]
                elif kind == "replace":
                    items[at_item] = {"id": items[at_item]["id"], "n": "new", "sub": [{"id": next(server.items)}]}
                elif kind == "n":
                    items[at_item]["n"] = next(server.items)
                elif kind == "sub":
                    items[at_item]["sub"].insert(0, {"id": next(server.items)})
                else:
                    items.insert(0, items.pop(at_item))

        server.change(change)

    @rule(kind=st.sampled_from(["x", "y", "clear", "root"]))
    def change_the_map(self, kind):
        if kind == "root":
            self.server.document.replace({"list": [self.server.item()], "map": {}})
        self.server.change(lambda root: root.update(map={}) if kind == "clear" else root["map"].update({kind: 0}))

    @rule(page=pages_)
    def catch_up(self, page):
        """All that is under way arrives: without this rule, few runs would get as far as the others need."""
        self.reconnect(page)
        self.carry_up(page, 1_000)
        self.handle(1_000)
        self.carry_down(page, 1_000)
        self.carry_up(page, 1_000)

    @rule(page=pages_)
    def fall_behind(self, page):
        link = self.pages[page].link
        if link in self.server.links:
            self.server.fall_behind(link)

    @rule(seconds=st.sampled_from([1.0, 11.0]))
    def wait(self, seconds):
        self.server.now += seconds

    @rule()
    def restart(self):
        self.server.restart()

    @rule(page=pages_, edits=edits_, received=st.integers(0, 4), handled=st.integers(0, 4), told=st.integers(0, 9))
    def restart_in_the_middle(self, page, edits, received, handled, told):
        """Some edits were done, and of some the author has heard; those who go on editing hear of the restart later."""
        self.catch_up(page)
        self.edit(page, edits)
        self.carry_up(page, received)
        self.handle(handled)
        self.carry_down(page, told)
        self.server.restart()
        self.edit(page, edits)
        self.carry_up(page, received)
        self.carry_down(page, told)
        self.edit(page, edits)
        self.catch_up(page)

    @invariant()
    def mirrors_show_the_document_as_it_was(self):
        for page in getattr(self, "pages", ()):
            if page.client.revision != NO_REVISION:
                assert page.client._data == self.server.past[page.client.epoch, page.client.revision]
            if not page.client._pending:
                assert page.client.data is page.client._data

    @invariant()
    def nothing_is_shown_twice(self):
        for page in getattr(self, "pages", ()):
            if not page.client._pending.is_stale:
                ids = list(all_ids(page.client.data))
                assert len(ids) == len(set(ids))

    def teardown(self):
        if not hasattr(self, "pages"):
            return
        for _ in range(2):  # what one client's last edits changed, the other has still to hear
            for index, page in enumerate(self.pages):
                self.reconnect(index)
                while True:
                    self.carry_up(index, 10_000)
                    self.handle(10_000)
                    if not page.link.down:
                        break
                    self.carry_down(index, 10_000)
        assert len(self.server.done) == len(set(self.server.done))
        for page in self.pages:
            assert page.client.data == page.client._data == self.server.document.root
            assert page.client.unsettled == len(page.client._pending) == 0
            assert page.outcomes.keys() == set(page.tickets)
            assert page.arrived == {ticket for ticket, outcome in page.outcomes.items() if outcome == "done"}
            tickets = [page.numbers[key] for key in self.server.done if key in page.numbers]
            done = set(tickets)
            assert len(done) == len(tickets)
            for ticket, outcome in page.outcomes.items():
                if outcome == "unknown":
                    assert len(page.ids) > 1
                else:
                    assert (ticket in done) is (outcome == "done")


def test_what_is_typed_into_an_item_that_the_app_completes_is_done():
    """Whether or not the app has completed it by then, and the author has heard of that."""
    story = Edits()
    story.begin(max_revisions=1_000, connected=True)
    (page, other), server = story.pages, story.server
    server.moods.extend(["take", "complete"])
    page.edit("insert", ("list", 0), {"id": "new", "n": 0, "sub": []})
    page.edit("set", ("list", 0, "n"), "typed")
    other.edit("insert", ("list", 0), {"id": "other", "n": 0, "sub": []})
    story.carry_up(1, 1)
    story.handle(1)
    story.carry_up(0, 1)
    story.handle(1)
    page.edit("set", ("list", 0, "n"), "typed on")
    story.catch_up(0)
    page.edit("set", ("list", 1, "sub"), [])
    story.teardown()
    assert page.outcomes == {1: "done", 2: "done", 3: "done", 4: "done"}
    assert [item["id"] for item in server.document.root["list"]][:2] == ["other", "new"]
    assert server.document.root["list"][1]["n"] == "typed on"


Edits.TestCase.settings = settings(max_examples=many(200), stateful_step_count=40, deadline=None)
TestEdits = Edits.TestCase

"""The delivery laws, on a model: a Feed and three clients over links that keep order and can break at any moment.

- A mirror is, at every moment, the document as it was at the mirror's revision; in the end all equal the document.
- A client sees revisions rise, without a gap or a duplicate (otherwise it would raise a protocol error).
- A send is done at most once. It is done exactly once and answered, or refused as `unknown`; that only if the server
  forgot the client, or had let go an answer that it lacks, or began another epoch while the client was away. A restart
  of the session costs those nothing who are there: what they sent is done and answered after it.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections import deque

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from supervisor.errors import SendUnsent
from supervisor.protocol import events
from supervisor.protocol.client import NO_REVISION
from supervisor.protocol.feed import Feed
from supervisor.protocol.messages import Add, Remove, Replace, encode_answer
from supervisor.protocol.mirror import apply
from supervisor.protocol.records import Repeated

from ..examples import many
from .links import LINGER, Linked, LinkedPage, LinkedServer, Shown

OPERATIONS = {"add": Add, "replace": Replace, "remove": Remove}


@attrs.frozen
class Patch:
    base: int
    revision: int
    encoded: bytes


class Server(LinkedServer):
    """A session, as small as it can be."""

    def __init__(self):
        super().__init__()
        self.epochs = itertools.count(1)
        self.ids = (f"c-{number}" for number in itertools.count(1))
        self.applied: list[str] = []
        # (epoch, revision) → the document then
        self.past: dict[tuple[str, int], dict] = {}
        self.begin_epoch()

    def begin_epoch(self):
        self.links.clear()
        self.unanswered: deque[tuple[str, int, str]] = deque()
        self.feed = Feed(
            session="s",
            epoch=f"e-{next(self.epochs)}",
            key="k",
            new_client_id=lambda: next(self.ids),
            linger=LINGER,
            max_revisions=5,
            max_bytes=600,
            max_answers=400,
        )
        self.data = {"list": [], "map": {}}
        self.revision = 0
        self.remember()

    def restart(self):
        """As a session does: clients and what they sent stay; the document is another one, in a new epoch."""
        self.data = {"list": ["new"], "map": {}}
        self.revision += 1
        self.feed.renewed(epoch=f"e-{next(self.epochs)}", revision=self.revision)
        self.remember()
        self.show()

    def remember(self):
        self.past[self.feed.epoch, self.revision] = copy.deepcopy(self.data)

    def commit(self, *operations, merged=1):
        wire = [dict(zip(("op", "path", "value"), operation, strict=False)) for operation in operations]
        copies = copy.deepcopy(wire)
        self.data = apply(self.data, [OPERATIONS[one.pop("op")](**one) for one in copies])
        base, self.revision = self.revision, self.revision + merged
        self.remember()
        self.broadcast(self.feed.committed(Patch(base, self.revision, json.dumps(wire).encode())))

    def receive(self, link, frame):
        message = link.server.receive(frame)
        if link.client_id is None:
            self.attach(link, message)
        else:
            decision = self.feed.accept(link.client_id, message, self.now)
            if isinstance(decision, Repeated):
                link.down.extend(each.decode() for each in decision.messages)
            else:
                work = json.loads(bytes(message.fields))["work"]
                self.unanswered.append((link.client_id, message.number, work))

    def state(self):
        return {"revision": self.revision, "data": json.dumps(self.data).encode()}

    def handle(self, index):
        client_id, number, work = self.unanswered[index]
        del self.unanswered[index]
        self.applied.append(work)
        self.commit(("add", "/map/last", work))
        self.answer(client_id, number, encode_answer(number, work))

    def drop_backlog(self, link):
        """As the outbox does: patches go, what else is queued stays, a snapshot takes the patches' place."""
        kept = [frame for frame in link.down if not (isinstance(frame, Shown) or frame.startswith('{"type":"patch"'))]
        if link.client_id is None or len(kept) == len(link.down):
            return
        link.down = deque(kept)
        link.down.append(self.feed.snapshot(**self.state()).decode())


class Page(LinkedPage):
    """One client, and what became of its sends."""

    def __init__(self, name, server):
        super().__init__(name, server)
        self.count = 0
        self.works: dict[int, str] = {}
        self.outcomes: dict[str, str] = {}

    def flush(self):
        frames = self.client.outgoing()
        if frames:
            self.link.up.extend(frames)

    def send(self):
        self.count += 1
        work = f"{self.name}-{self.count}"
        try:
            self.works[self.client.send("Work", {"work": work})] = work
        except SendUnsent:
            self.outcomes[work] = "unsent"
        self.flush()

    def receive(self):
        frame = str(self.link.down.popleft())
        before = (self.client.epoch, self.client.revision)
        for event in self.client.receive(frame):
            if isinstance(event, events.Attached):
                self.ids.add(json.loads(frame)["client"])
            elif isinstance(event, events.Patched):
                assert before[0] == self.client.epoch
                assert before[1] < self.client.revision
            elif isinstance(event, events.Answered):
                work = self.works[event.ticket]
                assert event.value == work
                self.settle(work, "answered")
            elif isinstance(event, events.Refused):
                self.settle(self.works[event.ticket], event.kind)
        self.flush()

    def settle(self, work, outcome):
        assert work not in self.outcomes
        self.outcomes[work] = outcome


class Delivery(Linked):
    def __init__(self):
        super().__init__()
        self.server = Server()
        self.pages = [Page(name, self.server) for name in "abc"]

    pages_ = st.integers(0, 2)

    connect = rule(page=pages_)(Linked.connect)
    carry_up = rule(page=pages_, count=st.integers(1, 80))(Linked.carry_up)
    carry_down = rule(page=pages_, count=st.integers(1, 80))(Linked.carry_down)
    break_link = rule(page=pages_, noticed=st.booleans())(Linked.break_link)
    begin_another_epoch = rule(again=st.integers(0, 5))(Linked.begin_another_epoch)

    @rule(page=pages_, count=st.sampled_from([1, 1, 2, 5, 70]))
    def send(self, page, count):
        for _ in range(count):
            self.pages[page].send()

    @rule(page=pages_)
    def catch_up(self, page):
        """All that is under way arrives: without this rule, few runs would get as far as the others need."""
        self.reconnect(page)
        self.carry_up(page, 1_000)
        self.carry_down(page, 1_000)
        self.carry_up(page, 1_000)

    @rule(
        page=pages_,
        sends=st.integers(1, 4),
        received=st.integers(0, 4),
        handled=st.integers(0, 4),
        told=st.integers(0, 9),
        seconds=st.sampled_from([0.0, 1.0, 11.0]),
    )
    def lose_in_the_middle(self, page, sends, received, handled, told, seconds):
        """Some sends arrive, some of these are handled, some of the answers arrive, and the link breaks."""
        self.catch_up(page)
        for _ in range(sends):
            self.pages[page].send()
        self.carry_up(page, received)
        for _ in range(min(handled, len(self.server.unanswered))):
            self.server.handle(-1 if seconds else 0)
        self.carry_down(page, told)
        self.break_link(page, True)
        self.server.now += seconds
        self.catch_up(page)

    @rule(key=st.sampled_from("xyz"), value=st.integers(0, 9), merged=st.sampled_from([1, 1, 1, 3]))
    def commit_a_key(self, key, value, merged):
        self.server.commit(("add", f"/map/{key}", value), merged=merged)

    @rule(size=st.sampled_from([1, 50, 700]))
    def commit_to_the_list(self, size):
        self.server.commit(("add", "/list/-", "x" * size))
        if len(self.server.data["list"]) > 3:
            self.server.commit(("remove", "/list/0"), ("replace", "/list/0", {"inner": []}))

    @rule()
    def commit_the_root(self):
        self.server.commit(("replace", "", {"list": [], "map": {}}))

    @precondition(lambda self: self.server.unanswered)
    @rule(data=st.data(), count=st.integers(1, 70))
    def handle(self, data, count):
        while self.server.unanswered and count:
            self.server.handle(data.draw(st.sampled_from([0, -1])) if count == 1 else 0)
            count -= 1

    @rule(page=pages_)
    def drop_backlog(self, page):
        link = self.pages[page].link
        if link in self.server.links:
            self.server.drop_backlog(link)

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def wait(self, seconds):
        self.server.now += seconds

    @rule()
    def restart(self):
        self.server.restart()

    @rule(
        page=pages_, sends=st.integers(1, 4), received=st.integers(0, 4), handled=st.integers(0, 4), away=st.booleans()
    )
    def restart_in_the_middle(self, page, sends, received, handled, away):
        """Some sends have arrived, some were handled; the client hears of the restart, or is away meanwhile."""
        self.catch_up(page)
        one = self.pages[page]
        for _ in range(sends):
            one.send()
        unknown = sum(outcome == "unknown" for outcome in one.outcomes.values())
        self.carry_up(page, received)
        for _ in range(min(handled, len(self.server.unanswered))):
            self.server.handle(0)
        if away:
            self.break_link(page, True)
        self.server.restart()
        self.catch_up(page)
        if not away:
            assert sum(outcome == "unknown" for outcome in one.outcomes.values()) == unknown

    @invariant()
    def mirrors_show_the_document_as_it_was(self):
        for page in self.pages:
            if page.client.revision != NO_REVISION:
                past = self.server.past[page.client.epoch, page.client.revision]
                assert page.client.data == past

    @invariant()
    def nothing_is_done_twice(self):
        assert len(set(self.server.applied)) == len(self.server.applied)

    def teardown(self):
        for index, page in enumerate(self.pages):
            self.reconnect(index)
            # A queue behind the window needs several rounds.
            while True:
                self.carry_up(index, 10_000)
                while self.server.unanswered:
                    self.server.handle(0)
                if not page.link.down:
                    break
                self.carry_down(index, 10_000)
        for index, page in enumerate(self.pages):
            self.carry_down(index, 10_000)
            assert page.client.status is events.Status.LIVE
            assert page.client.data == self.server.data
            assert page.client.revision == self.server.revision
            assert page.client.unsettled == 0
            assert len(page.outcomes) == page.count
            for work, outcome in page.outcomes.items():
                if outcome == "answered":
                    assert work in self.server.applied
                elif outcome == "unsent":
                    assert work not in self.server.applied
                else:
                    assert outcome == "unknown"
                    assert len(page.ids) > 1


Delivery.TestCase.settings = settings(max_examples=many(150), stateful_step_count=40, deadline=None)
TestDelivery = Delivery.TestCase

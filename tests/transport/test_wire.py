"""One session on the wire, without sockets: viewers, answers, and messages on their way through the mailbox."""

import gc
import itertools
import json

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor.base import Runtime
from supervisor.application.actor import ApplicationActor
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.document.json_document import JsonDocument
from supervisor.errors import ProtocolError, Rejected
from supervisor.protocol.messages import Resume, Send
from supervisor.session.receivers import receives
from supervisor.session.request import Request
from supervisor.transport.entries import ClientSend, encode_failed, sendable
from supervisor.transport.wire import KEEP_SNAPSHOT, SessionWire


@attrs.frozen
class Do:
    """Do what the test says: its function is called with the document."""

    what: object


@receives(Do, from_client=False)
def on_do(doc, message):
    return message.what(doc)


class Viewer:
    def __init__(self):
        self.frames = []
        self.was_cancelled = False

    def show(self, frame):
        self.frames.append(frame)

    answer = announce = show

    def cancel(self):
        self.was_cancelled = True

    @property
    def messages(self):
        return [message_in(frame) for frame in self.frames]


def message_in(frame):
    """The JSON of an unmasked text frame."""
    assert frame[0] == 0x81
    return json.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :])


@pytest.fixture
async def wire(nursery, recorder):
    """The wire of one live session, whose document begins with {"n": 0}."""
    numbers = itertools.count(1)

    def modify_document(doc):
        doc.data["n"] = 0

    app = Application(NamespaceHandler({"modify_document": modify_document, "on_do": on_do}, where="app"), name="app")

    def on_session(session):
        session.audience = SessionWire(
            session, key="key", new_client_id=lambda: f"c{next(numbers)}", linger=actor.options.linger
        )

    runtime = Runtime(instruments=recorder)
    actor = ApplicationActor(
        app, runtime=runtime, make_epoch=lambda: "epoch", show_id=lambda id: id, on_session=on_session
    )
    nursery.start_soon(runtime.timers.run)
    await nursery.start(actor.run)
    outcome = await actor.open_session("s", Request())
    yield outcome.session.audience
    actor.stop()
    await outcome.session.wait_ended()


async def do(wire, what):
    await wire.session.context.ask(Do(what))


def change(doc):
    doc.data["n"] += 1


async def send(wire, client, number, what):
    """What `WebSocketConnection` does with a message, once its number was accepted."""
    wire.feed.accept(client, Send(number=number, name="Do", fields=b"{}", confirmed=0), trio.current_time())
    await wire.session.deliver(ClientSend(wire, client, number, Do(what)))
    await trio.testing.wait_all_tasks_blocked()


def resume(client, *, epoch="epoch", revision=1, confirmed=0):
    return Resume(session="s", key="key", client=client, epoch=epoch, revision=revision, confirmed=confirmed)


async def test_a_new_viewer_gets_a_snapshot_and_then_every_patch(wire):
    viewer = Viewer()
    attachment = wire.attach(viewer, None)
    attached, snapshot = map(message_in, wire.frames(attachment))
    assert (attached["type"], attached["client"], attached["resumed"]) == ("attached", "c1", False)
    assert (snapshot["type"], snapshot["data"], snapshot["revision"]) == ("snapshot", {"n": 0}, 1)
    await do(wire, change)
    await do(wire, change)
    assert [(message["from"], message["to"]) for message in viewer.messages] == [(1, 2), (2, 3)]


async def test_one_frame_is_made_for_all_viewers(wire):
    viewers = [Viewer() for _ in range(3)]
    for viewer in viewers:
        wire.attach(viewer, None)
    await do(wire, change)
    [first, second, third] = [viewer.frames for viewer in viewers]
    assert first[0] is second[0] is third[0]


async def test_a_snapshot_shows_no_transaction_that_is_open(wire, autojump_clock):
    async def slow(doc):
        doc.data["n"] = "unfinished"
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(do, wire, slow)
        await trio.sleep(0.5)
        [_, snapshot] = map(message_in, wire.frames(wire.attach(Viewer(), None)))
        assert snapshot["data"] == {"n": 0}
        assert message_in(wire.snapshot_frame())["data"] == {"n": 0}
        assert message_in(wire.snapshot_frame())["revision"] == 1


@pytest.fixture
def encodings(monkeypatch):
    """One item for each time that a document was encoded."""
    counted, real = [], JsonDocument.snapshot
    monkeypatch.setattr(JsonDocument, "snapshot", lambda document: counted.append(1) or real(document))
    return counted


async def test_all_who_want_a_snapshot_of_one_revision_share_one(wire, encodings):
    shown = [list(wire.frames(wire.attach(Viewer(), None)))[1] for _ in range(500)]
    back = list(wire.frames(wire.attach(Viewer(), resume("nobody", revision=-1))))[1]
    assert {id(frame) for frame in [*shown, back, wire.snapshot_frame()]} == {id(back)}
    assert wire.snapshot() == b'{"n":0}'  # for a page
    assert len(encodings) == 1
    await do(wire, change)
    assert wire.snapshot() == b'{"n":1}'
    assert message_in(wire.snapshot_frame())["data"] == {"n": 1}
    assert len(encodings) == 2


async def test_a_snapshot_is_not_kept_for_long_and_keeps_no_session(wire, encodings, autojump_clock):
    wire.snapshot_frame()
    await trio.sleep(KEEP_SNAPSHOT - 0.1)
    wire.snapshot_frame()
    assert len(encodings) == 1
    [alarm] = [each for *_, each in wire.session.runtime.timers._heap if each.at < trio.current_time() + 1]
    assert not any(isinstance(each, SessionWire) for each in gc.get_referents(alarm.ring.__self__))
    await trio.sleep(0.2)
    assert not any(isinstance(each, bytes) for each in gc.get_referents(wire._snapshot))
    assert message_in(wire.snapshot_frame())["data"] == {"n": 0}
    assert len(encodings) == 2


async def test_a_snapshot_is_let_go_for_a_newer_one_and_when_nobody_is_left_to_see_it(wire):
    viewer = Viewer()
    client = wire.attach(viewer, None).client
    wire.snapshot_frame()
    older = wire._snapshot
    await do(wire, change)
    wire.snapshot_frame()
    assert older.frame is None
    newer = wire._snapshot
    wire.detach(viewer, client)
    assert newer.frame is None


async def test_a_viewer_that_left_sees_nothing_and_its_answer_is_kept(wire):
    viewer = Viewer()
    client = wire.attach(viewer, None).client
    wire.feed.accept(client, Send(number=1, name="Do", fields=b"{}", confirmed=0), trio.current_time())
    wire.detach(viewer, client)
    await do(wire, change)
    wire.answered(client, 1, b'{"type":"answer","number":1,"value":null}')
    assert viewer.frames == []
    messages = [message_in(frame)["type"] for frame in wire.frames(wire.attach(Viewer(), resume(client)))]
    assert messages == ["attached", "patch", "answer"]


async def test_an_answer_for_a_client_that_was_forgotten_goes_to_nobody(wire, autojump_clock):
    viewer = Viewer()
    client = wire.attach(viewer, None).client
    wire.feed.accept(client, Send(number=1, name="Do", fields=b"{}", confirmed=0), trio.current_time())
    other = Viewer()
    wire.attach(other, None)
    wire.detach(viewer, client)
    await trio.sleep(16)
    wire.attach(Viewer(), None)
    wire.answered(client, 1, b"late")
    assert viewer.frames == other.frames == []


async def test_a_client_that_comes_back_takes_over_from_its_older_connection(wire):
    older, newer = Viewer(), Viewer()
    client = wire.attach(older, None).client
    await send(wire, client, 1, change)
    assert wire.attach(newer, resume(client, revision=2)).client == client
    assert older.was_cancelled
    older.frames.clear()
    await send(wire, client, 2, change)
    assert older.frames == []
    assert [message["type"] for message in newer.messages] == ["patch", "answer"]
    wire.detach(older, client)  # the older one takes nothing away from the newer when it is over
    await send(wire, client, 3, change)
    assert [message["type"] for message in newer.messages] == ["patch", "answer"] * 2
    wire.detach(newer, client)


async def test_the_older_connection_of_a_client_that_comes_back_as_another_one_is_over_too(wire):
    older, newer = Viewer(), Viewer()
    client = wire.attach(older, None).client
    another = wire.attach(newer, resume(client, epoch="another")).client
    assert another != client
    assert older.was_cancelled
    assert not wire.is_there(client)
    wire.detach(older, client)
    await do(wire, change)
    assert (len(older.frames), len(newer.frames)) == (0, 1)
    wire.detach(newer, another)


async def test_an_older_connection_of_a_client_that_is_expected_waits_no_longer(wire):
    client = wire.attach(Viewer(), None).client
    older, newer, newest = Viewer(), Viewer(), Viewer()
    with wire.expected(older, resume(client)) as peer:
        with wire.expected(newer, resume(client)) as same:
            assert same == peer
        assert older.was_cancelled
        assert not newer.was_cancelled
    with wire.expected(newest, resume(client)):
        pass
    assert not newer.was_cancelled


async def test_connections_of_strangers_wait_side_by_side(wire):
    one, other = Viewer(), Viewer()
    with wire.expected(one, None) as peer, wire.expected(other, resume("nobody")) as another:
        assert peer != another
    assert not one.was_cancelled


async def test_a_client_that_says_what_cannot_be_is_not_attached(wire):
    viewer = Viewer()
    client = wire.attach(viewer, None).client
    with pytest.raises(ProtocolError):
        wire.attach(Viewer(), resume(client, confirmed=1))
    assert not viewer.was_cancelled
    await do(wire, change)
    assert len(viewer.frames) == 1


async def test_the_answer_follows_the_patch_that_its_message_caused(wire):
    def change_and_tell(doc):
        change(doc)
        return {"n": doc.data["n"]}

    viewer = Viewer()
    client = wire.attach(viewer, None).client
    await send(wire, client, 1, change_and_tell)
    assert [message["type"] for message in viewer.messages] == ["patch", "answer"]
    assert viewer.messages[1] == {"type": "answer", "number": 1, "value": {"n": 1}}


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"], ids=["nan", "object", "surrogate"])
async def test_an_answer_that_json_cannot_carry_is_a_failure_that_rolls_back(wire, recorder, value):
    def change_and_return(doc):
        change(doc)
        return value

    viewer = Viewer()
    client = wire.attach(viewer, None).client
    await send(wire, client, 1, change_and_return)
    [error] = viewer.messages
    [incident] = recorder.incidents
    assert (error["type"], error["kind"], error["incident"]) == ("error", "failed", incident.id)
    assert wire.session.stored.revision == 1
    assert incident.what == "message Do of a client"
    recorder.incidents.clear()


async def test_a_failure_is_told_by_its_incident_alone(wire, recorder):
    def fail(doc):
        change(doc)
        raise ValueError("swordfish")

    viewer = Viewer()
    client = wire.attach(viewer, None).client
    await send(wire, client, 1, fail)
    [error] = viewer.messages
    [incident] = recorder.incidents
    assert error["incident"] == incident.id
    assert incident.id in error["text"]
    assert "swordfish" not in str(error)
    recorder.incidents.clear()


class _Awkward:
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("rejected", "text"),
    [
        (Rejected("not on Sundays"), "not on Sundays"),
        (Rejected(), ""),
        (Rejected("\ud800!"), "?!"),
        (Rejected(_Awkward()), "The message was rejected."),
    ],
    ids=["text", "nothing", "surrogate", "awkward"],
)
async def test_a_rejection_rolls_back_and_its_text_is_the_answer(wire, recorder, rejected, text):
    def reject(doc):
        change(doc)
        raise rejected

    viewer = Viewer()
    client = wire.attach(viewer, None).client
    await send(wire, client, 1, reject)
    assert viewer.messages == [{"type": "error", "number": 1, "kind": "rejected", "text": text, "incident": None}]
    assert recorder.incidents == []
    await send(wire, client, 2, change)  # the session goes on
    assert [message["type"] for message in viewer.messages[1:]] == ["patch", "answer"]


async def test_a_message_to_a_session_that_ended_is_answered_by_nobody(wire):
    viewer = Viewer()
    client = wire.attach(viewer, None).client
    wire.session.context.destroy()
    await send(wire, client, 1, change)
    assert viewer.frames == []


def test_the_text_of_a_failure_has_where_to_look_and_no_more():
    message = json.loads(encode_failed(7, "ab12cd34"))
    assert message == {
        "type": "error",
        "number": 7,
        "kind": "failed",
        "text": "The server could not do this. The log has the details under incident ab12cd34.",
        "incident": "ab12cd34",
    }


@pytest.mark.parametrize(("text", "sent"), [("", ""), ("ä€😀", "ä€😀"), ("a\ud800b\udfff", "a?b?")])
def test_what_utf_8_cannot_carry_is_replaced(text, sent):
    assert sendable(text) == sent


async def test_clients_are_told_of_a_restart_before_it_and_so_is_who_comes_meanwhile(wire, autojump_clock):
    viewer, late, later, last = Viewer(), Viewer(), Viewer(), Viewer()
    wire.restarting(1.0)  # with nobody there
    attachment = wire.attach(viewer, None)
    viewer.frames += wire.frames(attachment)
    assert viewer.messages[-1] == {"type": "restarting", "after": 1.0}
    viewer.show = None  # what is shown may be left out
    wire.restarting(2.0)
    del viewer.show
    assert viewer.messages[-1] == {"type": "restarting", "after": 2.0}
    await trio.sleep(0.5)
    late.frames += wire.frames(wire.attach(late, None))
    await trio.sleep(9)
    later.frames += wire.frames(wire.attach(later, None))
    assert [message["type"] for message in late.messages] == ["attached", "snapshot", "restarting"]
    assert (late.messages[-1]["after"], later.messages[-1]["after"]) == (1.5, 0)
    wire.session.epoch = "another"
    wire.renewed(())
    last.frames += wire.frames(wire.attach(last, None))
    assert [message["type"] for message in last.messages] == ["attached", "snapshot"]


async def test_a_restart_is_one_snapshot_in_a_new_epoch_and_sends_are_answered_after_it(wire, autojump_clock):
    viewer = Viewer()
    attachment = wire.attach(viewer, None)
    wire.session.stored = wire.session.working = JsonDocument(revision=1)
    wire.session.working.root["new"] = 1
    wire.session.working.commit()
    wire.session.epoch = "another"
    wire.renewed(())
    wire.renewed(("/new",))
    assert viewer.messages == [
        {"type": "snapshot", "epoch": "another", "revision": 2, "data": {"new": 1}},
        {"type": "editable", "patterns": ["/new"]},
        {"type": "snapshot", "epoch": "another", "revision": 2, "data": {"new": 1}},
    ]
    await send(wire, attachment.client, 1, lambda doc: "ok")
    assert viewer.messages[-1] == {"type": "answer", "number": 1, "value": "ok"}
    wire.session.working = wire.session.stored

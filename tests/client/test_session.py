"""The session as a program has it."""

import dataclasses

import attrs
import msgspec
import pytest
import trio
import trio.testing

from supervisor import HandlerFailed, Rejected
from supervisor.client import (
    SendConflict,
    SendFailed,
    SendIncident,
    SendInvalid,
    SendRejected,
    SendUnsent,
    SessionEnded,
)
from supervisor.client.session import ANSWER


async def test_data_of_a_revision_stay_as_they_are(connected, scripted, autojump_clock):
    async with connected(data={"a": [1], "b": {}}) as (session, line):
        before = session.data
        assert (session.id, session.peer, session.revision) == ("s-1", "p-1", 0)
        await line.patch(0, ("add", "/a/-", 2))
        after = await session.until(lambda data: len(data["a"]) == 2)
        assert before == {"a": [1], "b": {}}
        assert after is session.data
        assert after == {"a": [1, 2], "b": {}}
        assert after["b"] is before["b"]
        assert session.revision == 1
        assert "s-1" not in repr(session)
        assert repr(session) == "<ClientSession live at revision 1>"


async def test_changes_come_one_for_each_revision(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        changes = session.changes("/n")
        seen = [(await anext(changes)).value]
        for revision in range(3):
            await line.patch(revision, ("replace", "/n", revision + 1), ("add", "/m", 0))
            seen.append((await anext(changes)).value)
        assert seen == [0, 1, 2, 3]


async def test_a_slow_consumer_gets_the_newest(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        changes = session.changes()
        await anext(changes)
        for revision in range(100):
            await line.patch(revision, ("replace", "/n", revision + 1))
        await session.until(lambda data: data["n"] == 100)
        change = await anext(changes)
        assert (change.revision, change.operations) == (100, [{"op": "replace", "path": "/n", "value": 100}])


async def test_the_end_reaches_who_waits_after_the_last_change(connected, scripted, nursery, autojump_clock):
    async with connected() as (session, line):
        ends = []

        async def wait(wait_for, *args):
            with pytest.raises(SessionEnded) as caught:
                await wait_for(*args)
            ends.append((caught.value.code, str(caught.value)))

        changes = session.changes()
        await anext(changes)
        nursery.start_soon(wait, session.until, lambda data: False)
        await trio.testing.wait_all_tasks_blocked()
        await line.patch(0, ("replace", "/n", 1))
        await line.close(4410, "Good night!", announced=True)
        await session.wait_ended()
        assert (await anext(changes)).data == {"n": 1}
        await wait(anext, changes)
        await wait(session.until, lambda data: False)
        await trio.testing.wait_all_tasks_blocked()
        assert ends == [(4410, "Good night!")] * 3
        assert [status.state async for status in session.statuses()] == ["ended"]


async def test_until_looks_at_every_revision(connected, scripted, nursery, autojump_clock):
    """A state that lasts for no time is seen, whichever task trio runs first."""
    async with connected() as (session, line):
        found = []

        async def wait():
            found.append(await session.until(lambda data: data["n"] == 7))

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        for revision in range(20):
            await line.patch(revision, ("replace", "/n", revision + 1))
        await session.until(lambda data: data["n"] == 20)
        await trio.testing.wait_all_tasks_blocked()
        assert found == [{"n": 7}]


async def test_until_gives_up(connected, scripted, autojump_clock):
    async with connected() as (session, _line):
        began = trio.current_time()
        with pytest.raises(trio.TooSlowError, match=r"did not become true within 5 s"):
            await session.until(lambda data: data["n"], timeout=5)
        assert trio.current_time() - began == 5
        assert session._predicates == {}


async def test_what_a_predicate_raises_is_raised_where_it_was_asked(connected, scripted, autojump_clock):
    async with connected() as (session, line):

        async def patch():
            await line.patch(0, ("remove", "/n"))

        async with trio.open_nursery() as inner:
            inner.start_soon(patch)
            with pytest.raises(KeyError):
                await session.until(lambda data: data["n"])
        assert session.status.state == "live"


async def test_a_predicate_that_nobody_would_await_is_refused(connected, scripted, autojump_clock):
    async def has_come(data):
        return False

    async with connected() as (session, _line):
        with pytest.raises(TypeError, match=r'as in until\(lambda data: data\["n"\] == 1\); .*has_come is async'):
            await session.until(has_come)
        with pytest.raises(TypeError, match=r"returned an awaitable"):
            await session.until(lambda data: has_come(data))
        assert session._predicates == {}


@attrs.frozen
class Watch:
    symbol: str
    _note: str = "x"
    count: int = attrs.field(default=5, init=False)


@dataclasses.dataclass
class Plain:
    symbol: str
    count: int = dataclasses.field(default=5, init=False)


class Struct(msgspec.Struct, forbid_unknown_fields=True):
    symbol: str


@pytest.mark.parametrize(
    ("given", "name", "fields"),
    [
        (("Watch",), "Watch", {}),
        (("Watch", {"symbol": "A"}), "Watch", {"symbol": "A"}),
        ((Watch("A"),), "Watch", {"symbol": "A", "note": "x"}),
        ((Plain("A"),), "Plain", {"symbol": "A"}),
        ((Struct("A"),), "Struct", {"symbol": "A"}),
    ],
)
async def test_a_message_is_sent_and_answered(connected, scripted, autojump_clock, given, name, fields):
    async with connected() as (session, line):
        answers = []

        async def send():
            answers.append(await session.send(*given))

        async with trio.open_nursery() as inner:
            inner.start_soon(send)
            sent = await line.receive()
            assert (sent["name"], sent["fields"]) == (name, fields)
            await line.send(type="answer", number=1, value={"ok": [1]})
        assert answers == [{"ok": [1]}]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ((Watch,), TypeError, "this is the class itself: write Watch"),
        ((Watch("A"), {"a": 1}), TypeError, "fields go with the name of a message"),
        (("",), ValueError, "a message's name has 1 to 256 characters"),
        (("Watch", {"a": float("nan")}), ValueError, "NaN"),
        ((5,), TypeError, "must be a mapping"),
    ],
)
async def test_what_can_not_be_sent_is_refused_at_once(connected, scripted, autojump_clock, given, error, said):
    async with connected() as (session, line):
        with pytest.raises(error, match=said):
            await session.send(*given)
        assert line.pending() == []


@pytest.mark.parametrize(
    ("kind", "cls", "also"),
    [
        ("rejected", SendRejected, Rejected),
        ("invalid", SendInvalid, SendFailed),
        ("failed", SendIncident, HandlerFailed),
    ],
)
async def test_each_kind_of_no_is_an_exception_of_its_own(connected, scripted, autojump_clock, kind, cls, also):
    async with connected() as (session, line):
        incident = "ab12cd34" if kind == "failed" else None

        async def refuse():
            await line.receive()
            await line.send(type="error", number=1, kind=kind, text="So it is.", incident=incident)

        async with trio.open_nursery() as inner:
            inner.start_soon(refuse)
            with pytest.raises(cls, match=r"^So it is\.$") as caught:
                await session.send("Watch")
        assert isinstance(caught.value, also)
        assert (caught.value.kind, caught.value.text, caught.value.incident) == (kind, "So it is.", incident)


async def test_a_send_is_done_once_though_the_connection_was_lost(connected, scripted, nursery, autojump_clock):
    async with connected() as (session, line):
        answers = []

        async def send():
            answers.append(await session.send("Watch"))

        nursery.start_soon(send)
        assert (await line.receive())["number"] == 1
        await line.cut()
        line, first = await scripted.live(resumed=True, received=0)
        assert first["confirmed"] == 0
        assert (await line.receive())["number"] == 1
        await line.send(type="answer", number=1, value="ok")
        await trio.testing.wait_all_tasks_blocked()
        assert answers == ["ok"]


async def test_a_send_that_is_not_answered_gives_up_and_others_go_on(connected, scripted, nursery, autojump_clock):
    async with connected() as (session, line):
        began = trio.current_time()

        async def ping():
            while True:
                await trio.sleep(20)
                await line.socket.ping()

        async with trio.open_nursery() as inner:
            inner.start_soon(ping)
            with pytest.raises(trio.TooSlowError, match="no answer to Watch within 60 s; it may still be done"):
                await session.send("Watch")
            inner.cancel_scope.cancel()
        assert trio.current_time() - began == ANSWER
        await line.send(type="answer", number=1, value="late")  # nobody waits, and nobody minds
        await line.patch(0, ("replace", "/n", 1))
        await session.until(lambda data: data["n"] == 1)


async def test_a_cancelled_send_leaves_the_connection_whole(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        for _ in range(3):
            with trio.move_on_after(0.01):
                await session.send("Watch", {"text": "x" * 300_000})
        await line.patch(0, ("replace", "/n", 1))
        await session.until(lambda data: data["n"] == 1)
        assert [frame["number"] for frame in line.pending()] == [1, 2, 3]


async def test_too_many_sends_are_unsent(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        await line.cut()
        async with trio.open_nursery() as inner:
            for _ in range(64):
                inner.start_soon(session.send, "Watch")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(SendUnsent, match="64 sends") as caught:
                await session.send("Watch")
            assert caught.value.kind == "unsent"
            inner.cancel_scope.cancel()


async def test_an_edit_shows_at_once_and_is_done_by_the_server(connected, scripted, nursery, autojump_clock):
    async with connected(data={"notes": ["a"]}, editable=["/notes"]) as (session, line):
        changes = session.changes()
        await anext(changes)
        nursery.start_soon(session.insert, "/notes/-", "b")
        change = await anext(changes)
        assert (change.data, change.revision) == ({"notes": ["a", "b"]}, 0)
        sent = await line.receive()
        assert (sent["type"], sent["op"], sent["path"], sent["value"]) == ("edit", "insert", ["notes", 1], "b")
        nursery.start_soon(session.edit, "/notes/0", "A")
        nursery.start_soon(session.remove, "/notes/1")
        assert len([await line.receive(), await line.receive()]) == 2
        for number in (1, 2, 3):
            await line.send(type="edited", number=number, revision=1)
        await line.patch(0, ("replace", "/notes", ["A"]))
        await session.until(lambda data: session.revision == 1)
        assert session.data == {"notes": ["A"]}


async def test_an_edit_returns_with_what_the_app_made_of_it(connected, scripted, nursery, autojump_clock):
    async with connected(data={"name": ""}, editable=["/name"]) as (session, line):
        seen = []

        async def edit():
            await session.edit("/name", " Ann ")
            seen.append(session.data["name"])

        nursery.start_soon(edit)
        await line.receive()
        await line.send(type="edited", number=1, revision=1)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        await line.patch(0, ("replace", "/name", "Ann"))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == ["Ann"]


async def test_an_edit_that_was_done_returns_though_the_session_ends_before_its_patch(connected, scripted, nursery):
    async with connected(data={"name": ""}, editable=["/name"]) as (session, line):
        async with trio.open_nursery() as inner:
            inner.start_soon(session.edit, "/name", "Ann")
            await line.receive()
            await line.send(type="edited", number=1, revision=1)
            await line.close(4410, "destroyed")


async def test_an_edit_that_is_refused_is_undone(connected, scripted, autojump_clock):
    async with connected(data={"n": 0, "notes": []}, editable=["/notes"]) as (session, line):
        seen = []

        async def refuse():
            await line.receive()
            seen.append(session.data["n"])
            await line.send(type="error", number=1, kind="rejected", text="Only notes.", incident=None)

        async with trio.open_nursery() as inner:
            inner.start_soon(refuse)
            with pytest.raises(SendRejected, match="Only notes"):
                await session.edit("/n", 5)
        assert seen == [5]
        assert session.data["n"] == 0


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [("/gone/0", SendConflict, None), ("n", ValueError, "Pointer"), ("", ValueError, None)],
)
async def test_an_edit_that_fits_nowhere_is_refused_at_once(connected, scripted, autojump_clock, path, error, said):
    async with connected() as (session, line):
        with pytest.raises(error, match=said):
            await session.edit(path, 5)
        assert line.pending() == []
        assert session.data == {"n": 0}


async def test_what_may_be_edited_is_told(connected, scripted, autojump_clock):
    async with connected(editable=["/notes", "/poll/*/choice"]) as (session, line):
        for path, may in [
            ("/notes", True),
            ("/notes/0/text", True),
            ("/poll/5/choice", True),
            ("/poll/5", False),
            ("", False),
        ]:
            assert session.may_edit(path) is may
        assert not session.may_edit("/notes", "remove")
        await line.send(type="editable", patterns=[""])
        await line.patch(0, ("replace", "/n", 1))
        await session.until(lambda data: data["n"])
        assert session.may_edit("/n")
        assert session.editable == ("",)


async def test_leaving_may_be_asked_for_twice(connected, scripted, autojump_clock):
    async with connected() as (session, line):
        await session.aclose()
        await session.aclose()
        assert line.closed.code == 1000
        ended = await session.wait_ended()
        assert (ended.code, ended.reason) == (None, "This client has left.")
        with pytest.raises(SendUnsent, match="This client has left"):
            await session.edit("/n", 1)


WAITS = {
    "changes": lambda session: wait_for_second(session),
    "until": lambda session: session.until(lambda data: False),
    "send": lambda session: session.send("Watch"),
    "edit": lambda session: session.edit("/n", 1),
    "statuses": lambda session: wait_for_ended(session),
    "ended": lambda session: session.wait_ended(),
    "presence": lambda session: wait_for_presence(session),
}


async def wait_for_second(session):
    async for change in session.changes():
        assert change.is_first


async def wait_for_ended(session):
    async for _ in session.statuses():
        pass


async def wait_for_presence(session):
    async for _ in session.presence.watch():
        pass


@pytest.mark.parametrize("what", WAITS)
async def test_every_wait_is_safe_to_cancel(connected, scripted, autojump_clock, what):
    async with connected() as (session, line):
        for seconds in (0, 1):
            with trio.move_on_after(seconds) as scope:
                await WAITS[what](session)
            assert scope.cancelled_caught
        await line.patch(0, ("add", "/m", 1))
        await session.until(lambda data: data.get("m") == 1)
        assert session.status.state == "live"
        assert session._predicates == {}


async def test_a_restart_is_counted_and_what_was_sent_is_answered(connected, scripted, nursery, autojump_clock):
    async with connected() as (session, line):
        answers = []

        async def send():
            answers.append(await session.send("Watch"))

        nursery.start_soon(send)
        assert (await line.receive())["number"] == 1
        await line.send(type="snapshot", epoch="e-2", revision=5, data={"n": 7})
        await session.until(lambda data: data["n"] == 7)
        assert (session.restarts, session.revision) == (1, 5)
        await line.send(type="answer", number=1, value="ok")
        await trio.testing.wait_all_tasks_blocked()
        assert answers == ["ok"]

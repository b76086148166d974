import itertools
import json

import attrs
import pytest
import trio

from supervisor.actor.timers import TimerQueue
from supervisor.transport import presence
from supervisor.transport.presence import PERIOD, PresenceRoom, Watching


@attrs.frozen
class Somebody:
    id: str
    peer: str
    name: str | None = None
    metadata: dict = attrs.field(factory=dict)


class Watcher:
    """Notes what it is shown, and when; it may do something at each frame."""

    def __init__(self, *, then=lambda: None):
        self.shown = []
        self._then = then

    def show(self, frame):
        message = json.loads(frame[4 if frame[1] == 126 else 2 :])
        present = [peer["id"] for peer in message["present"]]
        self.shown.append((round(trio.current_time(), 3), message["complete"], present, message["left"]))
        self._then()

    def take(self):
        shown, self.shown = self.shown, []
        return shown


@pytest.fixture
async def timers(nursery):
    timers = TimerQueue()
    nursery.start_soon(timers.run)
    return timers


@pytest.fixture
def room(timers):
    return PresenceRoom("session", timers)


def put(room, connection, peer=None):
    room.put(Somebody(connection, peer or f"p-{connection}"))


def remove(room, connection, peer=None):
    room.remove(Somebody(connection, peer or f"p-{connection}"))


async def test_who_watches_is_told_all_at_once_and_then_what_changes_a_period_later(autojump_clock, room):
    put(room, "a")
    watcher = Watcher()
    room.watch(watcher)
    assert watcher.take() == [(0, True, ["p-a"], [])]
    await trio.sleep(10)
    put(room, "b")
    await trio.sleep(PERIOD / 2)
    put(room, "c")
    remove(room, "a")
    assert watcher.take() == []
    await trio.sleep(1)
    assert watcher.take() == [(10.05, False, ["p-b", "p-c"], ["p-a"])]


async def test_it_is_never_told_more_often_than_once_in_a_period(autojump_clock, room):
    watcher = Watcher()
    room.watch(watcher)
    watcher.take()
    for number in range(100):
        put(room, str(number))
        await trio.sleep(0.01)
    await trio.sleep(1)
    times = [at for at, *_ in watcher.shown]
    assert 18 <= len(times) <= 21
    assert all(later - earlier >= PERIOD - 0.001 for earlier, later in itertools.pairwise(times))
    assert sum(len(present) for _, _, present, _ in watcher.shown) == 100


async def test_a_crowd_of_watchers_is_told_more_seldom(autojump_clock, room, monkeypatch):
    """So that what all of them are told together is bounded, however many they are."""
    monkeypatch.setattr(presence, "CROWD", 2)
    watchers = [Watcher() for _ in range(10)]
    for watcher in watchers:
        room.watch(watcher)
    await trio.sleep(1)
    for watcher in watchers:
        watcher.take()
    for number in range(100):
        put(room, str(number))
        await trio.sleep(0.01)
    await trio.sleep(1)
    times = [at for at, *_ in watchers[0].shown]
    assert 3 <= len(times) <= 5
    assert all(later - earlier >= 5 * PERIOD for earlier, later in itertools.pairwise(times))
    assert watchers[-1].shown == watchers[0].shown


async def test_asking_again_and_again_is_answered_once_in_a_period(autojump_clock, room):
    watcher = Watcher()
    for number in range(100):
        put(room, str(number))
        room.watch(watcher)
        await trio.sleep(0.01)
    await trio.sleep(1)
    assert 18 <= len(watcher.shown) <= 21
    assert all(complete for _, complete, *_ in watcher.shown)


async def test_a_newcomer_is_told_all_and_the_others_what_changed(autojump_clock, room):
    early, late = Watcher(), Watcher()
    room.watch(early)
    early.take()
    await trio.sleep(1)
    put(room, "a")
    room.watch(late)
    assert early.take() == [(1, False, ["p-a"], [])]
    assert late.take() == [(1, True, ["p-a"], [])]
    remove(room, "a")
    await trio.sleep(1)
    assert early.take() == late.take() == [(1.05, False, [], ["p-a"])]


async def test_who_joins_and_leaves_around_a_newcomer_leaves_no_ghost(autojump_clock, room):
    """The race that one memory of what was told is for.

    1. a is told to everybody just now; b joins, and a newcomer asks: it must wait for the period.
    2. b leaves.
    3. The period is over: the newcomer is told all, without b.
    """
    early, late = Watcher(), Watcher()
    put(room, "a")
    room.watch(early)
    put(room, "b")
    room.watch(late)
    remove(room, "b")
    await trio.sleep(1)
    assert early.take() == [(0, True, ["p-a"], [])]
    assert late.take() == [(0.05, True, ["p-a"], [])]


async def test_without_watchers_there_is_no_timer_and_nothing_is_told(autojump_clock, room, timers):
    watcher = Watcher()
    put(room, "a")
    assert len(timers) == 0
    room.watch(watcher)
    watcher.take()
    put(room, "b")
    assert len(timers) == 1
    room.unwatch(watcher)
    room.unwatch(watcher)
    assert len(timers) == 0
    put(room, "c")
    await trio.sleep(1)
    assert watcher.shown == []
    assert repr(room) == "<PresenceRoom <Roster of the session: 3 there, unwatched>, 0 watch>"


async def test_one_of_two_may_stop_watching(autojump_clock, room):
    first, second = Watcher(), Watcher()
    room.watch(first)
    room.watch(second)
    room.unwatch(second)
    put(room, "a")
    await trio.sleep(1)
    assert len(first.shown) == 2
    assert second.shown == []


async def test_a_watcher_that_can_not_take_it_is_told_all_a_period_later(autojump_clock, room):
    """It asks anew from inside of `show`, as a connection does that drops its backlog."""
    lossy = Watcher(then=lambda: room.watch(lossy) if len(lossy.shown) < 4 else None)
    other = Watcher()
    room.watch(other)
    room.watch(lossy)
    await trio.sleep(1)
    put(room, "a")
    await trio.sleep(1)
    assert [complete for _, complete, *_ in lossy.shown] == [True, True, True, True, False]
    assert [at for at, *_ in lossy.shown] == [0.05, 0.1, 0.15, 0.2, 1.05]
    assert [complete for _, complete, *_ in other.shown] == [True, False]


async def test_one_encoding_is_for_all(autojump_clock, room):
    frames = []

    class Raw:
        def show(self, frame):
            frames.append(frame)

    for _ in range(3):
        room.watch(Raw())
    await trio.sleep(1)
    frames.clear()
    put(room, "a")
    await trio.sleep(1)
    assert len(frames) == 3
    assert frames[0] is frames[1] is frames[2]


async def test_it_finds_who_counts_for_a_client(autojump_clock, room):
    put(room, "a", "p")
    put(room, "b", "p")
    assert room.find("p").id == "b"
    assert room.find("q") is None


class Line:
    """A connection that may have no room."""

    def __init__(self):
        self.taken = []
        self.has_room = True

    def tell(self, frame):
        if self.has_room:
            message = json.loads(frame[4 if frame[1] == 126 else 2 :])
            self.taken.append((message["complete"], [peer["id"] for peer in message["present"]], message["left"]))
        return self.has_room


async def test_a_connection_without_room_is_told_all_once_it_has_room(autojump_clock, room, timers):
    line, other = Line(), Line()
    watching = Watching(line.tell, "session", room)
    watching.begin()
    Watching(other.tell, "session", room).begin()
    put(room, "a")
    await trio.sleep(1)
    line.has_room = False
    for id in "bcd":
        put(room, id)
        await trio.sleep(1)
    remove(room, "a")
    watching.drained()
    await trio.sleep(1)
    line.has_room = True
    watching.drained()
    watching.drained()
    await trio.sleep(1)
    assert line.taken == [(True, [], []), (False, ["p-a"], []), (True, ["p-b", "p-c", "p-d"], [])]
    assert len(other.taken) == 5
    put(room, "e")
    await trio.sleep(1)
    assert line.taken[3:] == [(False, ["p-e"], [])]
    watching.end()
    remove(room, "e")
    await trio.sleep(1)
    assert len(line.taken) == 4


async def test_the_last_watcher_without_room_leaves_the_room_unwatched(autojump_clock, room, timers):
    line = Line()
    watching = Watching(line.tell, "session", room)
    watching.begin()
    line.has_room = False
    put(room, "a")
    await trio.sleep(1)
    assert repr(room).endswith("unwatched>, 0 watch>")
    assert len(timers) == 0
    line.has_room = True
    watching.drained()
    assert line.taken[1:] == [(True, ["p-a"], [])]


async def test_where_presence_is_not_shared_nobody_is_there(autojump_clock):
    line = Line()
    line.has_room = False
    watching = Watching(line.tell, "application", None)
    watching.begin()
    line.has_room = True
    watching.drained()
    watching.drained()
    watching.end()
    assert line.taken == [(True, [], [])]

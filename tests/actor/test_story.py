"""The story of one actor: in order, and never beyond its bounds."""

import hypothesis
import pytest
from hypothesis import strategies as st

from supervisor.actor.story import MAX_TEXT, Stories, Story, StoryEntry, lines, told
from supervisor.instruments import Incident


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def story(clock):
    return Story("session 1a2b3c4d", 5, clock)


def shown(story):
    return [f"{entry.at:g} {entry}" for entry in story.entries]


def test_what_came_of_a_thing_stands_in_its_line(story):
    story.begin("message", "Quote('ACME')")
    story.then("revision 8: replace /prices/ACME")
    story.then("answered 3")
    assert shown(story) == ["0 message Quote('ACME')  → revision 8: replace /prices/ACME  → answered 3"]


def test_what_took_time_has_a_line_of_its_own(story, clock):
    story.begin("message", "Slow()")
    story.then("revision 1: add /a")
    clock.now = 5
    story.then("revision 2: add /b")
    story.then("answered 1")
    assert shown(story) == [
        "0 message Slow()  → revision 1: add /a",
        "5 message Slow()  → revision 2: add /b  → answered 1",
    ]


def test_so_has_what_came_after_something_else(story):
    story.begin("message", "Slow()")
    story.add("connection", "c1 attached")
    story.then("revision 1: add /a")
    assert [str(entry) for entry in story.entries] == [
        "message Slow()",
        "connection c1 attached",
        "message Slow()  → revision 1: add /a",
    ]


def test_the_end_of_a_thing_is_told_if_it_took_time_and_nothing_came_of_it(story, clock):
    story.begin("hook", "on_session_created")
    story.over()
    story.begin("message", "Slow()")
    clock.now = 5
    story.over()
    story.begin("message", "Slow()")
    clock.now = 10
    story.then("revision 1: add /a")
    story.over()
    assert shown(story) == [
        "0 hook on_session_created",
        "0 message Slow()",
        "5 message Slow()  → done",
        "5 message Slow()",
        "10 message Slow()  → revision 1: add /a",
    ]


def test_a_thing_that_took_no_time_has_no_end_though_something_else_came_between(story):
    story.begin("borrow", "by task poll")
    story.then("revision 2: add /a")
    story.add("connection", "1a2b3c4d reads slowly")
    story.over()
    assert [str(entry) for entry in story.entries] == [
        "borrow by task poll  → revision 2: add /a",
        "connection 1a2b3c4d reads slowly",
    ]


def test_what_came_of_a_thing_has_room_however_long_the_thing_is(story):
    story.begin("callback", "x" * 1_000)
    story.then("KeyError: 'ACME'")
    assert [entry.text for entry in story.entries] == [f"{'x' * 129}…  → KeyError: 'ACME'"]


def test_a_failure_of_what_is_in_hand_stands_in_its_line_and_of_others_for_itself(story):
    story.begin("message", "Quote('ACME')", "message Quote")
    story.failed("message Quote", "KeyError: 'ACME'")
    story.failed("background task poll", "OSError: gone")
    assert [str(entry) for entry in story.entries] == [
        "message Quote('ACME')  → KeyError: 'ACME'",
        "failure background task poll: OSError: gone",
    ]


def test_a_line_that_would_be_too_long_goes_on_in_the_next(story):
    story.begin("message", "x" * 100)
    story.then("y" * 100)
    story.then("KeyError: 'ACME'" + "z" * 30)
    first, second = story.entries
    assert first.text == f"{'x' * 100}  → {'y' * 100}"
    assert second.text == f"{'x' * 100}  → KeyError: 'ACME'{'z' * 30}"


def test_an_outcome_of_nothing_is_told_all_the_same(story):
    story.then("revision 1: add /a")
    assert [str(entry) for entry in story.entries] == ["then revision 1: add /a"]


def test_lines_have_times_since_a_moment_and_are_aligned():
    entries = [StoryEntry(at=at, kind="hook", text="h") for at in (3.0, 12.5, 1002.25)]
    assert lines(entries, since=2.0) == ["     1.000 s  hook h", "    10.500 s  hook h", "  1000.250 s  hook h"]
    assert lines([], since=0.0) == []


def test_an_incident_has_lines_that_say_how_long_before(story, clock):
    story.add("hook", "a")
    clock.now = 0.25
    story.add("hook", "b")
    assert story.until_now() == ("-0.250 s  hook a", "0.000 s  hook b")


def test_what_is_told_of_a_failure():
    incident = Incident(id="1a2b3c4d", application="a", session="s", what="w", error=KeyError("ACME"))
    assert told(incident) == "KeyError: 'ACME' (incident 1a2b3c4d)"
    incident = Incident(id="1a2b3c4d", application="a", session="s", what="w", error=KeyError("A"), decision="resumed")
    assert told(incident) == "KeyError: 'A' (incident 1a2b3c4d, resumed)"


def test_without_a_length_there_is_no_story():
    assert Stories().begin("session x") is None


def test_who_wants_to_know_hears_of_each_story(clock):
    begun = []
    stories = Stories(3, now=clock, on_begin=lambda id, story: begun.append((id, story)))
    story = stories.begin("session x", id="the id")
    assert begun == [("the id", story)]
    assert repr(story) == "<Story of session x, 0 of 0 entries>"


happenings = st.lists(
    st.tuples(
        st.sampled_from(["add", "begin", "then", "failed", "over", "wait"]),
        st.sampled_from(["message", "hook", "connection"]),
        st.text(max_size=3 * MAX_TEXT) | st.sampled_from(["a", "b"]),
    ),
    max_size=60,
)


@hypothesis.given(happenings, st.integers(1, 10))
def test_it_never_grows_beyond_its_bounds_and_is_in_order(happenings, length):
    clock = Clock()
    story = Story("s", length, clock)
    seen = []
    for number, (act, kind, text) in enumerate(happenings):
        text = f"{number} {text}"
        if act == "wait":
            clock.now += 1
        elif act == "over":
            story.over()
        elif act == "then":
            story.then(text)
        elif act == "begin":
            story.begin(kind, text, text)
        else:
            getattr(story, act)(kind, text)
        entries = story.entries
        assert len(entries) <= length
        assert all(len(str(entry)) <= MAX_TEXT and str(entry).isprintable() for entry in entries)
        times = [entry.at for entry in entries]
        assert times == sorted(times)
        assert all(time <= clock.now for time in times)
        # What was told before is still there, in its order, but for the last line, which may have become longer.
        kept = [id(entry) for entry in entries]
        earlier = [id(entry) for entry in seen[:-1]]
        assert [each for each in earlier if each in kept] == [each for each in kept if each in earlier]
        seen = list(entries)

import itertools

from hypothesis import given
from hypothesis import strategies as st

from supervisor.actor.waiting import Wait, WaitGraph, WaitStatistics, in_words

nodes = st.integers(0, 6)
several = st.lists(nodes, min_size=1, max_size=3)
waits = st.lists(st.tuples(several, several, st.booleans()), max_size=10)


def build(waits):
    """The graph after all waits began and some of them ended, and the edges of those that go on."""
    graph = WaitGraph()
    edges = set()
    ended = []
    for waiters, targets, ends in waits:
        wait = Wait(waiters, targets)
        graph.add(wait)
        if ends:
            ended.append(wait)
        else:
            edges |= {(waiter, target) for waiter in waiters for target in targets}
    for wait in ended:
        graph.remove(wait)
    return graph, edges


def reaches(edges, start, goal):
    """Whether `start` waits for `goal`, directly or through others: a plain search, forwards."""
    found, unseen = {start}, [start]
    while unseen:
        node = unseen.pop()
        if node == goal:
            return True
        for waiter, target in edges:
            if waiter == node and target not in found:
                found.add(target)
                unseen.append(target)
    return False


@given(waits, several, several)
def test_a_circle_is_found_exactly_if_there_is_one_and_it_is_a_real_one(waits, waiters, targets):
    graph, edges = build(waits)
    circle = graph.circle(waiters, targets)
    closes = any(reaches(edges, target, waiter) for target in targets for waiter in waiters)
    assert (circle is not None) == closes
    if circle is not None:
        assert circle[0] == circle[-1]
        assert circle[0] in waiters
        assert circle[1] in targets
        assert all(edge in edges for edge in itertools.pairwise(circle[1:]))


@given(waits, st.lists(nodes, max_size=3))
def test_in_circle_is_everybody_who_waits_for_the_waiters(waits, waiters):
    graph, edges = build(waits)
    expected = {node for node in range(7) if any(reaches(edges, node, waiter) for waiter in waiters)}
    assert set(graph.in_circle(waiters)) == expected


@given(waits)
def test_waits_that_ended_leave_nothing_behind(waits):
    graph, _ = build([(waiters, targets, True) for waiters, targets, _ in waits])
    assert len(graph) == 0
    assert graph._waits_for == {}


@given(waits)
def test_its_length_is_the_number_of_waits_that_go_on(waits):
    graph, _ = build(waits)
    assert len(graph) == sum(not ends for _, _, ends in waits)


def test_waiting_for_oneself_is_the_smallest_circle():
    assert WaitGraph().circle(["a"], ["a"]) == ("a", "a")


def test_a_wait_of_others_is_no_circle():
    graph = WaitGraph()
    graph.add(Wait(["a"], ["b"]))
    assert graph.circle(["c"], ["a"]) is None
    assert graph.circle(["a"], ["b"]) is None  # a second time, from another child task


def test_one_of_several_waits_of_a_handler_closes_the_circle():
    graph = WaitGraph()
    graph.add(Wait(["a"], ["b"]))
    graph.add(Wait(["a"], ["c"]))
    assert graph.circle(["c"], ["a"]) == ("c", "a", "c")


def test_equal_waits_are_told_apart():
    graph = WaitGraph()
    first, second = Wait(["a"], ["b"]), Wait(["a"], ["b"])
    graph.add(first)
    graph.add(second)
    graph.remove(first)
    assert graph.circle(["b"], ["a"]) == ("b", "a", "b")


def test_a_circle_reads_as_people_say_it():
    assert in_words(("session A", "session B", "session A")) == "session A → session B → session A"


def test_a_wait_that_holds_up_nobody_is_shown_and_closes_no_circle():
    graph = WaitGraph()
    graph.add(Wait([], ["b"], "ask() of b", "producer", 3.0, 33.0))
    assert graph.statistics({"b"}) == (
        WaitStatistics(waiters=(), task="producer", targets=("b",), doing="ask() of b", since=3.0, until=33.0),
    )
    assert graph.circle(["b"], ["a"]) is None


def test_those_that_concern_others_are_not_shown():
    graph = WaitGraph()
    graph.add(Wait(["a"], ["b"]))
    assert len(graph.statistics({"a"})) == len(graph.statistics({"b"})) == 1
    assert graph.statistics({"c"}) == ()


def test_a_wait_for_several_shows_those_that_are_left():
    graph, left = WaitGraph(), ["b", "c"]
    graph.add(Wait(["a"], ["b", "c"], left=lambda: left))
    left.remove("b")
    assert graph.statistics({"a"})[0].targets == ("c",)

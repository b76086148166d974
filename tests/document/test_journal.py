import pytest

from supervisor.document.journal import ABSENT, Journal, free, swap_items, swap_key, swap_root, swap_slice
from supervisor.document.observed_dict import ObservedDict
from supervisor.document.observed_list import ObservedList
from supervisor.document.values import check_and_copy


def made(value):
    journal = Journal(guard=lambda node: None, dict_type=ObservedDict, list_type=ObservedList)
    journal.root = check_and_copy(value, journal, 1)
    journal.keep()
    return journal, journal.root


def run(entry):
    swap, *arguments = entry
    return swap(*arguments)


@pytest.mark.parametrize(
    ("swap", "arguments"),
    [
        (swap_key, lambda root: (root, "z", ABSENT)),
        (swap_key, lambda root: (root, "a", 5)),
        (swap_key, lambda root: (root, "new", None)),
        (swap_items, lambda root: (root, {"z": 2, "a": root["a"]})),
        (swap_slice, lambda root: (root["l"], 1, 1, ())),
        (swap_slice, lambda root: (root["l"], 0, 3, (root["l"][1],))),
        (swap_slice, lambda root: (root["l"], 3, 0, (7, 8))),
        (swap_root, lambda root: (root._owner, check_and_copy({}, root._owner, 1))),
    ],
)
def test_each_swap_returns_the_one_that_swaps_back(swap, arguments):
    journal, root = made({"a": {}, "l": [0, {}, 2], "z": 1})
    inner, items, item = root["a"], root["l"], root["l"][1]

    def state():
        return journal.root is root, repr(root), inner._parent, items._parent, item._parent

    start = state()
    back = run((swap, *arguments(root)))
    changed = state()
    assert changed != start
    for _ in range(2):
        forth = run(back)
        assert state() == start
        assert root["a"] is inner
        assert root["l"][1] is item
        back = run(forth)
        assert state() == changed


def test_a_path_leads_only_to_what_was_not_told():
    journal, root = made({"a": [{"b/c": {}}, {}]})
    inner = root["a"][0]["b/c"]
    assert journal.path(root) == ""
    assert journal.path(inner) == journal.pointer(inner) == "/a/0/b~1c"
    root["a"].insert(0, None)
    assert journal.path(inner) == journal.pointer(inner) == "/a/1/b~1c"
    journal.tell_whole(root["a"])
    assert journal.path(inner) is None
    assert journal.path(root) == ""
    told = len(journal.operations)
    journal.tell_whole(inner)
    assert len(journal.operations) == told
    journal.keep()
    taken = root["a"].pop(1)
    assert journal.path(inner) is None
    assert journal.pointer(inner) == "/b~1c"
    journal.take_back()
    assert journal.path(inner) == "/a/1/b~1c"
    assert root["a"][1] is taken


def test_freeing_reaches_all_that_is_inside():
    _, root = made({"a": [{"b": {}}]})
    nodes = [root, root["a"], root["a"][0], root["a"][0]["b"]]
    free([root])
    assert all(node._owner is None and node._parent is None for node in nodes)

"""The iterator over changes: first what is there, then each change, and several as one for who is slow."""

import jsonpatch
import pytest
import trio

from supervisor.client.changes import Differences, Moment
from supervisor.client.newest import Newest


class Source:
    """Stands for a session."""

    def __init__(self, data):
        self.moment = Moment(data=data, revision=0, sessions=1)
        self.waited = 0

    def becomes(self, data, sessions=1):
        self.moment = Moment(data=data, revision=self.moment.revision + 1, sessions=sessions)

    def changes(self, path=""):
        return Newest(Differences(lambda: self.moment, path).take, self._wait)

    async def _wait(self):
        await trio.lowlevel.checkpoint()
        self.waited += 1
        raise EOFError


@pytest.fixture
def source():
    return Source({"a": 1, "b": {"c": [1, 2]}})


async def nothing_new(changes):
    with pytest.raises(EOFError):
        await anext(changes)


async def test_the_first_one_tells_what_is_there(source):
    change = await anext(source.changes())
    assert (change.is_first, change.is_new_session, change.revision) == (True, False, 0)
    assert change.value is change.data is source.moment.data
    assert change.before is None
    assert change.operations == [{"op": "replace", "path": "", "value": source.moment.data}]


async def test_each_further_one_tells_the_difference(source):
    changes = source.changes()
    before = (await anext(changes)).data
    source.becomes({"a": 2, "b": before["b"]})
    change = await anext(changes)
    assert (change.is_first, change.revision) == (False, 1)
    assert (change.before, change.value) == (before, {"a": 2, "b": {"c": [1, 2]}})
    assert change.operations == [{"op": "replace", "path": "/a", "value": 2}]
    assert change.paths == ["/a"]
    await nothing_new(changes)


async def test_who_is_slow_gets_several_as_one(source):
    changes = source.changes()
    before = (await anext(changes)).data
    source.becomes({"a": 2, "b": before["b"]})
    source.becomes({"a": 2, "b": {"c": [2]}})
    source.becomes({"b": {"c": [2]}})
    change = await anext(changes)
    assert change.revision == 3
    assert jsonpatch.apply_patch(before, change.operations) == {"b": {"c": [2]}}
    await nothing_new(changes)


async def test_a_revision_without_a_difference_is_told_all_the_same(source):
    changes = source.changes()
    await anext(changes)
    source.becomes({"a": 1, "b": {"c": [1, 2]}})
    change = await anext(changes)
    assert (change.revision, change.operations) == (1, [])


async def test_of_a_part_only_what_touches_it_is_told(source):
    changes = source.changes("/b/c/1")
    first = await anext(changes)
    assert (first.path, first.value) == ("/b/c/1", 2)
    assert first.operations == [{"op": "add", "path": "/b/c/1", "value": 2}]
    source.becomes({"a": 5, "b": {"c": [1, 2]}})
    await nothing_new(changes)
    source.becomes({"b": {"c": [1, True]}})
    change = await anext(changes)
    assert (change.revision, change.before, change.value) == (2, 2, True)
    assert change.operations == [{"op": "replace", "path": "/b/c/1", "value": True}]


async def test_a_part_may_come_and_go(source):
    changes = source.changes("/x")
    change = await anext(changes)
    assert (change.value, change.operations) == (None, [])
    source.becomes({"x": None})
    change = await anext(changes)
    assert (change.value, change.operations) == (None, [{"op": "add", "path": "/x", "value": None}])
    source.becomes({})
    change = await anext(changes)
    assert change.operations == [{"op": "remove", "path": "/x"}]
    source.becomes({"y": 1})
    await nothing_new(changes)


async def test_a_new_session_is_told_as_a_whole(source):
    changes, part = source.changes(), source.changes("/a")
    await anext(changes)
    await anext(part)
    source.becomes({"a": 1}, sessions=2)
    change = await anext(changes)
    assert (change.is_new_session, change.is_first, change.before) == (True, False, None)
    assert change.operations == [{"op": "replace", "path": "", "value": {"a": 1}}]
    assert (await anext(part)).is_new_session


async def test_two_iterators_do_not_share(source):
    one, other = source.changes(), source.changes()
    await anext(one)
    source.becomes({})
    assert not (await anext(one)).is_first
    assert (await anext(other)).is_first


def test_a_path_that_is_none_is_refused_at_once(source):
    with pytest.raises(ValueError, match="is not a JSON Pointer"):
        source.changes("a")

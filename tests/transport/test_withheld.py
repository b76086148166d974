import json

import pytest

from supervisor.transport.frames import payload_of, text_frame
from supervisor.transport.withheld import MAX_OPERATIONS, Withheld


def patch(base, path="/a", value=1):
    operation = {"op": "replace", "path": path, "value": value}
    message = {"type": "patch", "from": base, "to": base + 1, "operations": [operation]}
    return text_frame(json.dumps(message, separators=(",", ":")).encode())


def other(kind, **fields):
    return text_frame(json.dumps({"type": kind} | fields).encode())


def sent(withheld):
    """All that is sent, as "from-to" of patches and kinds of others; those in brackets are answers."""
    shown = []
    while (item := withheld.first()) is not None:
        message = json.loads(payload_of(item.frame))
        text = f"{message['from']}-{message['to']}" if message["type"] == "patch" else message["type"]
        shown.append(f"[{text}]" if item.is_answer else text)
        withheld.sent()
    assert withheld.size == 0
    return shown


@pytest.fixture
def withheld():
    """The first patch stands alone, since an `edited` for it may have been sent; here it is 0-1."""
    withheld = Withheld()
    withheld.show(patch(0))
    return withheld


def test_patches_are_merged_but_for_the_first(withheld):
    for base in range(1, 5):
        withheld.show(patch(base))
    assert sent(withheld) == ["0-1", "1-5"]


def test_answers_and_others_keep_their_places(withheld):
    withheld.show(patch(1))
    withheld.show(patch(2))
    withheld.answer(other("answer"))
    withheld.show(patch(3))
    withheld.show(other("editable"))
    withheld.show(patch(4))
    withheld.show(patch(5))
    assert sent(withheld) == ["0-1", "1-3", "[answer]", "3-4", "editable", "4-6"]


def test_a_patch_that_was_announced_stands_alone(withheld):
    withheld.show(patch(1))
    withheld.show(patch(2))
    withheld.announced()
    withheld.show(patch(3))
    withheld.show(patch(4))
    withheld.show(patch(5))
    assert sent(withheld) == ["0-1", "1-3", "3-4", "4-6"]


def test_a_patch_that_does_not_follow_begins_anew(withheld):
    withheld.show(patch(1))
    withheld.show(patch(5))
    withheld.show(patch(6))
    assert sent(withheld) == ["0-1", "1-2", "5-7"]


def test_what_cannot_be_merged_is_kept_as_it_came(withheld):
    withheld.show(text_frame(b'{"type":"patch","from":1,"to":2,"operations":"of another kind"}'))
    withheld.show(patch(2))
    assert sent(withheld) == ["0-1", "1-2", "2-3"]


def test_the_size_is_of_what_is_left_after_merging(withheld):
    for base in range(1, 1000):
        withheld.show(patch(base, value="x" * 100))
    assert withheld.size < 1000


def test_a_snapshot_stands_for_all_but_the_answers(withheld):
    withheld.answer(other("answer"))
    withheld.show(other("editable"))
    withheld.give_way([other("error")])
    assert withheld.awaits_snapshot
    withheld.show(patch(1))
    withheld.answer(other("answer"))
    assert sent(withheld) == ["[error]", "[answer]", "[answer]"]


def test_there_is_a_bound_of_operations():
    withheld = Withheld()
    for base in range(MAX_OPERATIONS):
        withheld.show(patch(base, f"/{base}"))
    assert not withheld.is_too_long
    withheld.show(patch(MAX_OPERATIONS, "/one/more"))
    assert withheld.is_too_long
    assert len(sent(withheld)) == 2
    assert not withheld.is_too_long

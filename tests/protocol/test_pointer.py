"""JSON Pointers: taken apart, put together, and what is an index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.protocol.pointer import index_of, join, split


def test_a_pointer_has_steps():
    assert split("") == ()
    assert split("/") == ("",)
    assert split("/a~1b/0/~01") == ("a/b", "0", "~1")


@pytest.mark.parametrize("text", ["a", "a/b", "/~", "/~2", "/a~"])
def test_what_is_no_pointer_is_refused(text):
    with pytest.raises(ValueError, match="is not a JSON Pointer such as /prices/ACME"):
        split(text)


@given(st.lists(st.text(max_size=3)))
def test_joined_steps_are_split_again(steps):
    pointer = ""
    for step in steps:
        pointer = join(pointer, step)
    assert split(pointer) == tuple(steps)


@pytest.mark.parametrize("step", ["", "-", "01", "-1", "+1", "1.0", "\u00b2", "9" * 5000])
def test_what_is_no_index_names_none(step):
    assert index_of(step, 10**20) is None


def test_an_index_is_before_the_end():
    assert [index_of(step, 2) for step in ("0", "1", "2")] == [0, 1, None]

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.document import pointer
from supervisor.errors import PatchError


@given(st.lists(st.text()))
def test_split_gives_back_what_was_joined(tokens):
    assert pointer.split(pointer.join(tokens)) == tokens


def test_tokens_are_escaped_and_indexes_written_as_numbers():
    assert pointer.join(["a/b", "m~n", 0, ""]) == "/a~1b/m~0n/0/"
    assert pointer.join([]) == ""


def test_an_escaped_tilde_before_a_one_is_no_slash():
    assert pointer.split("/~01") == ["~1"]


@pytest.mark.parametrize("wrong", ["a", "a/b", "/~", "/~2", "/a~/b", None, 7])
def test_what_is_no_pointer_is_a_patch_error(wrong):
    with pytest.raises(PatchError):
        pointer.split(wrong)

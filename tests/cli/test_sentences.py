"""What people are told of an exception that ends a command."""

import pytest

from supervisor.cli.sentences import sentences
from supervisor.errors import ApplicationError


def test_what_was_foreseen_is_a_sentence_on_one_line():
    assert sentences(ApplicationError("no app\n  there")) == ["no app there"]
    assert sentences(OSError("disk full")) == ["disk full"]


def test_each_of_a_group_is_one():
    inner = ExceptionGroup("inner", [OSError("two"), OSError("three")])
    assert sentences(ExceptionGroup("outer", [ApplicationError("one"), inner])) == ["one", "two", "three"]


@pytest.mark.parametrize("bug", [KeyError("x"), KeyboardInterrupt()])
def test_a_bug_has_none_though_it_came_with_others(bug):
    assert sentences(bug) == []
    assert sentences(BaseExceptionGroup("both", [OSError("disk full"), bug])) == []

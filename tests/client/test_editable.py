import pytest

from supervisor.client.editable import allows


@pytest.mark.parametrize(
    ("pattern", "path", "actions"),
    [
        ("/notes", "/notes", ["edit"]),
        ("/notes", "/notes/0", ["edit", "insert", "remove"]),
        ("/notes", "/note", []),
        ("/todo/*", "/todo/0", ["edit", "insert", "remove"]),
        ("/todo/*", "/todo", []),
        ("/poll/*/choice", "/poll/5/choice", ["edit"]),
        ("/poll/*/choice", "/poll/5", []),
        ("/a~1b", "/a~1b/*", ["edit", "insert", "remove"]),
        ("", "/n", ["edit", "insert", "remove"]),
    ],
)
def test_what_a_pattern_allows(pattern, path, actions):
    """As the server decides it, and the browser's client shows it."""
    assert [each for each in ("edit", "insert", "remove") if allows(["/other", pattern], path, each)] == actions


def test_there_are_no_other_actions():
    with pytest.raises(ValueError, match="an action must be 'edit', 'insert' or 'remove', not 'set'"):
        allows(["/notes"], "/notes", "set")


def test_what_is_no_place_is_refused():
    with pytest.raises(ValueError, match="JSON Pointer"):
        allows([], "notes", "edit")

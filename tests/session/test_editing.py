import sys

import attrs
import pytest

from supervisor.document.edit import EditOperation
from supervisor.document.json_document import JsonDocument
from supervisor.errors import InvalidValue, Rejected
from supervisor.session.connection import ConnectionContext
from supervisor.session.editing import EditConflict, EditRules
from supervisor.session.request import Request

SOMEBODY = ConnectionContext(id="1", request=Request())


class Session:
    def __init__(self, **allowed):
        self.told = []
        self.rules = EditRules(lambda: self.told.append(self.rules.patterns))
        self.data = {"notes": {"a": [1, 2]}, "todo": [{"text": "x"}, {"text": "y"}], "other": 1}

    def take(self, op, *keys, value="v", moved=None):
        """Take an edit whose place is `moved` as soon as it was asked for once."""
        places = iter([keys] if moved is None else [keys, moved])
        last = [keys]

        def place():
            last[0] = next(places, last[0])
            return last[0]

        edit = EditOperation(op=op, keys=keys, value=value)
        return self.rules.take(lambda: self.data, "doc", edit, SOMEBODY, place)


@pytest.mark.parametrize(
    ("pattern", "op", "keys", "allowed"),
    [
        ("/notes", "set", ("notes",), True),
        ("/notes", "remove", ("notes",), False),
        ("/notes", "set", ("notes", "a"), True),
        ("/notes", "insert", ("notes", "a", 0), True),
        ("/notes", "remove", ("notes", "a"), True),
        ("/notes", "set", ("other",), False),
        ("/notes/a", "set", ("notes",), False),
        ("/todo/*", "insert", ("todo", 0), True),
        ("/todo/*", "remove", ("todo", 1), True),
        ("/todo/*", "set", ("todo", 1, "text"), True),
        ("/todo/*", "set", ("todo",), False),
        ("/todo/*/text", "set", ("todo", 1, "text"), True),
        ("/todo/*/text", "remove", ("todo", 1, "text"), False),
        ("/todo/*/text", "set", ("todo", 1), False),
        ("/todo/1", "set", ("todo", 1), True),
        ("/todo/1", "remove", ("todo", 1), False),
        ("/*", "remove", ("other",), True),
        ("", "remove", ("other",), True),
    ],
)
def test_what_a_pattern_allows(pattern, op, keys, allowed):
    session = Session()
    session.rules.allow(pattern, None)
    if allowed:
        assert session.take(op, *keys) is None
    else:
        with pytest.raises(Rejected, match="can't be edited by clients"):
            session.take(op, *keys)


def test_nothing_is_allowed_at_first():
    session = Session()
    assert session.rules.patterns == ()
    with pytest.raises(Rejected):
        session.take("set", "other")


def test_clients_are_told_when_the_patterns_change_and_only_then():
    session = Session()
    session.rules.allow("/a", None)
    session.rules.allow("/b", None)
    session.rules.allow("/a", lambda doc, edit: None)
    session.rules.forbid("/b")
    assert session.told == [("/a",), ("/a", "/b"), ("/a",)]


def test_what_was_not_allowed_cannot_be_forbidden():
    session = Session()
    session.rules.allow("/a", None)
    with pytest.raises(ValueError, match=r"edits of '/b' were not allowed; clients may edit: /a"):
        session.rules.forbid("/b")
    session.rules.forbid("/a")
    with pytest.raises(ValueError, match="clients may edit: nothing"):
        session.rules.forbid("/a")


def test_a_pattern_is_a_pointer_and_its_function_callable():
    session = Session()
    with pytest.raises(ValueError, match="is a pattern such as /notes"):
        session.rules.allow("notes", None)
    for wrong in ("/watch/**", "/watch*", "/*.price/open"):
        with pytest.raises(
            ValueError, match=r"^'.+' is not a pattern of what .* one whole step and can't be part of '.+'; write "
        ):
            session.rules.allow(wrong, None)
    with pytest.raises(TypeError, match="must be callable, not 3"):
        session.rules.allow("/notes", 3)
    assert session.told == []


def test_the_function_sees_the_edit():
    session, seen = Session(), []
    session.rules.allow("/todo/*", lambda doc, edit: seen.append((doc, edit)))
    session.take("insert", "todo", 1, value={"text": "new"})
    [(doc, edit)] = seen
    assert doc == "doc"
    assert (edit.op, edit.path, edit.keys, edit.value) == ("insert", "/todo/1", ("todo", 1), {"text": "new"})
    assert edit.connection is SOMEBODY
    assert session.data["todo"][1] == {"text": "new"}


def test_the_longest_pattern_is_asked_and_of_equals_the_last():
    session, asked = Session(), []
    for pattern in ("/todo/*/text", "/todo", "/*/*/text", "/todo/1"):
        session.rules.allow(pattern, lambda doc, edit, pattern=pattern: asked.append(pattern))
    session.take("set", "todo", 1, "text")
    session.take("set", "todo", 0)
    session.take("set", "todo", 1)
    assert asked == ["/*/*/text", "/todo", "/todo/1"]


def test_the_function_can_put_in_another_value():
    session = Session()
    session.rules.allow("/other", lambda doc, edit: attrs.evolve(edit, value=edit.value.strip()))
    session.take("set", "other", value=" x ")
    assert session.data["other"] == "x"


@pytest.mark.parametrize(
    ("verdict", "got"),
    [
        (True, "bool"),
        ("x", "str"),
        (lambda edit: attrs.evolve(edit, op="remove"), "another op or place"),
        (lambda edit: attrs.evolve(edit, keys=("n",)), "another op or place"),
    ],
)
def test_the_function_can_return_nothing_else(verdict, got):
    """The text says what kind of thing it returned, since what is in it may be large, or nothing for a log."""
    session = Session()
    session.rules.allow("/other", lambda doc, edit: verdict(edit) if callable(verdict) else verdict)
    with pytest.raises(TypeError, match=rf"must return None or attrs\.evolve\(edit, value=…\); got {got}$"):
        session.take("set", "other")
    assert session.data["other"] == 1


def test_what_the_function_does_to_the_value_counts_only_if_it_is_returned():
    """The client shows what it has written: who carries its next edits over this one has to know."""
    session = Session()
    session.rules.allow("/other", lambda doc, edit: edit.value.append("scribbled"))
    value = ["a"]
    session.take("set", "other", value=value)
    assert session.data["other"] == value == ["a"]

    def returning(doc, edit):
        edit.value.append("scribbled")
        return edit

    session.rules.allow("/other", returning)
    session.take("set", "other", value=value)
    assert session.data["other"] == ["a", "scribbled"]
    assert value == ["a"]


def test_a_container_that_is_there_is_put_there_anew():
    """Else it would be no change, of which nobody is told; and the client shows another value."""
    document = JsonDocument()
    document.root["list"] = [["a"]]
    document.commit()
    session = Session()
    session.data = document.root
    session.rules.allow("/list", lambda doc, edit: attrs.evolve(edit, value=document.root["list"][0]))
    session.take("set", "list", 0, value=["b"])
    assert document.commit().encoded == b'[{"op":"replace","path":"/list/0","value":["a"]}]'


async def test_the_function_may_be_async():
    session = Session()

    async def judge(doc, edit):
        return attrs.evolve(edit, value=2)

    session.rules.allow("/other", judge)
    await session.take("set", "other")
    assert session.data["other"] == 2


def test_the_function_says_no():
    session = Session()

    def judge(doc, edit):
        raise Rejected("not now")

    session.rules.allow("/other", judge)
    with pytest.raises(Rejected, match="not now"):
        session.take("set", "other")


def test_an_edit_whose_place_has_gone_is_a_conflict_and_nobody_is_asked():
    session, asked = Session(), []
    session.rules.allow("", lambda doc, edit: asked.append(edit))
    edit = EditOperation(op="set", keys=("other",))
    with pytest.raises(EditConflict, match="changed meanwhile"):
        session.rules.take(lambda: session.data, "doc", edit, SOMEBODY, lambda: None)
    with pytest.raises(EditConflict):
        session.take("set", "todo", 7)
    assert asked == []


def test_an_edit_is_done_where_its_place_is_by_then():
    session = Session()
    session.rules.allow("/todo", lambda doc, edit: session.data["todo"].insert(0, "first"))
    session.take("remove", "todo", 1, moved=("todo", 2))
    assert session.data["todo"] == ["first", {"text": "x"}]


def test_what_the_document_does_not_take_is_rejected_with_its_reason():
    class Strict(dict):
        def __setitem__(self, key, value):
            raise InvalidValue("too big")

    session = Session()
    session.data = Strict(other=1)
    session.rules.allow("", None)
    with pytest.raises(Rejected, match="too big") as caught:
        session.take("set", "other")
    assert not isinstance(caught.value, EditConflict)


def test_what_is_nested_too_deeply_to_be_asked_about_is_rejected():
    session = Session()
    session.rules.allow("/other", lambda doc, edit: None)
    value = []
    for _ in range(sys.getrecursionlimit()):
        value = [value]
    with pytest.raises(Rejected, match="nested too deeply"):
        session.take("set", "other", value=value)


def test_a_refusal_does_not_repeat_all_that_a_client_has_written():
    """It is kept until the client confirms it, and the client is untrusted."""
    session = Session()
    with pytest.raises(Rejected, match=r"^/kkk.*kkk can't be edited by clients\.$") as caught:
        session.take("set", "k" * 100_000)
    assert len(str(caught.value)) < 600
    session.data = JsonDocument().root
    session.rules.allow("/other", None)
    with pytest.raises(Rejected, match=r"lone surrogate.*replace it$") as caught:
        session.take("set", "other", value={"k" * 100_000: "\ud800"})
    assert len(str(caught.value)) < 600


def test_rules_can_be_copied_and_restored_and_nobody_is_told():
    session = Session()
    session.rules.allow("/notes", None)
    copy = session.rules.copy()
    session.rules.allow("/other", None)
    session.rules.forbid("/notes")
    told = list(session.told)
    session.rules.restore(copy)
    session.rules.restore(copy)
    assert session.rules.patterns == copy.patterns == ("/notes",)
    copy.allow("/todo", None)
    assert session.rules.patterns == ("/notes",)
    assert session.told == told

"""What is found in an app, and what is surely wrong with it."""

import pytest

from supervisor.cli.inspection import inspect_apps

TYPES = """
    from __future__ import annotations

    import dataclasses
    import typing

    import attrs
    import msgspec

    from supervisor import receives

    @attrs.frozen
    class Attrs:
        number: int | None
        names: list[str] = attrs.field(factory=list)
        hidden: int = attrs.field(init=False, default=0)

    @dataclasses.dataclass
    class Data:
        any: typing.Any
        when: Missing

    class Struct(msgspec.Struct, forbid_unknown_fields=True):
        by_name: dict[str, float]

    class Plain:
        pass

    @receives(Attrs)
    @receives(Data)
    @receives(Struct, from_client=True)
    @receives(Plain)
    def on_each(doc, message): ...
"""


@pytest.fixture
def inspect(tmp_path, monkeypatch, write_files):
    """Inspect `app.py` of this text."""
    monkeypatch.chdir(tmp_path)

    def call(text, name="app.py"):
        write_files(tmp_path, {name: text})
        (finding,) = inspect_apps([name])
        return finding

    return call


def test_fields_are_told_with_their_types_whatever_kind_of_class_it_is(inspect):
    found = {message.name: message.fields for message in inspect(TYPES).messages}
    assert found == {
        "Attrs": {"number": "int | None", "names": "list[str]"},
        "Data": {"any": "typing.Any", "when": "Missing"},  # as they are written, since one of them isn't there
        "Struct": {"by_name": "dict[str, float]"},
        "Plain": {},
    }


def test_every_hook_is_told_by_our_name(inspect):
    text = "\n".join(
        f"def {name}({arguments}): ..."
        for name, arguments in {
            "on_server_loaded": "a",
            "on_session_created": "s",
            "on_connection_opened": "s, c",
            "choose_session_id": "r",
            "modify_document": "d",
        }.items()
    )
    assert {hook.name: hook.where for hook in inspect(text).hooks} == {
        "on_application_load": "app.py, line 1",
        "on_session_created": "app.py, line 2",
        "on_connection_opened": "app.py, line 3",
        "choose_session_id": "app.py, line 4",
        "modify_document": "app.py, line 5",
    }


def test_each_type_that_clients_cannot_send_is_an_error(inspect):
    text = """
        import attrs
        from supervisor import receives

        class First: ...

        @attrs.frozen
        class Second:
            value: object()

        @receives(First, from_client=True)
        @receives(Second, from_client=True)
        def on_each(doc, message): ...
    """
    second, first = inspect(text).errors
    assert "application 'app': " in first
    assert "First" in first
    assert "Second" in second


def test_what_cannot_be_loaded_is_told_with_its_place_from_here(inspect):
    text = "from supervisor import receives\nclass A: ...\n@receives(A)\ndef on_a(doc): ...\n"
    (error,) = inspect(text).errors
    assert error == "app.py, line 3: on_a(doc) must take two arguments; write `def on_a(doc, message): ...`"


def test_a_function_that_cannot_be_looked_into_is_nothing_to_be_sure_of(inspect):
    text = """
        from supervisor import receives

        class A: ...

        class F:
            __signature__ = 3
            def __call__(self, doc, message): ...

        handler = receives(A)(F())
    """
    finding = inspect(text)
    assert finding.warnings == []
    assert finding.messages[0].where.startswith("<")


def test_an_empty_directory_of_an_app_has_nothing_in_it(tmp_path, write_files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "app", {"main.py": ""})
    (finding,) = inspect_apps(["app"])
    assert finding.errors == []
    assert finding.warnings == ["app has nothing in it: no modify_document(doc), no @receives handler and no hook"]


def test_what_is_wrong_with_a_template_is_told_from_here(tmp_path, write_files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "app", {"main.py": "def modify_document(doc): ..."})
    write_files(tmp_path / "app" / "templates", {"index.html": "{% if %}"})
    (finding,) = inspect_apps(["app"])
    assert finding.errors[0].startswith("app/templates/index.html, line 1: ")


def test_two_apps_of_one_name_cannot_be_served_together(tmp_path, write_files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, {"app.py": "def modify_document(doc): ..."})
    write_files(tmp_path / "app", {"main.py": "def modify_document(doc): ..."})
    first, second = inspect_apps(["app.py", "app"])
    assert first.errors == []
    assert second.errors == ["two applications are named 'app'; rename one of them"]


def test_a_function_that_is_wrapped_in_a_circle_has_no_place(inspect):
    (hook,) = inspect("def modify_document(doc): ...\nmodify_document.__wrapped__ = modify_document\n").hooks
    assert hook.where.startswith("<function modify_document")

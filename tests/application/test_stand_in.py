import sys

import pytest

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.application.loading import PRIVATE
from supervisor.application.stand_in import load_all
from supervisor.errors import ApplicationError


@pytest.fixture(autouse=True)
def _forget_modules():
    yield
    for name in [name for name in sys.modules if name.startswith((PRIVATE, "stand_in_"))]:
        del sys.modules[name]


def good():
    return Application(NamespaceHandler({"modify_document": lambda doc: None}, where="good"), name="good")


def accept(application):
    """All can be served."""


def load_beside_a_good_one(app, check=accept):
    first, second = load_all([good(), app], check)
    assert (first.name, first.load_error) == ("good", None)
    assert isinstance(second.load_error, ApplicationError)
    return second


def test_apps_that_can_be_loaded_are_what_they_are(tmp_path):
    (tmp_path / "app.py").write_text("def modify_document(doc): ...\n")
    one = good()
    found, loaded = load_all([one, tmp_path / "app.py"], accept)
    assert found is one
    assert (loaded.name, loaded.load_error) == ("app", None)


def test_a_broken_file_is_there_by_its_name_and_source(tmp_path):
    (tmp_path / "chat.py").write_text("def f(:\n")
    stand_in = load_beside_a_good_one(tmp_path / "chat.py")
    assert (stand_in.name, stand_in.source.file, stand_in.source.root) == ("chat", tmp_path / "chat.py", tmp_path)
    assert (stand_in.source.app, stand_in.source.name) == (str(tmp_path / "chat.py"), "chat")
    assert stand_in.directory is None
    assert "syntax error" in str(stand_in.load_error)


def test_a_broken_directory_keeps_its_place_for_pages(tmp_path):
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "main.py").write_text("1 / 0\n")
    stand_in = load_beside_a_good_one(tmp_path / "board")
    assert (stand_in.name, stand_in.source.root, stand_in.source.file) == ("board", tmp_path / "board", None)
    assert stand_in.directory == tmp_path / "board"


def test_what_is_not_there_is_named_as_it_would_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for app, name in [
        ("no_such_module_of_ours", "no_such_module_of_ours"),
        ("a.b:serve_me", "serve_me"),
        ("x.py", "x"),
        (":app", "app"),
    ]:
        assert load_beside_a_good_one(app).name == name


@pytest.mark.parametrize(
    ("app", "file"), [("stand_in_file:app", "stand_in_file.py"), ("stand_in_package.app", "stand_in_package")]
)
def test_a_broken_module_is_found_without_executing_it_again(tmp_path, monkeypatch, app, file):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stand_in_file.py").write_text("1 / 0\n")
    (tmp_path / "stand_in_package").mkdir()
    (tmp_path / "stand_in_package" / "__init__.py").write_text("")
    (tmp_path / "stand_in_package" / "app.py").write_text("1 / 0\n")
    source = load_beside_a_good_one(app).source
    assert (source.app, source.name) == (app, "app")
    assert (source.file or source.root) == tmp_path / file


def test_a_name_that_cannot_be_in_an_address_becomes_one_that_can(tmp_path):
    (tmp_path / "-my app!.py").write_text("def modify_document(doc): ...\n")
    stand_in = load_beside_a_good_one(tmp_path / "-my app!.py")
    assert (stand_in.name, "rename it" in str(stand_in.load_error)) == ("my-app-", True)


def test_one_that_the_server_cannot_serve_is_as_one_that_cannot_be_loaded():
    def check(application):
        if application is refused:
            raise ApplicationError("no such field")

    refused = Application(NamespaceHandler({"modify_document": lambda doc: None}, where="refused"), name="refused")
    stand_in = load_beside_a_good_one(refused, check)
    assert (stand_in.name, stand_in.source, str(stand_in.load_error)) == ("refused", None, "no such field")


def test_where_none_can_be_loaded_the_error_says_why(tmp_path):
    with pytest.raises(ApplicationError, match=r"^there is no app at x\.py: the file doesn't exist$"):
        load_all(["x.py"], accept)
    with pytest.raises(ApplicationError, match=r"^no application can be served: there is no app at x\.py: .*; ther"):
        load_all(["x.py", "y.py"], accept)
    assert load_all([], accept) == []

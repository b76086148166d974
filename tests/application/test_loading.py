"""Loading apps from directories, scripts, modules and functions."""

import pathlib
import sys
import textwrap

import pytest

from supervisor.application.handlers import Application
from supervisor.application.loading import load_application, load_directory
from supervisor.errors import ApplicationError

EXECUTED = "import sys; sys.modules['_test_executions'].append(__name__)\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of an app; returns its path. What is loaded is forgotten after the test."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name, text=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def executions(monkeypatch):
    """The names of modules in the order in which they were executed."""
    executed = []
    monkeypatch.setitem(sys.modules, "_test_executions", executed)
    return executed


def short(executed):
    return [name.rpartition(".")[2] for name in executed]


MAIN = """
    from supervisor.session.receivers import receives

    class Quote:
        pass

    def modify_document(doc):
        doc.data["built by"] = {name!r}

    @receives(Quote)
    def on_quote(doc, quote):
        return {name!r}
"""


async def test_a_directory_is_a_package_of_hooks_and_main_each_executed_once(
    write, executions, run_app, autojump_clock
):
    main = write("ticker/main.py", EXECUTED + textwrap.dedent(MAIN.format(name="ticker")) + "from . import feed\n")
    write("ticker/feed.py", EXECUTED + "from .main import Quote\n")
    write(
        "ticker/lifecycle.py",
        EXECUTED
        + textwrap.dedent(
            """
            from .main import Quote
            from .feed import Quote as same
            from . import main
            assert same is Quote is main.Quote

            async def on_session_created(session_context):
                session_context.document.data["hook"] = session_context.id
            """
        ),
    )
    application = load_application("ticker")
    assert application.name == "ticker"
    assert sorted(short(executions)) == ["feed", "lifecycle", "main"]
    assert application.directory == main.parent
    (quote,) = application.receivers.by_type
    async with run_app(application) as app:
        session = await app.open()
        assert await session.ask(quote()) == "ticker"
        async with session.locked_document() as doc:
            assert doc.data == {"hook": "s1", "built by": "ticker"}


def test_two_apps_may_have_files_of_equal_names(write):
    for name in ("one", "two"):
        write(f"{name}/main.py", MAIN.format(name=name))
        write(f"{name}/helper.py", f"value = {name!r}")
        write(f"{name}/lifecycle.py", "from .helper import value\ndef on_session_created(context): return value")
    one, two = load_application("one"), load_application("two/")
    assert (one.name, two.name) == ("one", "two")
    assert [app.handlers[0].on_session_created(None) for app in (one, two)] == ["one", "two"]
    assert set(one.receivers.by_type).isdisjoint(two.receivers.by_type)
    again = load_application("one", name="again")
    assert again.name == "again"
    assert set(one.receivers.by_type).isdisjoint(again.receivers.by_type)


@pytest.mark.parametrize("file", ["lifecycle.py", "app_hooks.py", "server_lifecycle.py"])
def test_hooks_may_be_in_any_of_three_files_without_a_main(write, file):
    write(f"app/{file}", "def on_server_loaded(context): return 'loaded'")
    (handler,) = load_application("app").handlers
    assert handler.on_application_load(None) == "loaded"


def test_two_of_them_are_an_error_that_names_both(write):
    write("app/lifecycle.py")
    write("app/app_hooks.py")
    write("app/main.py", MAIN.format(name="app"))
    with pytest.raises(ApplicationError, match=r"app has lifecycle\.py and app_hooks\.py, .*; keep one of them"):
        load_application("app")


def test_a_directory_may_have_an_init_of_its_own(write, executions):
    write("app/__init__.py", EXECUTED + "value = 5")
    write("app/main.py", "from . import value\ndef modify_document(doc): return value")
    application = load_application("app")
    assert application.handlers[0].modify_document(None) == 5
    assert len(executions) == 1


def test_a_hook_that_main_imports_from_the_hooks_file_is_one_hook(write):
    write("app/lifecycle.py", "def on_session_created(context): return 'once'")
    write("app/main.py", "from .lifecycle import on_session_created\ndef modify_document(doc): ...")
    hooks, main = load_application("app").handlers
    assert (hooks.on_session_created(None), main.on_session_created(None)) == ("once", None)


def test_main_may_have_hooks_of_its_own(write):
    write("app/lifecycle.py", "def on_session_created(context): return 'hooks'")
    write("app/main.py", "def on_session_created(context): return 'main'")
    assert [handler.on_session_created(None) for handler in load_application("app").handlers] == ["hooks", "main"]


def test_a_near_miss_is_warned_of_with_its_file(write):
    path = write("app/lifecycle.py", "def on_sesion_created(context): ...")
    (warning,) = load_application("app").warnings
    assert f"{path.relative_to(pathlib.Path.cwd())}: on_sesion_created is not a hook" in warning


def test_a_script_is_executed_once_and_named_after_its_file(write, executions):
    path = write("quotes.py", EXECUTED + textwrap.dedent(MAIN.format(name="quotes")))
    application = load_application(str(path))
    assert application.name == "quotes"
    assert len(executions) == 1
    assert application.directory is None
    (quote,) = application.receivers.by_type
    assert sys.modules[quote.__module__].Quote is quote  # it can be found again, as pickling and dataclasses do


def test_a_module_of_the_current_directory_is_found(write, executions):
    write("my_package/__init__.py")
    write("my_package/quotes.py", EXECUTED + "import sibling_of_mine\n" + textwrap.dedent(MAIN.format(name="quotes")))
    write("sibling_of_mine.py")
    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(pathlib.Path.cwd()))]
    application = load_application("my_package.quotes")
    assert application.name == "quotes"
    assert executions == ["my_package.quotes"]
    load_application("my_package.quotes")
    assert executions == ["my_package.quotes"]


def test_a_function_of_a_module(write):
    write("my_module.py", MAIN.format(name="x") + "\n    def build(doc):\n        return 'built'\n")
    application = load_application("my_module:build")
    assert application.name == "build"
    assert application.handlers[0].modify_document(None) == "built"
    assert len(application.receivers.by_type) == 1
    assert load_application("my_module:build", name="other").name == "other"


def test_an_application_of_a_module(write):
    write("my_apps.py", "from supervisor.application.handlers import Application\nthe_app = Application([], name='n')")
    application = load_application("my_apps:the_app")
    assert isinstance(application, Application)
    assert application.name == "n"


def test_what_the_function_must_be(write):
    write("my_module.py", "number = 5\ndef wrong(): ...")
    with pytest.raises(ApplicationError, match="there is no app at my_module:missing: the module has no missing"):
        load_application("my_module:missing")
    with pytest.raises(ApplicationError, match="my_module: modify_document is not a function"):
        load_application("my_module:number")
    with pytest.raises(ApplicationError, match=r"my_module, line \d+: wrong\(\) must take one argument"):
        load_application("my_module:wrong")


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("nothing.py", "the file doesn't exist"),
        ("some/where/nothing.py", "the file doesn't exist"),
        ("no_such_module_at_all", "neither a directory nor a module of that name"),
        ("no_such_module.at_all:func", "neither a directory nor a module of that name"),
        ("json.no_such_part", "neither a directory nor a module of that name"),
        ("some/where", "give a directory, a file x.py, a module, or module:function"),
        ("a-b", "give a directory, a file x.py, a module, or module:function"),
        ("", "it has neither main.py nor lifecycle.py"),
        ("__main__", "neither a directory nor a module of that name"),
    ],
)
def test_an_app_that_is_not_there(write, app, why, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    path = list(sys.path)
    with pytest.raises(ApplicationError) as raised:
        load_application(app)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sys.path == path


def test_a_directory_without_an_app(write):
    write("app/other.py")
    with pytest.raises(ApplicationError, match=r"there is no app in .*app: it has neither main.py nor lifecycle.py"):
        load_directory(pathlib.Path("app"))


def test_a_script_without_an_app(write):
    path = write("empty.py", "x = 1")
    with pytest.raises(ApplicationError, match=r"there is no app in .*empty.py: it has no modify_document\(doc\)"):
        load_application(str(path))
    with pytest.raises(ApplicationError, match=r"there is no app in empty: it has no modify_document\(doc\)"):
        load_application("empty")


def test_a_file_that_is_no_python(write):
    path = write("notes.txt")
    with pytest.raises(ApplicationError, match=r"notes\.txt is not a Python file; an app's script ends with \.py"):
        load_application(str(path))


SYNTAX = "x = 1\ndef modify_document(doc:\n    pass\n"


@pytest.mark.parametrize("app", ["app", "app/main.py", "app.main", "app.main:modify_document"])
def test_a_syntax_error_names_file_and_line(write, app):
    path = write("app/main.py", SYNTAX)
    with pytest.raises(ApplicationError) as raised:
        load_application(app)
    assert str(raised.value) == f"{path}, line 2: syntax error: '(' was never closed"


def test_a_syntax_error_in_what_the_app_imports(write):
    write("app/main.py", "from . import helper")
    path = write("app/helper.py", "\n\nx = = 1")
    with pytest.raises(ApplicationError) as raised:
        load_application("app")
    assert str(raised.value) == f"{path}, line 3: syntax error: invalid syntax"


def test_a_syntax_error_in_a_packages_init(write):
    path = write("app/__init__.py", "x = = 1")
    write("app/main.py", MAIN.format(name="x"))
    for app in ("app", "app.main"):
        with pytest.raises(ApplicationError, match="line 1: syntax error: invalid syntax") as raised:
            load_application(app)
        assert str(path) in str(raised.value)


def test_a_syntax_error_without_a_line(write):
    write("app/main.py", "raise SyntaxError('odd')")
    with pytest.raises(ApplicationError, match=r"main\.py: syntax error: odd"):
        load_application("app")


@pytest.mark.parametrize("app", ["app", "app/main.py", "app.main"])
@pytest.mark.parametrize("error", ["ValueError", "SystemExit"])
def test_an_app_that_raises_while_it_is_loaded(write, app, error):
    path = write("app/main.py", f"x = 1\nraise {error}('mine')\n")
    with pytest.raises(ApplicationError) as raised:
        load_application(app)
    assert str(raised.value) == f"{path}, line 2: {error} while the app was loaded: mine"


def test_an_exception_whose_text_raises_is_told_all_the_same(write):
    write("app.py", "class Nasty(Exception):\n    def __str__(self):\n        raise ValueError\nraise Nasty")
    with pytest.raises(ApplicationError, match=r"app.py, line 4: Nasty while the app was loaded: \(its str\(\) raised"):
        load_application("app.py")


def test_the_line_is_the_apps_own(write):
    path = write("app/main.py", "import json\njson.loads('{')\n")
    with pytest.raises(ApplicationError, match=f"{path}, line 2: JSONDecodeError while the app was loaded"):
        load_application("app")


def test_the_line_is_where_it_failed_however_deep_in_the_app_that_is(write):
    write("app/main.py", "from .rates.today import EUR\n")
    path = write("app/rates/today.py", "EUR = 1 / 0\n")
    with pytest.raises(ApplicationError, match=f"^{path}, line 1: ZeroDivisionError while the app was loaded"):
        load_application("app")


def test_an_apps_modules_have_the_names_that_their_author_knows(write):
    write("app/main.py", "from .rates import EUR\n")
    with pytest.raises(ApplicationError, match=r"No module named 'app\.rates'$"):
        load_application("app")


def test_an_import_of_what_is_not_there_is_not_a_missing_app(write):
    write("my_package/__init__.py", "import not_installed_at_all")
    write("my_package/main.py", MAIN.format(name="x"))
    for app in ("my_package.main", "my_package.main:modify_document"):
        with pytest.raises(ApplicationError, match="ModuleNotFoundError while the app was loaded: No module named"):
            load_application(app)


def test_an_application_error_of_the_apps_own_stays_as_it_is(write):
    write("app/main.py", "from supervisor.errors import ApplicationError\nraise ApplicationError('one sentence')")
    with pytest.raises(ApplicationError, match=r"^one sentence$"):
        load_application("app")


def test_an_error_whose_line_is_in_nobodys_file(write):
    write("app/main.py", "exec('raise ValueError(1)')")
    with pytest.raises(ApplicationError, match=r"main\.py, line 1: ValueError while"):
        load_application("app")
    write("broken.py", "x = 1\0")
    with pytest.raises(ApplicationError, match=r"broken"):
        load_application("broken.py")


def test_duplicate_receivers_are_named(write):
    write("app/main.py", MAIN.format(name="x") + "\n    @receives(Quote)\n    def again(doc, quote): ...\n")
    with pytest.raises(ApplicationError, match=r"two functions receive Quote: on_quote \(line .* and again \(line"):
        load_application("app")


@pytest.mark.parametrize("mark", ["@receives(Query, thread=True)", "@in_thread"])
def test_an_async_function_that_is_to_run_in_a_thread_is_refused(write, mark):
    app = write(
        "app.py",
        f"""\
        from supervisor import in_thread, receives
        class Query: ...
        {mark}
        async def on_query(doc, query): ...
        def modify_document(doc): ...
        """,
    )
    with pytest.raises(ApplicationError, match="a worker thread calls plain functions, but on_query is async; write"):
        load_application(str(app))


def test_a_hook_with_a_wrong_signature(write):
    path = write("app/lifecycle.py", "def on_session_created(): ...")
    with pytest.raises(ApplicationError) as raised:
        load_application("app")
    assert f"{path.relative_to(pathlib.Path.cwd())}, line 1: on_session_created() must take one argument" in str(
        raised.value
    )


@pytest.mark.parametrize("name", ["a b", "-a", "ü", "a/b", ""])
def test_a_name_that_cannot_stand_in_an_address(write, name):
    write("app/main.py", MAIN.format(name="x"))
    write("a b/main.py", MAIN.format(name="x"))
    with pytest.raises(ApplicationError, match="name may have only letters, digits and"):
        load_application("app", name=name) if name else load_application("a b")

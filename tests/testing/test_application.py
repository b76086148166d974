"""What a test names is an application."""

import pytest

from supervisor.application.handlers import Application, FunctionHandler
from supervisor.errors import ApplicationError
from supervisor.session.receivers import receives
from supervisor.testing.application import application_of, messages_of


def modify_document(doc):
    pass


def test_a_function_a_handler_and_an_application():
    assert application_of(modify_document).name == "modify_document"
    handler = FunctionHandler(modify_document)
    assert application_of(handler).handlers == (handler,)
    application = Application(handler, name="x")
    assert application_of(application) is application


def test_a_path(tmp_path):
    file = tmp_path / "clock.py"
    file.write_text("def modify_document(doc): pass")
    assert application_of(file).name == "clock"
    assert application_of(str(file)).name == "clock"
    with pytest.raises(ApplicationError):
        application_of(tmp_path / "nothing")


@pytest.mark.parametrize("app", ["no_such_app", "no/such/app", "no_such.py"])
def test_a_path_that_is_not_there_says_from_where_it_counts(app, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ApplicationError, match="there is no app at") as caught:
        application_of(app)
    assert caught.value.__notes__ == [
        f"paths count from {tmp_path}, where the tests were started; "
        "Path(__file__).parent / … counts from the test's own file"
    ]
    with pytest.raises(ApplicationError) as caught:
        application_of(tmp_path / app)
    assert not hasattr(caught.value, "__notes__")


def test_what_names_no_app_is_refused():
    with pytest.raises(TypeError, match=r"an app must be a path, .* not 42"):
        application_of(42)


def test_a_message_that_the_app_does_not_handle_is_told_with_those_that_it_does():
    class Quote:
        pass

    @receives(Quote)
    def on_quote(doc, quote):
        pass

    messages = messages_of(application_of(FunctionHandler(modify_document, receivers=[on_quote])))
    assert messages.Quote is Quote
    with pytest.raises(AttributeError, match="the app handles no message 'Qoute'; it handles Quote"):
        _ = messages.Qoute

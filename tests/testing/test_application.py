"""What a test names is an application."""

import pytest

from supervisor.application.handlers import Application, FunctionHandler
from supervisor.errors import ApplicationError
from supervisor.testing.application import application_of


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

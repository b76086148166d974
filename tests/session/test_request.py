import attrs
import pytest

from supervisor.session.connection import ConnectionContext
from supervisor.session.request import Request


def test_a_request_is_read_only():
    request = Request(path="/ticker")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.path = "/other"
    for mapping in (request.headers, request.cookies, request.arguments):
        with pytest.raises(TypeError):
            mapping["name"] = "value"


def test_logs_show_nothing_of_a_request_that_lets_somebody_in():
    """Cookies and headers hold credentials, and the query may have a session's id."""
    request = Request(headers={"authorization": "x1"}, cookies={"a": "x2"}, arguments={"session": ("x3",)}, path="/app")
    shown = repr(ConnectionContext(id="1", request=request))
    assert "/app" in shown
    assert not any(secret in shown for secret in ("x1", "x2", "x3"))


async def test_hooks_see_the_request_that_created_the_session(run_app, autojump_clock):
    seen = []

    def on_session_created(session_context):
        seen.append(session_context.request)

    async with run_app(locals()) as app:
        session = await app.open(headers={"user-agent": "x"}, arguments={"a": ("1", "2")}, remote_address="10.0.0.1")
        assert seen == [session.request]
        assert session.request.headers["user-agent"] == "x"
        assert session.request.arguments["a"] == ("1", "2")
        assert (session.request.remote_address, session.request.cookies) == ("10.0.0.1", {})

from __future__ import annotations

import json

import pytest

from supervisor.errors import ProtocolError
from supervisor.protocol.messages import Attach, Resume, Send
from supervisor.protocol.server import ServerConnection, State

ATTACH = '{"type":"attach","token":"t"}'
RESUME = '{"type":"resume","session":"s","key":"k","client":"c","epoch":"e","revision":1,"confirmed":0}'
SEND = '{"type":"send","number":1,"name":"Watch","fields":{"a":1},"confirmed":0}'


@pytest.mark.parametrize(("frame", "kind"), [(ATTACH, Attach), (RESUME, Resume)])
def test_sends_follow_a_first_frame(frame, kind):
    connection = ServerConnection()
    assert connection.state is State.NEW
    assert isinstance(connection.receive(frame), kind)
    assert connection.state is State.ATTACHED
    for _ in range(2):
        message = connection.receive(SEND)
        assert isinstance(message, Send)
        assert bytes(message.fields) == b'{"a":1}'


@pytest.mark.parametrize(
    "frames",
    [(SEND,), (ATTACH, ATTACH), (ATTACH, RESUME), (RESUME, ATTACH), ("{}",), (ATTACH, b"\0"), (ATTACH, "")],
)
def test_any_other_frame_ends_the_connection(frames):
    connection = ServerConnection()
    for frame in frames[:-1]:
        connection.receive(frame)
    with pytest.raises(ProtocolError) as caught:
        connection.receive(frames[-1])
    assert caught.value.code == 4400
    assert connection.state is State.CLOSED
    for frame in (ATTACH, RESUME, SEND):
        with pytest.raises(ProtocolError, match="the connection is closed"):
            connection.receive(frame)


def test_a_frame_in_the_wrong_place_is_named():
    with pytest.raises(ProtocolError) as caught:
        ServerConnection().receive(SEND)
    assert str(caught.value) == "a message 'send' can't come here: the connection is before the first frame"


def test_closing_is_said_to_who_has_said_something():
    connection = ServerConnection()
    connection.receive(ATTACH)
    closing = connection.closing(1012, "restarting", 1.5)
    assert json.loads(closing) == {
        "type": "closing",
        "code": 1012,
        "reason": "restarting",
        "retry_after": 1.5,
    }
    assert connection.state is State.CLOSED
    assert ServerConnection().closing(4408, "no first frame") is None


def test_closing_is_said_after_a_protocol_error_too():
    connection = ServerConnection()
    connection.receive(ATTACH)
    with pytest.raises(ProtocolError):
        connection.receive("{}")
    assert connection.closing(4400, "protocol error") is not None


def test_it_says_its_state():
    assert repr(ServerConnection()) == "<ServerConnection before the first frame>"


@pytest.mark.parametrize("frame", ['{"type":"present","metadata":{"n":1}}', '{"type":"watch","scope":"session"}'])
def test_presence_is_spoken_of_once_attached(frame):
    connection = ServerConnection()
    connection.receive(ATTACH)
    connection.receive(frame)
    assert connection.state is State.ATTACHED
    with pytest.raises(ProtocolError, match="can't come here: the connection is before the first frame"):
        ServerConnection().receive(frame)

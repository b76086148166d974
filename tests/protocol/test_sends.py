"""Most of what sends do is in `tests/vectors/client_messages.json`, for the browser's client too."""

from __future__ import annotations

import json

import pytest

from supervisor.errors import ProtocolError, SendUnsent
from supervisor.protocol.sends import MAX_QUEUED, Message, Sends


def attached_sends(count=0):
    sends = Sends()
    sends.attached(0, same_client=False)
    for _ in range(count):
        sends.add(Message(b'"Watch"', b"{}"), attached=True)
    return sends


def outgoing(sends, *, revision=0, edits=True):
    return sends.outgoing(revision=revision, edits=edits)


def numbers(frames):
    return [json.loads(frame)["number"] for frame in frames]


def test_a_frame_is_written_once():
    sends = attached_sends(2)
    assert [json.loads(frame) for frame in outgoing(sends)] == [
        {"type": "send", "number": number, "name": "Watch", "fields": {}, "confirmed": 0} for number in (1, 2)
    ]
    assert outgoing(sends) == []
    assert len(sends) == 2


def test_room_is_counted_behind_the_window_even_before_the_frames_are_written():
    sends = attached_sends(64 + MAX_QUEUED)
    with pytest.raises(SendUnsent, match="1064 sends already wait for the server"):
        sends.add(Message(b'"Watch"', b"{}"), attached=True)
    assert len(outgoing(sends)) == 64


def test_tickets_are_never_used_twice():
    sends = Sends()
    tickets = [sends.add(Message(b'"A"', b"{}"), attached=False) for _ in range(3)]
    sends.abandon()
    tickets.append(sends.add(Message(b'"A"', b"{}"), attached=False))
    assert len(set(tickets)) == 4


def test_what_is_answered_before_it_was_written_again_is_not_written_again():
    sends = attached_sends(3)
    outgoing(sends)
    sends.attached(0, same_client=True)
    assert sends.settle(2) is not None
    assert numbers(outgoing(sends)) == [1, 3]


def test_a_second_answer_is_none_and_a_strange_one_an_error():
    sends = attached_sends(1)
    with pytest.raises(ProtocolError, match="an answer to send 1, but 0 were written"):
        sends.settle(1)
    outgoing(sends)
    assert sends.settle(1) is not None
    assert sends.settle(1) is None
    assert sends.confirmed == 1


def test_the_end_tells_what_was_written_and_what_was_not():
    sends = attached_sends(65)
    outgoing(sends)
    refused = sends.abandon()
    assert [each.kind for each in refused] == ["unknown"] * 64 + ["unsent"]
    assert len({each.ticket for each in refused}) == 65
    assert len(sends) == 0
    assert sends.abandon() == ()

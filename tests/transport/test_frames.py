import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from supervisor.transport.frames import close_frame, ping_frame, text_frame


def decode(data: bytes):
    """The frames in these bytes, as wsproto, as a client, sees them."""
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(data)
    return list(protocol.received_frames())


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_text_frames_use_the_shortest_length(size, head):
    assert text_frame(b"x" * size) == head + b"x" * size


@given(st.text(max_size=400))
def test_another_implementation_reads_the_same_text(text):
    [frame] = decode(text_frame(text.encode()))
    assert (frame.opcode, frame.payload, frame.message_finished) == (Opcode.TEXT, text, True)


def test_pings_carry_up_to_125_bytes():
    [frame] = decode(ping_frame(b"x" * 125))
    assert (frame.opcode, frame.payload) == (Opcode.PING, b"x" * 125)
    assert ping_frame() == b"\x89\x00"
    with pytest.raises(ValueError, match="at most 125 bytes, got 126"):
        ping_frame(b"x" * 126)


@given(st.text(max_size=200))
def test_a_close_reason_is_cut_between_characters(reason):
    [frame] = decode(close_frame(4410, reason))
    code, told = frame.payload
    assert code == 4410
    assert reason.startswith(told or "")
    assert told == reason or len((told or "").encode()) > 119 or not reason


def test_a_long_close_reason_fills_the_frame_exactly():
    assert len(close_frame(1000, "x" * 200)) == 2 + 125
    assert close_frame(1000, "é" * 100) == b"\x88\x7c\x03\xe8" + "é".encode() * 61


def test_lone_surrogates_in_a_reason_become_question_marks():
    assert close_frame(1000, "a\ud800").endswith(b"a?")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 5000])
def test_codes_that_may_not_be_sent_are_refused(code):
    with pytest.raises(ValueError, match=str(code)):
        close_frame(code)

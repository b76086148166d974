import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from supervisor.transport.frames import close_frame, payload_of, ping_frame, text_frame


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


@pytest.mark.parametrize(("reason", "carried"), [("", ""), ("why", "why"), ("é" * 100, "é" * 61)])
def test_a_close_frame_carries_a_code_and_what_it_can_of_a_reason(reason, carried):
    [frame] = decode(close_frame(1002, reason))
    assert (frame.opcode, frame.payload) == (Opcode.CLOSE, (1002, carried))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_the_payload_of_a_text_frame_is_what_was_framed(size):
    assert payload_of(text_frame(b"x" * size)) == b"x" * size

"""Websocket frames from server to client (RFC 6455), each encoded in one call. Pure.

A broadcast encodes its frame once and writes the same bytes to every socket; that is what wsproto, which
frames per connection, can't do. Frames from a server are never masked (§5.1), never fragmented here, and no
extension is ever negotiated, so a head is two, four or ten bytes.
"""

from __future__ import annotations

from struct import Struct

# §5.2: the first byte is FIN (0x80) and the opcode.
_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89

_HEAD_16 = Struct("!BBH").pack
_HEAD_64 = Struct("!BBQ").pack

# §5.5: a control frame's payload is at most 125 bytes; a close frame's code takes two of them.
MAX_CONTROL_PAYLOAD = 125
MAX_REASON = MAX_CONTROL_PAYLOAD - 2


def text_frame(payload: bytes) -> bytes:
    """One whole text message. The caller vouches that `payload` is UTF-8."""
    size = len(payload)
    if size <= MAX_CONTROL_PAYLOAD:
        return bytes((_TEXT, size)) + payload
    if size <= 0xFFFF:
        return _HEAD_16(_TEXT, 126, size) + payload
    return _HEAD_64(_TEXT, 127, size) + payload


def payload_of(frame: bytes) -> bytes:
    """The message in a frame that `text_frame` has made."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping, which the client answers with a pong of the same payload.

    Raises:
        ValueError: The payload has more than 125 bytes.
    """
    if len(payload) > MAX_CONTROL_PAYLOAD:
        raise ValueError(f"a ping carries at most {MAX_CONTROL_PAYLOAD} bytes, got {len(payload)}")
    return bytes((_PING, len(payload))) + payload


def close_frame(code: int, reason: str) -> bytes:
    """The last frame of a connection: why it ends. A reason that is too long is cut (§5.5.1)."""
    payload = code.to_bytes(2, "big") + cut_reason(reason).encode()
    return bytes((_CLOSE, len(payload))) + payload


def cut_reason(reason: str) -> str:
    """As much of a reason as a close frame carries."""
    return reason.encode()[:MAX_REASON].decode("utf-8", "ignore")

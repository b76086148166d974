"""Coverage-guided fuzzing of what strangers can send, by atheris (which is no dependency: `pip install atheris`).

    python -m tests.hostile.fuzz port --seconds 120

Without a target it names them. Each is a function of bytes, which raises if what they make of the server is wrong. It
ends with 0 when the time is over; what has failed is kept in a file of the present folder, whose name it prints, and
`python -m tests.hostile.fuzz port FILE` does it again.
"""

import argparse
import functools
import os
import sys
import tempfile
import time
from pathlib import Path

try:
    import atheris
except ImportError:  # the targets can be called without it
    atheris = None
    import contextlib

    instrumented = contextlib.nullcontext
else:
    instrumented = functools.partial(atheris.instrument_imports, include=["supervisor", "h11", "wsproto"])

with instrumented():
    import h11
    import wsproto  # noqa: F401 (so that it is instrumented)

    import supervisor.server  # noqa: F401 (and with it all that a client can reach)

from supervisor.errors import ProtocolError
from supervisor.identity import IdRefused, KeyRing, TokenRefused
from supervisor.protocol.messages import decode_client_message
from supervisor.transport.head import HttpLimits, read_head, refuse_error, refuse_head, refuse_raw_head

from . import test_fuzz
from .arena import attack, frames, http, messages
from .generators import VALID_REQUESTS

LIMITS = HttpLimits(max_head=2_000)
RING = KeyRing((b"k" * 32, b"o" * 32))


def raw_port(data):
    """Bytes to the port, as they are; the first says where they are cut."""
    attack(http([data[1 : data[0] + 1], data[data[0] + 1 :]]) if data else http([b""]))


def raw_websocket(data):
    """Bytes in a websocket that is attached."""
    attack(frames([data]))


def raw_messages(data):
    """Texts in whole frames, one a line."""
    attack(messages(data.split(b"\n")[:20]))


def head(data):
    """A request's head, judged alone: it is refused, or it is one that another parser reads as we do."""
    if refuse_raw_head(data, LIMITS) is not None:
        return
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMITS.max_head)
    parser.receive_data(data)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        refuse_error(error)
        return
    if not isinstance(event, h11.Request):
        return
    found = read_head(event)
    if refuse_head(found, LIMITS) is None:
        again = h11.Connection(h11.SERVER)
        again.receive_data(found.serialise())
        assert read_head(again.next_event()) == found


def client_message(data):
    """A wire message, decoded alone."""
    for frame in (data, data.decode("utf-8", "replace")):
        try:
            decode_client_message(frame)
        except ProtocolError:
            pass


def signed(data):
    """A token, and a signed id, read alone."""
    text = data.decode("utf-8", "surrogateescape")
    for read, refused in (
        (lambda: RING.check(text, purpose="attach to app", now=0.0, max_age=300.0), TokenRefused),
        (lambda: RING.read_id(text, now=0.0), IdRefused),
    ):
        try:
            read()
        except refused:
            continue
        raise AssertionError(f"{text!r} was accepted")


TARGETS = {
    function.__name__: function for function in (raw_port, raw_websocket, raw_messages, head, client_message, signed)
} | {
    name: getattr(test_fuzz, test).hypothesis.fuzz_one_input
    for name, test in {
        "port": "test_the_port_takes_any_bytes",
        "websocket": "test_a_websocket_takes_any_bytes",
        "messages": "test_a_session_takes_any_message",
        "token": "test_no_token_but_ours_opens_anything",
    }.items()
}
"""By name; those of the second group make what they send as the tests do, by `generators`."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("file", nargs="?", type=Path, help="do just this again")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    target = TARGETS[options.target]
    if options.file is not None:
        target(options.file.read_bytes())
        return
    if atheris is None:
        parser.exit(2, "The package atheris is missing: pip install atheris\n")
    ends_at = time.monotonic() + options.seconds
    seeds = tempfile.mkdtemp(prefix="seeds-")
    for number, request in enumerate(VALID_REQUESTS):
        Path(seeds, str(number)).write_bytes(request)
    flags = [f"-max_total_time={options.seconds}", f"-seed={options.seed}", "-max_len=4096", "-timeout=60", seeds]
    atheris.Setup([sys.argv[0], *flags], lambda data: run_until(ends_at, target, data))
    atheris.Fuzz()


def run_until(ends_at, target, data):
    """One input; and the end, when the time is over: libFuzzer looks at its clock too seldom for slow targets."""
    target(data)
    if time.monotonic() > ends_at + 1:
        print("The time is over.", flush=True)
        os._exit(0)


if __name__ == "__main__":
    main()

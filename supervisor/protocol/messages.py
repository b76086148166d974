"""Every message of the wire as a struct; decoded strictly, encoded fast. Pure.

All messages are JSON objects in websocket text frames; `"type"` names the kind. Unknown fields are errors on both
sides. An unknown type is an error on the server's side, but clients ignore it, so that later servers can have more
types. `docs/reference/wire.md` says what each message means, and when it is sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, final, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from supervisor.errors import ProtocolError
from supervisor.protocol.encoding import encode_value

MAX_TEXT = 500
"""Characters of an error's text, which may repeat what a peer sent; the rest is cut off."""

MAX_NAME = 256
"""Characters in a message's name: class names are far shorter."""

# JavaScript counts exactly up to 2^53 - 1; no revision or number of ours comes near it.
_MAX_NUMBER = 2**53 - 1
# Ids are made by the server (22 characters) or are names of at most 128; tokens are signed and carry an id
# and a time.
_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_Epoch = Annotated[str, Meta(max_length=256)]
_Token = Annotated[str, Meta(min_length=1, max_length=4096)]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Number = Annotated[int, Meta(ge=1, le=_MAX_NUMBER)]
_Count = Annotated[int, Meta(ge=0, le=_MAX_NUMBER)]
# -1: the client has no usable mirror.
_MirrorRevision = Annotated[int, Meta(ge=-1, le=_MAX_NUMBER)]

# A step of an edit's path: the key of an object, or the index in an array.
_Step = Annotated[str, Meta(max_length=4096)] | Annotated[int, Meta(ge=0, le=_MAX_NUMBER)]
_Path = Annotated[tuple[_Step, ...], Meta(min_length=1, max_length=200)]

ErrorKind = Literal["rejected", "invalid", "conflict", "failed"]
"""`rejected`: the app said no. `invalid`: name or fields are wrong. `conflict`: what an edit was to change has gone.
`failed`: the app's code broke."""
EditName = Literal["set", "insert", "remove"]
"""`set` a key or an index, `insert` before an index or at the end, `remove`."""
OperationName = Literal["add", "remove", "replace"]
"""Of a patch."""
Scope = Literal["session", "application"]
"""Of presence."""
MAX_METADATA = 1_024
"""Bytes of what a client tells others about itself, as it wrote them: room for a cursor or a colour, not a document."""


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """One message of the wire."""


@final
class Attach(Message, frozen=True, tag="attach"):
    """The first frame of a new page: `{"type":"attach","token":"…"}`."""

    token: _Token
    """From the page; admits a first attach until it expires."""

    def __repr__(self) -> str:
        """Without the token, because this ends up in logs."""
        return "Attach(token=…)"


@final
class Resume(Message, frozen=True, tag="resume"):
    """The first frame of a client that was attached before.

    `{"type":"resume","session":"ID","key":"…","client":"…","epoch":"…","revision":17,"confirmed":3}`
    """

    session: _Id
    key: _Id
    """From `Attached`; valid as long as the session lives."""
    client: _Id
    epoch: _Epoch
    revision: _MirrorRevision
    """The mirror's revision; -1 if there is no usable mirror, so that a snapshot is needed."""
    confirmed: _Count
    """All answers up to this number have arrived."""

    def __repr__(self) -> str:
        """Without the key, because this ends up in logs."""
        return f"Resume(client={self.client!r}, revision={self.revision}, confirmed={self.confirmed}, key=…)"


@final
class Send(Message, frozen=True, tag="send"):
    """A message for the app: `{"type":"send","number":4,"name":"Watch","fields":{…},"confirmed":3}`."""

    number: _Number
    """1, 2, 3, … per client id."""
    name: _Name
    fields: Raw
    """A JSON object, not decoded yet: see `fields.ClientMessages`."""
    confirmed: _Count


@final
class Edit(Message, frozen=True, tag="edit", kw_only=True):
    """A change that a client wants to make to the document.

    `{"type":"edit","number":5,"base":17,"op":"set","path":["notes",3,"text"],"value":"milk","confirmed":3}`
    """

    number: _Number
    """In one sequence with the numbers of sends."""
    base: _Count
    """The revision of the mirror that the path refers to."""
    op: EditName
    path: _Path
    value: Any = UNSET
    """Of `set` and `insert`; `remove` has none."""
    confirmed: _Count


@final
class Present(Message, frozen=True, tag="present"):
    """What others are told about this client: `{"type":"present","metadata":{"cursor":[3,4]}}`."""

    metadata: Raw
    """A JSON object of at most `MAX_METADATA` bytes."""


@final
class Watch(Message, frozen=True, tag="watch"):
    """Asks who is there, from now on: `{"type":"watch","scope":"session"}`."""

    scope: Scope


ClientMessage = Attach | Resume | Send | Edit | Present | Watch


@final
class Attached(Message, frozen=True, tag="attached"):
    """The server's answer to a first frame.

    `{"type":"attached","session":"ID","client":"…","peer":"…","key":"…","epoch":"…","revision":17,"resumed":true,
    "received":5,"editable":["/notes"]}`
    """

    session: str
    client: str
    peer: str
    """The id by which other clients know this one; gives no access."""
    key: str
    epoch: str
    revision: _Count
    """The document's revision now; what follows leads to it."""
    resumed: bool
    """True: the patches after the client's revision follow. False: a snapshot follows."""
    received: _Count
    """The highest number of a send or edit that was accepted from this client id."""
    editable: tuple[str, ...]
    """What clients may edit, as patterns."""

    def __repr__(self) -> str:
        """Without the key, because this ends up in logs."""
        return f"Attached(client={self.client!r}, revision={self.revision}, resumed={self.resumed}, key=…)"


@final
class Snapshot(Message, frozen=True, tag="snapshot"):
    """The whole document: `{"type":"snapshot","epoch":"…","revision":17,"data":{…}}`."""

    epoch: str
    revision: _Count
    data: dict[str, Any]


class Operation(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """One operation of a JSON Patch (RFC 6902); of its six kinds the wire has three."""

    path: str


@final
class Add(Operation, frozen=True, tag="add"):
    """`{"op":"add","path":"/a/0","value":…}`."""

    value: Any


@final
class Remove(Operation, frozen=True, tag="remove"):
    """`{"op":"remove","path":"/a/0"}`."""


@final
class Replace(Operation, frozen=True, tag="replace"):
    """`{"op":"replace","path":"/a/0","value":…}`."""

    value: Any


@final
class Patch(Message, frozen=True, tag="patch", rename={"base": "from", "revision": "to"}):
    """A change of the document: `{"type":"patch","from":16,"to":17,"operations":[…]}`."""

    base: _Count
    revision: _Count
    operations: list[Add | Remove | Replace]


@final
class Answer(Message, frozen=True, tag="answer"):
    """What a handler returned: `{"type":"answer","number":4,"value":…}`."""

    number: _Number
    value: Any


@final
class Error(Message, frozen=True, tag="error"):
    """The answer to a send or an edit that was not done.

    `{"type":"error","number":4,"kind":"failed","text":"…","incident":"ab12cd34"}`
    """

    number: _Number
    kind: ErrorKind
    text: str
    incident: str | None
    """What to look for in the server's log; only `failed` has one."""


@final
class Edited(Message, frozen=True, tag="edited"):
    """The answer to an edit that was done: `{"type":"edited","number":5,"revision":18}`.

    It comes before the patch, or the snapshot, that leads to that revision.
    """

    number: _Number
    revision: _Count


@final
class Editable(Message, frozen=True, tag="editable"):
    """What clients may edit from now on: `{"type":"editable","patterns":["/notes"]}`."""

    patterns: tuple[str, ...]


@final
class Peer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody who is there: `{"id":"…","name":"Ada","metadata":{}}`."""

    id: str
    """See `Attached.peer`."""
    name: str | None
    """What the app calls it."""
    metadata: dict[str, Any]


@final
class Presence(Message, frozen=True, tag="presence"):
    """Who is there: `{"type":"presence","scope":"session","complete":false,"present":[…],"left":["…"]}`."""

    scope: Scope
    complete: bool
    """True: `present` has everybody. False: it has those that joined or changed."""
    present: tuple[Peer, ...]
    left: tuple[str, ...]


@final
class Restarting(Message, frozen=True, tag="restarting"):
    """The session has failed, and will build a new document: `{"type":"restarting","after":1.7}`.

    A `Snapshot` in another epoch follows, or the end.
    """

    after: Annotated[float, Meta(ge=0)]
    """Seconds until it begins to build it."""


@final
class Alive(Message, frozen=True, tag="alive"):
    """A sign of life: `{"type":"alive"}`. Sent with each ping, since pages can't see pings."""


@final
class Closing(Message, frozen=True, tag="closing"):
    """The server closes next: `{"type":"closing","code":1012,"reason":"…","retry_after":1.7}`."""

    code: int
    reason: str
    retry_after: Annotated[float, Meta(ge=0)] | None
    """Seconds until the client comes back; only 1012, 1013 and 4429 have it."""


@final
class Place(Struct, frozen=True):
    """Where an operation of a patch does something; its value is left out."""

    op: OperationName
    path: str


@final
class Places(Struct, frozen=True, rename={"revision": "to"}):
    """What of a `Patch` an edit has to be carried over."""

    revision: int
    operations: list[Place]


ServerMessage = (
    Attached | Snapshot | Patch | Answer | Error | Edited | Editable | Presence | Restarting | Alive | Closing
)


class _Tagged(Struct):
    """Whatever has a type."""

    type: str


_TYPES = frozenset(str(kind.__struct_config__.tag) for kind in get_args(ServerMessage))

_encoder = msgspec.json.Encoder()
_client_message_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_message_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_tagged_decoder = msgspec.json.Decoder(_Tagged)


def encode(message: Message) -> bytes:
    """The JSON of a message, for one text frame."""
    return _encoder.encode(message)


def encode_answer(number: int, value: object) -> bytes:
    """The JSON of an `Answer`; the value is what a handler returned.

    Raises:
        TypeError: JSON has no form for a type in the value
        ValueError: JSON has no form for the value, such as NaN

    """
    return b'{"type":"answer","number":%d,"value":%b}' % (number, encode_value(value, what="the answer"))


def encode_error(number: int, kind: ErrorKind, text: str, incident: str | None = None) -> bytes:
    """The JSON of an `Error`."""
    return _encoder.encode(Error(number=number, kind=kind, text=text, incident=incident))


def encode_edited(number: int, revision: int) -> bytes:
    """The JSON of an `Edited`."""
    return b'{"type":"edited","number":%d,"revision":%d}' % (number, revision)


def encode_restarting(after: float) -> bytes:
    """The JSON of a `Restarting`."""
    return _encoder.encode(Restarting(after=round(after, 3)))


def encode_closing(code: int, reason: str, retry_after: float | None = None) -> bytes:
    """The JSON of a `Closing`."""
    return _encoder.encode(Closing(code=int(code), reason=reason, retry_after=retry_after))


def decode_client_message(frame: str | bytes) -> ClientMessage:
    """Decode what a client sent. The frame is untrusted.

    Raises:
        ProtocolError: it is binary, no JSON, or no message of the wire

    """
    message: ClientMessage = _decode(_client_message_decoder, frame)
    # Raw begins at the value itself, with no space before it.
    if isinstance(message, Send) and not bytes(message.fields).startswith(b"{"):
        raise ProtocolError("not a message of this wire: expected `object` - at `$.fields`")
    if isinstance(message, Present):
        metadata = bytes(message.metadata)
        if not metadata.startswith(b"{") or len(metadata) > MAX_METADATA:
            raise ProtocolError(f"not a message of this wire: metadata is an object of at most {MAX_METADATA} bytes")
    if isinstance(message, Edit) and (message.value is UNSET) is not (message.op == "remove"):
        needed = "has no value" if message.op == "remove" else "needs a value"
        raise ProtocolError(f"not a message of this wire: an edit that is to {message.op} {needed}")
    return message


def decode_server_message(frame: str | bytes) -> ServerMessage | None:
    """Decode what a server sent. None: its type is unknown, perhaps of a later version; ignore it.

    Raises:
        ProtocolError: it is binary, no JSON, or no message of the wire

    """
    try:
        message: ServerMessage = _decode(_server_message_decoder, frame)
    except ProtocolError:
        if _is_of_unknown_type(frame):
            return None
        raise
    if isinstance(message, Patch) and message.revision <= message.base:
        raise ProtocolError(f"not a message of this wire: a patch from {message.base} to {message.revision}")
    return message


def _is_of_unknown_type(frame: str | bytes) -> bool:
    try:
        return _decode(_tagged_decoder, frame).type not in _TYPES
    except ProtocolError:
        return False


def _decode(decoder: msgspec.json.Decoder[Any], frame: str | bytes) -> Any:
    if not isinstance(frame, str):
        raise ProtocolError("a binary frame: this wire has text frames only")
    try:
        return decoder.decode(frame)
    except RecursionError as error:
        raise ProtocolError("not a message of this wire: it is nested too deeply") from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ProtocolError(f"not a message of this wire: {shorten(str(error))}") from error


_places_decoder = msgspec.json.Decoder(Places)
_operations_decoder = msgspec.json.Decoder(list[Add | Remove | Replace])


def decode_places(patch: bytes) -> Places:
    """The operations of a patch message of our own, without their values."""
    return _places_decoder.decode(patch)


def decode_operations(encoded: bytes) -> list[Add | Remove | Replace]:
    """The operations of a patch of our own document."""
    return _operations_decoder.decode(encoded)


def shorten(text: str) -> str:
    """The text, cut to `MAX_TEXT` characters, because it may repeat what a peer sent."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"

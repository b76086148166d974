"""What a client sends to a hand-driven session: through both ends of the wire's protocol, without a wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import trio

from supervisor.actor.entry import Entry
from supervisor.errors import InvalidMessage, SendInvalid
from supervisor.protocol.bridge import EditTurn
from supervisor.protocol.encoding import encode_value
from supervisor.protocol.fields import ClientMessages
from supervisor.protocol.messages import Edit, EditName, Send, decode_client_message
from supervisor.protocol.pending import Pending
from supervisor.protocol.sends import Message
from supervisor.session.connection import ConnectionContext
from supervisor.transport.entries import ClientEdit, ClientSend
from supervisor.transport.wire import SessionWire


@final
class Sender:
    """Makes the entries that a connection would put into the session's mailbox. Each is of a new client of the wire."""

    def __init__(self, wire: SessionWire, messages: ClientMessages) -> None:
        self._wire = wire
        self._messages = messages

    def message(self, name: str, fields: Mapping[str, object], connection: ConnectionContext) -> Entry:
        """A message.

        Raises:
            SendInvalid: the app takes no such message from clients, or a field is wrong.
            TypeError, ValueError: the fields can't be sent as JSON.
            Exception: whatever a validator of the app raised.
        """
        sent = Message(encode_value(name), encode_value(fields, what="the fields"))
        send = decode_client_message(sent.frame(1, 0, 0).decode())
        assert isinstance(send, Send)
        try:
            decoded = self._messages.decode(send.name, send.fields)
        except InvalidMessage as error:
            raise SendInvalid(str(error), kind="invalid") from None
        client = self._attach()
        self._wire.feed.accept(client, send, trio.current_time())
        return ClientSend(self._wire, client, send.number, decoded, connection, lambda: self._detach(client))

    def edit(
        self, op: EditName, path: str, value: object, data: dict[str, Any], connection: ConnectionContext
    ) -> Entry:
        """An edit, by a client that sees this data.

        Raises:
            SendConflict: the place is not there.
            TypeError, ValueError: the path is none, or the value can't be sent as JSON.
        """
        pending = Pending().make(op, path, value, data)
        revision = self._wire.session.stored.revision
        edit = decode_client_message(pending.frame(1, 0, revision).decode())
        assert isinstance(edit, Edit)
        client = self._attach()
        turn = self._wire.feed.accept_edit(client, edit, revision, trio.current_time())
        assert isinstance(turn, EditTurn)
        return ClientEdit(self._wire, client, turn, connection, lambda: self._detach(client))

    def _attach(self) -> str:
        return self._wire.feed.attach(revision=self._wire.session.stored.revision, now=trio.current_time()).client

    def _detach(self, client: str) -> None:
        self._wire.feed.detach(client, trio.current_time())

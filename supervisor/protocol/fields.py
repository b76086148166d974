"""The fields of a client's message as an object of the app's own class. Pure.

Fields come from a browser and are not trusted: every type is checked strictly (no "3" for 3), and a field that the
class doesn't have is refused at every depth, because a client that misspells an optional field must learn of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, final

import msgspec

from supervisor.errors import InvalidMessage
from supervisor.protocol.messages import shorten
from supervisor.protocol.readers import compile_reader


@final
class ClientMessages:
    """What clients may send: names, and the class that each stands for.

    A class is an attrs class, a dataclass, or a msgspec Struct that has `forbid_unknown_fields=True`.

    Raises:
        TypeError: a class is of another kind, or has a field whose type can't be decoded from JSON

    """

    __slots__ = ("_readers",)

    def __init__(self, classes: Mapping[str, type]) -> None:
        self._readers = {name: compile_reader(cls) for name, cls in classes.items()}

    @property
    def names(self) -> Collection[str]:
        """The names that clients may send."""
        return self._readers.keys()

    def decode(self, name: str, fields: msgspec.Raw | bytes) -> Any:
        """The object that a client's message stands for. Name and fields are untrusted.

        A class's own validators and converters run; whatever they raise that is no ValueError or TypeError
        passes.

        Raises:
            InvalidMessage: no such message, or a field is wrong; the text names class and field

        """
        reader = self._readers.get(name)
        if reader is None:
            raise InvalidMessage(f"unknown message {name[:100]!r}")
        try:
            value = msgspec.json.decode(fields)
        except RecursionError as error:
            raise InvalidMessage(f"{name}: nested too deeply") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidMessage(f"{name}: the fields aren't valid JSON: {shorten(str(error))}") from error
        try:
            return reader(value, name)
        except RecursionError as error:
            raise InvalidMessage(f"{name}: nested too deeply") from error

    def __repr__(self) -> str:
        """For logs: the names."""
        return f"<ClientMessages {', '.join(self._readers)}>"

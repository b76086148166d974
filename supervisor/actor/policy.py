"""What happens to messages of one type while their session's mailbox is full, or has older ones. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from enum import Enum, unique
from typing import Any, Final, Literal, final, get_args

import attrs

from supervisor.actor.call_check import call_problem

WhenFull = Literal["wait", "refuse", "drop_oldest"]
"""What becomes of a message for which there is no room."""

NO_KEY: Final = object()
"""The key of a message whose type is not conflated; None is a key like any other."""


@unique
class Admission(Enum):
    """What became of a message that was put under a policy."""

    QUEUED = "it waits for its turn"
    CONFLATED = "it replaces an older one"
    WAIT = "its sender waits for room"
    REFUSED = "there was no room"


@final
@attrs.frozen(kw_only=True, eq=False)
class MailboxPolicy:
    """The policy for one type of message.

    Raises:
        TypeError: `conflate` can't be called.
        ValueError: `when_full` is none of the three.
    """

    when_full: WhenFull = attrs.field(default="wait")
    conflate: Callable[[Any], Hashable] | None = attrs.field(default=None)

    def __attrs_post_init__(self) -> None:
        check_policy(self.when_full, self.conflate)

    def key_of(self, message: object) -> Hashable:
        """What the message is conflated by; `NO_KEY` if its type isn't.

        Raises:
            TypeError: the key can't be hashed, or must be awaited.
            Exception: whatever the author's function raises.
        """
        if self.conflate is None:
            return NO_KEY
        key = self.conflate(message)
        if hasattr(key, "__await__"):  # each would be another key
            close = getattr(key, "close", None)
            if close is not None:
                close()
            raise TypeError(
                f"the key by which a {type(message).__qualname__} is conflated is needed at once, and nothing awaits "
                f"a {type(key).__qualname__}"
            )
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(
                f"the key by which a {type(message).__qualname__} is conflated must be hashable, such as a str, an int "
                f"or a tuple of them, not {type(key).__qualname__}"
            ) from error
        return key


def check_policy(when_full: object, conflate: object) -> None:
    """Refuse what is no policy, in words for the author of `@receives`.

    Raises:
        TypeError: `conflate` can't be called with a message, or is `async`.
        ValueError: `when_full` is none of the three.
    """
    if when_full not in get_args(WhenFull):
        raise ValueError(f'when_full must be "wait", "refuse" or "drop_oldest", not {when_full!r}')
    if conflate is None:
        return
    wanted = "conflate takes a function that gives a message's key, as in conflate=lambda quote: quote.symbol"
    if not callable(conflate):
        raise TypeError(f"{wanted}, not {conflate!r}")
    name = getattr(conflate, "__qualname__", repr(conflate))
    if inspect.iscoroutinefunction(conflate):
        raise TypeError(f"{wanted}; {name} is async, and nothing would await its key")
    if call_problem(conflate, (None,)) is not None:
        raise TypeError(f"{wanted}; {name} can't be called with one argument, the message")

"""Which function of an app handles which type of message. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, final

import attrs

from supervisor.actor.in_thread import check_plain, threaded_by_host
from supervisor.actor.policy import MailboxPolicy, WhenFull, check_policy
from supervisor.actor.restart import Directive, check_directive
from supervisor.errors import ApplicationError
from supervisor.limits import check_whether

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__supervisor_receives__"


@final
@attrs.frozen
class Receiver:
    """One handler: `func(doc, message)` for messages of exactly this type."""

    type: type
    func: Callable[..., Any]
    from_client: bool
    """Whether a browser may send this type."""
    on_failure: Directive | None = None
    """What follows for the session when the handler fails; None: what its application's policy says."""
    thread: bool = False
    """Whether it runs in a worker thread, which is lent the document."""
    when_full: WhenFull = "wait"
    """What becomes of a message of this type while the session's mailbox is full."""
    conflate: Callable[[Any], Hashable] | None = None
    """Gives a message's key: of those that wait, the newest of each key is kept."""


def receives(
    message_type: type,
    *,
    from_client: bool = False,
    on_failure: Directive | None = None,
    thread: bool = False,
    when_full: WhenFull = "wait",
    conflate: Callable[[Any], Hashable] | None = None,
) -> Callable[[F], F]:
    """Mark a function of `main.py` as the handler of a type of message.

    The session's actor calls `func(doc, message)` while it holds the document. The function may be plain or `async`;
    what it returns is the answer to `ask()`, and to `session.send()` in the browser. If it raises, its changes to the
    document are rolled back, and the failure policy decides what follows for the session; by default it goes on.
    `Rejected(text)` says no, and is not a failure.

    Args:
        message_type: the class of the messages, compared exactly: subclasses need a handler of their own.
        from_client: browsers may send this type too: an attrs class, a dataclass or a msgspec Struct. Its fields are
            validated against the class's annotations before the handler sees it. What the fields *say* is untrusted.
        on_failure: what follows for the session when this handler fails: "resume", "restart", "stop" or "escalate";
            None for what the application's `FailurePolicy` says.
        thread: run the function, which must be plain, in a worker thread, to which the document is lent, because it
            blocks. See `in_thread()`.
        when_full: what becomes of a message of this type while the session's mailbox has no room. `"wait"`: its sender
            waits, up to its timeout. `"refuse"`: its sender gets `MailboxFull` at once; `broadcast()` reports the
            session as lagged; a browser's promise is rejected. `"drop_oldest"`: it takes the place of the oldest
            waiting message of its type, whose asker, if any, gets `MailboxFull`; if none waits, it is refused.
        conflate: a plain function that gives a message's key, as in `conflate=lambda quote: quote.symbol`. Of the
            waiting messages of this type, the newest of each key takes the place of the older one, even while there is
            room. So it may be handled before messages of other types that were sent before it. What an `ask()` or a
            browser waits for is always handled. The sender calls the function, and gets what it raises; a broadcast
            calls it once.

    Raises:
        TypeError: `message_type` is not a class, or `conflate` is not a function; `thread` was given for an `async`
            function; or `from_client` or `thread` is neither True nor False.
        ValueError: `on_failure` or `when_full` is not one of its words.
    """
    if not isinstance(message_type, type):
        raise TypeError(f"@receives takes a class, as in @receives(Quote), not {message_type!r}")
    check_whether("from_client", from_client)
    check_whether("thread", thread)
    check_policy(when_full, conflate)
    if on_failure is not None:
        check_directive(on_failure)

    def mark(func: F) -> F:
        if thread:
            check_plain(func)
        receiver = Receiver(message_type, func, from_client, on_failure, thread, when_full, conflate)
        marks = [*getattr(func, _MARK, ()), receiver]
        setattr(func, _MARK, marks)
        return func

    return mark


def receivers_in(namespace: Mapping[str, object]) -> list[Receiver]:
    """All handlers that a module's namespace holds, each once, in the order of the namespace."""
    found: dict[int, Receiver] = {}
    for value in namespace.values():
        marks = getattr(value, _MARK, None) if callable(value) else None
        for receiver in marks if isinstance(marks, list) else ():  # some objects answer to every name
            found[id(receiver)] = receiver
    return list(found.values())


def receivers_of(given: Iterable[Receiver | Callable[..., Any]]) -> Iterator[Receiver]:
    """The handlers among these: they themselves, or functions that `@receives` has marked.

    Raises:
        TypeError: one is neither.
    """
    for each in given:
        marks = [each] if isinstance(each, Receiver) else getattr(each, _MARK, None)
        if not isinstance(marks, list):
            raise TypeError(f"a message handler is a function that is marked @receives(Class), not {each!r}")
        yield from marks


@final
class Receivers:
    """The handlers of one application, by the type of message."""

    def __init__(self, receivers: Iterable[Receiver | Callable[..., Any]] = ()) -> None:
        self.by_type: dict[type, Callable[..., Any]] = {}
        """The function for each type: what the session's actor looks up."""
        self.from_client: dict[str, type] = {}
        """The types that a browser may send, by the names that it sends them under."""
        self.on_failure: dict[type, Directive] = {}
        """What follows when a handler fails, for those types that have a directive of their own."""
        self.policies: dict[type, MailboxPolicy] = {}
        """For the types that don't just wait for room."""
        for receiver in receivers_of(receivers):
            self._add(receiver)

    def _add(self, receiver: Receiver) -> None:
        name = receiver.type.__name__
        if receiver.type in self.by_type:
            other = self.by_type[receiver.type]
            raise ApplicationError(
                f"two functions receive {name}: {_where(other)} and {_where(receiver.func)}; keep one of them"
            )
        self.by_type[receiver.type] = threaded_by_host(receiver.func, thread=receiver.thread)
        if receiver.on_failure is not None:
            self.on_failure[receiver.type] = receiver.on_failure
        if receiver.when_full != "wait" or receiver.conflate is not None:
            self.policies[receiver.type] = MailboxPolicy(when_full=receiver.when_full, conflate=receiver.conflate)
        if receiver.from_client:
            if name in self.from_client:
                raise ApplicationError(f"a browser may send two types named {name}; rename one of them")
            self.from_client[name] = receiver.type


def _where(func: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(func), "__code__", None)
    name = getattr(func, "__qualname__", repr(func))
    return name if code is None else f"{name} (line {code.co_firstlineno} of {code.co_filename})"

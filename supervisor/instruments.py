"""What can be observed of a running server: one interface of methods that do nothing. Pure.

Subclass `Instruments`, override what you want to see, and hand it to the server. It calls the methods synchronously, at
the moment of the event, in its own thread; the one exception is `loop_blocked`. They must return at once and must not
raise.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

WAY_OUT_OF_STALLS = "nobody else is served meanwhile; thread=True or @in_thread lets it run in a worker thread"
"""The advice in the first report of app code that blocks the loop."""


@attrs.frozen(kw_only=True)
class Incident:
    """One failure of an app's code, or of ours, as it is reported and logged."""

    id: str
    """Eight hexadecimal digits; the person who met the failure sees the same ones."""
    application: str
    """The application's name, or "-"."""
    session: str
    """The session's short name, or "-"."""
    what: str
    """What failed, in words: "handler on_quote of message Quote"."""
    error: BaseException
    """What was raised."""
    message: str = ""
    """The message that was being handled, as its `repr()`, cut to 200 characters; empty if there was none."""
    mailbox: tuple[str, ...] = ()
    """The last entries that were waiting in the session's mailbox, at most five: "message Quote"."""
    story: tuple[str, ...] = ()
    """What had happened to the session, or to the application, the oldest entry first, each with its time in seconds
    before the failure: "-0.250 s  message Quote(symbol='ACME', price=12.5)". Empty unless `ServerOptions.story_length`
    turns stories on."""
    decision: str = ""
    """What follows. For a session: "resumed", "restarted 2 of 3 within 60 s", "stopped" or "escalated"; for a producer:
    "called again in 0.5 s" or "failed for good"; empty if no policy applies."""

    @property
    def path(self) -> str:
        """Where it happened, in words: "application ticker → session 1a2b3c4d → message Quote → KeyError: 'ACME'"."""
        steps = [f"{kind} {name}" for kind, name in self._places() if name != "-"]
        return " → ".join([*steps, self.what, self.cause])

    @property
    def cause(self) -> str:
        """What was raised, in words: "KeyError: 'ACME'"."""
        return f"{type(self.error).__qualname__}: {cut(_text_of(self.error))}"

    def _places(self) -> tuple[tuple[str, str], ...]:
        return ("application", self.application), ("session", self.session)


MAX_SHOWN = 200
"""Characters that are shown of an app's own values."""


def cut(text: str) -> str:
    """The text, short enough to be logged."""
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def shown(value: object) -> str:
    """A value of an app's as reports show it: its `repr()`, cut, even if that raises."""
    try:
        return cut(repr(value))
    except Exception as error:
        return f"<{type(value).__qualname__} whose repr() raised {type(error).__qualname__}>"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its str() raised)"


class Instruments:
    """Sees what happens in a server; this one does nothing. Subclass it, and override what you want to see.

    The server calls these plain methods in its own thread, at the moment of the event; the one exception is
    `loop_blocked`. They must return at once. If they raise, the server only counts it. `application` and `session` are
    names as logs show them, or "-" if the event concerns none.
    """

    def failed(self, incident: Incident) -> None:
        """Something raised that should not have; whoever waited for it got the incident's id."""

    def failure_told(self, *, application: str, session: str, error: BaseException) -> None:
        """A hook of the app, `on_session_failed` or `on_callback_failed`, was called for this failure and has returned.

        `error` is the same object as in the incident that `failed` reported before. With several hooks, this is called
        once for each.
        """

    def dead_letter(self, *, application: str, session: str, message: object) -> None:
        """A message arrived for an actor that had ended."""

    def message_dropped(self, *, application: str, session: str, message: object) -> None:
        """A message was dropped from a full mailbox for a newer one, by its type's policy (`drop_oldest`)."""

    def application_loaded(self, *, application: str) -> None:
        """All load hooks of an application are done; sessions can be created from now on."""

    def application_failed(self, *, application: str, reason: str, incident: str) -> None:
        """An application could not be loaded, or something in it escalated: it ends, and others go on."""

    def application_unloaded(self, *, application: str) -> None:
        """All unload hooks of an application that had loaded are done."""

    def application_changed(self, *, application: str, files: str) -> None:
        """Files of an application have changed, under `ServerOptions.dev`: it, or its pages, are being reloaded."""

    def application_warned(self, *, application: str, warning: str) -> None:
        """Something looks wrong in a reloaded application; `warning` is a sentence for its author."""

    def session_created(self, *, application: str, session: str) -> None:
        """A session was built and handles messages from now on."""

    def session_refused(self, *, application: str, session: str, reason: str, incident: str) -> None:
        """A created hook refused a session; the visitor was shown the incident's id."""

    def session_had_no_room(self, *, application: str, reason: str, incident: str) -> None:
        """A visitor got no session, because of a limit, and was shown the incident's id and when to try again."""

    def page_refused(self, *, application: str, reason: str, incident: str) -> None:
        """A visitor got an error page for another reason, such as 404, and was shown the incident's id."""

    def session_restarted(self, *, application: str, session: str, incident: str) -> None:
        """A session has begun again with a new document, because of this incident."""

    def session_destroyed(self, *, application: str, session: str, reason: str) -> None:
        """A session has ended, its hooks included."""

    def connection_attached(self, *, application: str, session: str, connection: str, resumed: bool) -> None:
        """A connection joined a session; `resumed` says whether its client continued where it had stopped."""

    def connection_detached(self, *, application: str, session: str, connection: str, code: int) -> None:
        """A connection left its session, with this close code."""

    def connection_refused(self, *, application: str, reason: str) -> None:
        """A connection was refused before it reached a session; the reason names the option that would allow it."""

    def loop_blocked(
        self, *, application: str, session: str, what: str, where: str, seconds: float, stack: str, over: bool
    ) -> None:
        """Code has blocked the server's loop for longer than `ServerOptions.stall_limit`, and nobody else was served.

        Called twice. First when the limit is reached, while the code goes on: **from another thread**, since the
        server's own is blocked. Then with `over`, in the server's thread once that is free again, with the final length
        in `seconds`.

        Args:
            application: whose code it is, or "-".
            session: the session whose work was done, or "-".
            what: the piece of work, in words: "message Quote"; or "garbage collection", or that there was no single
                one.
            where: function, line and file: "parse, line 12 of /srv/ticker/feed.py".
            seconds: how long so far, or in all.
            stack: the calls, the innermost last, as in a traceback.
            over: whether the loop runs again.
        """

    def proxy_not_trusted(self, *, address: str) -> None:
        """Visitors come through what looks like a proxy but isn't configured as trusted; called only once."""

    def broadcast_lagged(self, *, application: str, session: str) -> None:
        """A session had no room for a broadcast by its deadline."""


class GuardedInstruments(Instruments):
    """Passes every call on to other instruments, and keeps their exceptions away from the server.

    Guards report failures through instruments. So an exception of an instrument, such as a log whose disk is full,
    would pass every guard and end the server. It is counted here instead.
    """

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.failures = 0
        """How often the instruments raised."""
        self.last_failure: Exception | None = None
        """What they raised last."""


def _hand_on(name: str) -> Callable[..., None]:
    def hand_on(self: GuardedInstruments, /, *args: object, **kwargs: object) -> None:
        try:
            getattr(self.instruments, name)(*args, **kwargs)
        except Exception as error:
            self.failures += 1
            self.last_failure = error

    hand_on.__name__ = name
    hand_on.__doc__ = f"See `Instruments.{name}`."
    return hand_on


for _name in [name for name in vars(Instruments) if not name.startswith("_")]:
    setattr(GuardedInstruments, _name, _hand_on(_name))

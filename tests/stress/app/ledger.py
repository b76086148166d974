"""What both apps of the stress server share: the work app's context, the messages that the control app sends to its
sessions, and how often each of its hooks has run.

A module that both import by its name; it is alone in its folder's path (PYTHONPATH) for that.
"""

from collections import Counter, defaultdict

import attrs

hooks = defaultdict(Counter)
"""How often each hook was called, by session: `hooks["board"]["created"]`. The checker empties it."""
work = None
"""The work app's `ApplicationContext`, once it has loaded."""
seen_alive = Counter()
"""Background tasks of the work app that run now, by kind."""


def note(session, hook):
    hooks[session][hook] += 1


@attrs.frozen
class Tick:
    """What producers broadcast."""

    number: int


@attrs.frozen
class Work:
    """What an order of the control app makes a session do: return, `raise`, `hang`, or be `late`."""

    label: str
    kind: str


@attrs.frozen
class Refused:
    """A price, whose type is refused when a mailbox is full."""

    symbol: str
    number: int


@attrs.frozen
class Oldest:
    """A price, whose type gives up its oldest one when a mailbox is full."""

    symbol: str
    number: int


@attrs.frozen
class Latest:
    """A price, of which the latest of each symbol waits."""

    symbol: str
    number: int


PRICES = {each.__name__: each for each in (Refused, Oldest, Latest)}

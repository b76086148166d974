"""The history checker: what clients saw, held against what must be true of it. Pure.

A client's history is the list of what happened to it, in order, as it came over the socket: not what a client library
made of it. Each function gives sentences, one for each violation; none is how it should be.

What is held true:

* A connection begins with `attached`. If it resumes, the first patch starts from the revision that the client had; else
  a snapshot comes before any patch. So a client that comes back has each kept revision once and in order, or is told of
  a snapshot that covers what it missed.
* A snapshot of another epoch may come at any time: the session was restarted. Nothing of the old epoch follows it.
* Each patch starts from the revision that the one before led to, and leads further.
* All clients of a session have the same document at the same revision of an epoch.
* Those who are attached at the end have the document that the server has.
* Each send ends once: answered, refused, or unknown. What was answered is in the document's log exactly once, and was
  there when the answer came; what was refused isn't there; what is unknown is there at most once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs


@attrs.frozen
class Connected:
    """A websocket is open, and the first frame was written."""


@attrs.frozen
class Attached:
    epoch: str
    revision: int
    """The document's revision when the client attached."""
    resumed: bool


@attrs.frozen
class Snapshot:
    epoch: str
    revision: int
    digest: int
    """Of the whole document, as the client has it afterwards."""


@attrs.frozen
class Patch:
    base: int
    revision: int
    digest: int


@attrs.frozen
class Sent:
    ticket: int
    label: str
    """What it puts into the document's log."""


@attrs.frozen
class Settled:
    ticket: int
    outcome: str
    """`answered`, or the kind of a refusal: `failed`, `rejected`, `invalid`, `conflict`, `unknown`, `unsent`."""
    was_seen: bool = False
    """Whether its label was in the client's log when the answer came."""


@attrs.frozen
class Closed:
    code: int


Event = Connected | Attached | Snapshot | Patch | Sent | Settled | Closed
History = Sequence[Event]


@attrs.frozen
class Final:
    """What the server's document is at the end."""

    revision: int
    digest: int
    log: Sequence[str] = ()


def check_order(history: History) -> list[str]:
    """Whether revisions came once and in order, or were covered by a snapshot."""
    wrong: list[str] = []
    revision, epoch, link = -1, "", "none"  # none, opened, attached, live
    for event in history:
        match event:
            case Connected():
                link = "opened"
            case Attached():
                if link != "opened":
                    wrong.append(f"attached on a connection that is {link}")
                if event.resumed and (event.epoch != epoch or revision < 0):
                    wrong.append(f"resumed at {event.revision}, with nothing there to resume")
                if event.resumed and event.revision < revision:
                    wrong.append(f"resumed at {event.revision}, which is before {revision}")
                epoch, link = event.epoch, "live" if event.resumed else "attached"
            case Snapshot():
                if link not in ("attached", "live"):
                    wrong.append(f"a snapshot of {event.revision} on a connection that is {link}")
                if event.epoch != epoch and link == "live":
                    epoch = event.epoch  # the session was restarted: another life of the document begins
                elif event.epoch != epoch:
                    wrong.append(f"a snapshot of epoch {event.epoch}, attached to {epoch}")
                elif link == "live" and event.revision < revision:
                    wrong.append(f"a snapshot of {event.revision} after {revision}")
                revision, link = event.revision, "live"
            case Patch():
                if link != "live":
                    wrong.append(f"a patch to {event.revision} on a connection that is {link}")
                if event.base != revision:
                    wrong.append(f"a patch from {event.base}, but {revision} was there: {_gap(event.base, revision)}")
                if event.revision <= event.base:
                    wrong.append(f"a patch from {event.base} to {event.revision}")
                revision = event.revision
            case Closed():
                link = "none"
            case _:
                pass
    return wrong


def _gap(base: int, revision: int) -> str:
    return f"{base - revision} lost" if base > revision else f"{revision - base} came again"


def check_same(histories: Mapping[str, History]) -> list[str]:
    """Whether all have the same document at the same revision."""
    wrong: list[str] = []
    known: dict[tuple[str, int], tuple[int, str]] = {}
    for name, history in histories.items():
        epoch = ""
        for event in history:
            if isinstance(event, Attached | Snapshot):
                epoch = event.epoch
            if isinstance(event, Snapshot | Patch):
                digest, first = known.setdefault((epoch, event.revision), (event.digest, name))
                if digest != event.digest:
                    wrong.append(f"{name} and {first} have different documents at revision {event.revision}")
    return wrong


def check_final(histories: Mapping[str, History], final: Final) -> list[str]:
    """Whether these clients, who are attached, have what the server has."""
    wrong: list[str] = []
    for name, history in histories.items():
        last = next((event for event in reversed(history) if isinstance(event, Snapshot | Patch)), None)
        if last is None:
            wrong.append(f"{name} has no document")
        elif last.revision != final.revision:
            wrong.append(f"{name} is at revision {last.revision}, the server at {final.revision}")
        elif last.digest != final.digest:
            wrong.append(f"{name} has another document than the server at revision {final.revision}")
    return wrong


def check_sends(histories: Mapping[str, History], log: Iterable[str], *, is_over: bool = True) -> list[str]:
    """Whether each send ended once, and what was acknowledged was done exactly once.

    Args:
        histories: of all the clients that sent something.
        log: the labels in the server's document.
        is_over: whether every send must have ended by now.
    """
    wrong: list[str] = []
    done = Counter(log)
    for name, history in histories.items():
        labels: dict[int, str] = {}
        ends: Counter[int] = Counter()
        for event in history:
            if isinstance(event, Sent):
                labels[event.ticket] = event.label
            elif isinstance(event, Settled):
                ends[event.ticket] += 1
                label = labels.get(event.ticket)
                if label is None:
                    wrong.append(f"{name}: an end of a send that was never made ({event.ticket})")
                else:
                    wrong += [f"{name}: {label!r} {each}" for each in _check_send(event, done[label])]
        wrong += [f"{name}: {labels.get(ticket)!r} ended {count} times" for ticket, count in ends.items() if count > 1]
        if is_over:
            wrong += [f"{name}: {label!r} never ended" for ticket, label in labels.items() if ticket not in ends]
    return wrong


def _check_send(end: Settled, times: int) -> list[str]:
    if end.outcome == "answered":
        if times != 1:
            return [f"was acknowledged, and is {times} times in the document"]
        return [] if end.was_seen else ["was acknowledged before the client had it"]
    if end.outcome == "unknown":
        return [] if times <= 1 else [f"is {times} times in the document"]
    return [] if times == 0 else [f"was refused ({end.outcome}), and is {times} times in the document"]


def check_hooks(counts: Mapping[str, Mapping[str, int]], *, live: Iterable[str] = (), refused: str = "") -> list[str]:
    """Whether the hooks of each session ran once for each event.

    Args:
        counts: how often each hook ran, by session; a session's name may have been used several times.
        live: sessions that live still.
        refused: how the names of those begin that a created hook has refused, so that no destroyed hook is due.
    """
    wrong: list[str] = []
    alive = set(live)
    for session, hooks in counts.items():
        created, destroyed = hooks.get("created", 0), hooks.get("destroyed", 0)
        due = created - (session in alive)
        if refused and session.startswith(refused):
            due = 0
        if destroyed != due:
            wrong.append(f"{session}: created {created} times, destroyed {destroyed} times, and {due} were due")
        if hooks.get("built", 0) > created:
            wrong.append(f"{session}: built {hooks['built']} times, created {created} times")
        opened, closed = hooks.get("opened", 0), hooks.get("closed", 0)
        if session not in alive and not session.startswith("opened~") and closed != opened:
            wrong.append(f"{session}: opened {opened} times, closed {closed} times")
        if closed > opened:
            wrong.append(f"{session}: closed {closed} times, opened only {opened} times")
    return wrong


def check_ends(ends: Iterable[Sequence[str]], labels: Iterable[str], log: Iterable[str], kept: str) -> list[str]:
    """Whether each of the server's own asks, or borrows, ended once, and did what its end says.

    Args:
        ends: label and how it ended, of each.
        labels: all that there were.
        log: the labels in the document.
        kept: the end of those whose change is kept; all others were rolled back.
    """
    ended, done = Counter(end[0] for end in ends), Counter(log)
    wrong = [f"{label!r} ended {ended[label]} times" for label in labels if ended[label] != 1]
    for label, end in ends:
        if done[label] != (end == kept):
            wrong.append(f"{label!r} ended as {end}, and is {done[label]} times in the document")
    return wrong

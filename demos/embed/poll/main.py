"""A session's part: the counts of all, and what this visitor chose.

    {"question": "How shall we …?", "counts": {"A bridge": 12, …}, "chosen": null}

A visitor is a session here, so who loads the page anew may vote again; a real poll asks who they are.
"""

from __future__ import annotations

import attrs

from supervisor import Document, Rejected, receives

from .votes import QUESTION, votes


@attrs.frozen
class Vote:
    """A visitor has chosen."""

    option: str


@attrs.frozen
class Counted:
    """The counts have changed."""


def modify_document(doc: Document) -> None:
    doc.data = {"question": QUESTION, "counts": dict(votes.counts), "chosen": None}


@receives(Vote, from_client=True)
def on_vote(doc: Document, vote: Vote) -> None:
    if vote.option not in votes.counts:
        raise Rejected(f"The options are: {', '.join(votes.counts)}.")
    if doc.data["chosen"] is not None:
        raise Rejected("You have voted already.")
    doc.data["chosen"] = vote.option
    votes.add(vote.option)
    doc.data["counts"].update(votes.counts)  # at once for who voted; the others are told


@receives(Counted)  # from the producer only: no from_client
def on_counted(doc: Document, _: Counted) -> None:
    doc.data["counts"].update(votes.counts)

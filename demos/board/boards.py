"""All boards of the application: what is kept of each when nobody looks at it, and what everybody is told of all."""

from __future__ import annotations

import re
from typing import Any

import attrs

from supervisor import ApplicationContext, Request

FIRST = "kitchen"
COLUMNS = ["To do", "Doing", "Done"]
MAX_BOARDS = 50
_NAME = re.compile(r"[a-z0-9-]{1,24}")


@attrs.define
class Board:
    """One board, as the application keeps it. While somebody is on it, its session has the notes."""

    title: str
    notes: list[dict[str, Any]] = attrs.field(factory=list)
    people: int = 0
    count: int = 0


@attrs.frozen
class Boards:
    """What every session shows of all boards: `[{"name": "kitchen", "title": "Kitchen", "notes": 3, "people": 2}]`."""

    boards: list[dict[str, Any]]


def name_of(request: Request) -> str:
    """The board that a page asks for, as in /board?board=garden. What it asks for is untrusted."""
    asked = request.arguments.get("board", (FIRST,))[0]
    return asked if _NAME.fullmatch(asked) else FIRST


def overview(app_context: ApplicationContext) -> list[dict[str, Any]]:
    return [
        {"name": name, "title": board.title, "notes": board.count, "people": board.people}
        for name, board in app_context.state.boards.items()
    ]


async def announce(app_context: ApplicationContext) -> None:
    """Tell every session how things stand: one message to each mailbox."""
    await app_context.broadcast(Boards(overview(app_context)))

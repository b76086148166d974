"""How tests let a backlog grow."""

from ..peers import (
    all_blocked,
)


def fill(doc, size, mark="x"):
    doc.data["text"] = mark * size


async def put(session, size, mark="x"):
    await session.with_locked_document(fill, size, mark)
    await all_blocked()


def pile(doc, size, mark):
    """What can't be merged with what others piled up."""
    doc.data[mark] = mark * size


async def pile_up(session, size, mark):
    await session.with_locked_document(pile, size, mark)
    await all_blocked()


def told(session):
    """What the story says of the only connection, without its name."""
    return [entry.text.partition(" ")[2] for entry in session.story if entry.kind == "connection"]

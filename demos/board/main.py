"""One board: a session that everybody on it shares, so that there is one document and one order of edits.

{"name": "kitchen", "title": "Kitchen", "columns": ["To do", "Doing", "Done"],
 "notes": [{"id": "k3j9", "text": "Milk", "column": 0, "votes": 2, "by": "Ada"}, …],
 "log": ["Ada added a note", …],
 "boards": [{"name": "kitchen", "title": "Kitchen", "notes": 3, "people": 2}, …]}
"""

from __future__ import annotations

from typing import Any

import attrs

from supervisor import Change, ConnectionContext, Document, Edit, Rejected, receives

from .boards import COLUMNS, Board, Boards, announce, name_of, overview

MAX_NOTES = 200
MAX_TEXT = 500
MAX_TITLE = 60
LOG = 8


@attrs.frozen
class Vote:
    """A visitor likes a note. A message and not an edit: two votes at once must count as two."""

    note: str


@attrs.frozen
class ClearDone:
    """Throw all notes of the last column away."""


def modify_document(doc: Document) -> None:
    app_context = doc.session_context.application
    name = name_of(doc.session_context.request)
    board: Board = app_context.state.boards[name]
    doc.data = {
        "name": name,
        "title": board.title,
        "columns": COLUMNS,
        "notes": board.notes,
        "log": [],
        "boards": overview(app_context),
    }
    doc.allow_edits("/title", check_title)
    doc.allow_edits("/notes/*", check_note)
    doc.on_change("/title", on_title)
    doc.on_change("/notes", on_notes)


def check_title(doc: Document, edit: Edit) -> Edit:
    title = edit.value.strip() if isinstance(edit.value, str) else ""
    if not 1 <= len(title) <= MAX_TITLE:
        raise Rejected(f"A title has 1 to {MAX_TITLE} characters.")
    return attrs.evolve(edit, value=title)


def check_note(doc: Document, edit: Edit) -> Edit | None:
    """Take what a page may do to notes: add one, which is completed here, remove one, write its text, move it."""
    match edit.op, edit.keys[2:], edit.value:
        case "remove", (), _:
            return None
        case "insert", (), {"id": str(id), "text": str(text), "column": int(column)}:
            if len(doc.data["notes"]) >= MAX_NOTES:
                raise Rejected(f"A board holds {MAX_NOTES} notes; throw some away.")
            if not id or len(id) > 40 or find(doc, id) is not None:
                raise Rejected("A note needs an id of its own.")
            check_text(text)
            check_column(column)
            # How many like it and who wrote it is not for the page to say. What the page writes into the note that it
            # sent, before it has this one, goes into this one.
            note = {"id": id, "text": text, "column": column, "votes": 0, "by": who(edit.connection)}
            return attrs.evolve(edit, value=note)
        case "set", ("text",), str(text):
            check_text(text)
            return None
        case "set", ("column",), int(column):
            check_column(column)
            return None
    raise Rejected("Of a note, only its text and its column can be changed.")


def check_text(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise Rejected(f"A note has at most {MAX_TEXT} characters.")


def check_column(column: int) -> None:
    if column not in range(len(COLUMNS)) or isinstance(column, bool):
        raise Rejected("There is no such column.")


@receives(Vote, from_client=True)
def on_vote(doc: Document, vote: Vote) -> int:
    note = find(doc, vote.note)
    if note is None:
        raise Rejected("That note is gone.")
    note["votes"] += 1
    return int(note["votes"])


@receives(ClearDone, from_client=True)
def on_clear_done(doc: Document, message: ClearDone) -> None:
    notes: list[dict[str, Any]] = doc.data["notes"]
    for index in reversed(range(len(notes))):
        if notes[index]["column"] == len(COLUMNS) - 1:
            del notes[index]


@receives(Boards)
def on_boards(doc: Document, message: Boards) -> None:
    doc.data["boards"] = message.boards


async def on_title(doc: Document, change: Change) -> None:
    log(doc, f"{who(change.connection)} named the board {doc.data['title']}")
    board(doc).title = doc.data["title"]
    await announce(doc.session_context.application)


async def on_notes(doc: Document, change: Change) -> None:
    name = who(change.connection)
    for operation in change.operations:
        match operation["op"], operation["path"].split("/")[3:]:
            case "add", []:
                log(doc, f"{name} added a note")
            case "remove", []:
                log(doc, f"{name} removed a note")
            case "replace", ["column"]:
                log(doc, f"{name} moved a note to {COLUMNS[operation['value']]}")
    count = len(doc.data["notes"])
    if board(doc).count != count:
        board(doc).count = count
        await announce(doc.session_context.application)


def board(doc: Document) -> Board:
    boards: dict[str, Board] = doc.session_context.application.state.boards
    return boards[doc.data["name"]]


def find(doc: Document, id: str) -> dict[str, Any] | None:
    return next((note for note in doc.data["notes"] if note["id"] == id), None)


def log(doc: Document, line: str) -> None:
    doc.data["log"].append(line)
    if len(doc.data["log"]) > LOG:
        del doc.data["log"][0]


def who(connection: ConnectionContext | None) -> str:
    """The name that the login gave, else the one that the page gave, which is untrusted."""
    if connection is None:
        return "The server"
    given = connection.metadata.get("name")
    return connection.name or (given[:24] if isinstance(given, str) and given.strip() else "Somebody")

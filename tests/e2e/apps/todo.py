"""A list that clients may edit, with rules; its page is the generic one."""

import attrs

from supervisor import Rejected

MOST = 12


def modify_document(doc):
    doc.data = {
        "title": "Saturday",
        "notes": [
            {"text": "milk", "done": False, "amount": 2},
            {"text": "bread", "done": True, "amount": 1},
            {"text": "coffee", "done": False, "amount": 0.5},
        ],
        "tags": ["home", "shop"],
        "settings": {"colour": "green", "limit": 5, "until": None},
        "changes": 0,
    }
    doc.allow_edits("/title", tidy)
    doc.allow_edits("/notes/*", check)
    doc.allow_edits("/tags/*")
    doc.allow_edits("/settings")
    doc.on_change("/notes", count)


def tidy(doc, edit):
    return attrs.evolve(edit, value=str(edit.value).strip())


def check(doc, edit):
    if edit.op == "insert" and len(doc.data["notes"]) >= MOST:
        raise Rejected("The list is full.")
    if edit.keys[-1] == "text" and edit.value == "":
        raise Rejected("A note needs a text.")


def count(doc, change):
    doc.data["changes"] += 1

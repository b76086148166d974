"""A plan for the week: visitors fill in the days, add chores and tick them off."""

import attrs

from supervisor import Rejected


def modify_document(doc):
    doc.data = {"title": "This week", "days": {"monday": "", "tuesday": ""}, "chores": [], "log": []}
    doc.allow_edits("/days/*", check_day)
    doc.allow_edits("/chores/*", check_chore)
    doc.allow_edits("/chores/*/done")
    doc.on_change("/days", note_change)


def check_day(doc, edit):
    if edit.op != "set" or edit.keys[-1] not in doc.data["days"]:
        raise Rejected("Write into the days that are there.")
    if not isinstance(edit.value, str):
        raise Rejected("A day holds a text.")
    return attrs.evolve(edit, value=edit.value.strip()[:80])


def check_chore(doc, edit):
    if edit.op == "remove":
        return None
    if edit.op != "insert" or not isinstance(edit.value, str) or not edit.value:
        raise Rejected("A new chore is a text.")
    if len(doc.data["chores"]) == 20:
        raise Rejected("Twenty chores are enough.")
    return attrs.evolve(edit, value={"text": edit.value[:80], "done": False})


def note_change(doc, change):
    who = change.connection.peer if change.connection is not None else "the server"
    doc.data["log"].append([who, [operation["path"] for operation in change.operations]])
    del doc.data["log"][:-10]

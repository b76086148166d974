"""A list that several windows edit at once; a text that begins with "no" is refused."""

from supervisor import Rejected


def modify_document(doc):
    doc.data = {"items": [{"text": letter} for letter in "abcdef"], "title": "Board", "counts": {}}
    doc.allow_edits("/items/*", check)
    doc.allow_edits("/title", check)
    doc.allow_edits("/counts")


def check(doc, edit):
    text = edit.value.get("text") if isinstance(edit.value, dict) else edit.value
    if isinstance(text, str) and text.startswith("no"):
        raise Rejected("That is a no.")

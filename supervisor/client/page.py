"""What a client reads in a page: the element that describes its session, or the sentence of an error. Pure.

A page is untrusted: it comes from whatever answers at the address.
"""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import final

import attrs

MAX_SENTENCE = 300
"""Characters of a page's sentence that are repeated: a person reads it on one line."""


@final
@attrs.frozen(kw_only=True)
class Entry:
    """What `<meta name="supervisor" content='{"session":"ID","token":"…","websocket":"/…", …}'>` says."""

    session: str
    token: str = attrs.field(repr=False)
    websocket: str
    """A path on the page's server."""
    max_message_size: int | None = None
    """Characters of a frame that the server takes; None if it doesn't say."""


def read_entry(text: str) -> Entry | None:
    """The element of a session's page; None if there is none that makes sense."""
    reader = _Reader()
    reader.feed(text)
    if reader.content is None:
        return None
    try:
        content = json.loads(reader.content)
    except (ValueError, RecursionError):
        return None
    names = ("session", "token", "websocket")
    if not isinstance(content, dict) or not all(content.get(name) and isinstance(content[name], str) for name in names):
        return None
    size = content.get("max_message_size")
    return Entry(**{name: content[name] for name in names}, max_message_size=size if type(size) is int else None)


def read_sentence(text: str) -> str:
    """What a page says to people: its first heading and first paragraph, or its first line if it is no HTML."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    said = [" ".join(part.split()) for part in (reader.heading or reader.title, reader.paragraph)]
    if not any(said):
        said = [" ".join(reader.text.strip().partition("\n")[0].split())]
    sentence = ". ".join(part.removesuffix(".") for part in said if part)
    sentence = "".join(character for character in sentence if character.isprintable())
    return sentence if len(sentence) <= MAX_SENTENCE else sentence[: MAX_SENTENCE - 1] + "…"


@final
class _Reader(HTMLParser):
    """Collects the first of each thing that is looked for."""

    _LOOKED_FOR = ("title", "h1", "p")
    _SILENT = ("script", "style")

    def __init__(self) -> None:
        super().__init__()
        self.content: str | None = None
        self.text = ""
        self._said: dict[str, str] = {}
        # Of _LOOKED_FOR, the one that is read now.
        self._inside: str | None = None
        self._is_silent = False

    @property
    def title(self) -> str:
        return self._said.get("title", "")

    @property
    def heading(self) -> str:
        return self._said.get("h1", "")

    @property
    def paragraph(self) -> str:
        return self._said.get("p", "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta" and self.content is None:
            given = dict(attrs)
            if given.get("name") == "supervisor":
                self.content = given.get("content")
        elif tag in self._LOOKED_FOR and tag not in self._said:
            self._inside = tag
            self._said[tag] = ""
        elif tag in self._SILENT:
            self._is_silent = True

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None
        elif tag in self._SILENT:
            self._is_silent = False

    def handle_data(self, data: str) -> None:
        if self._is_silent:
            return
        self.text += data
        if self._inside is not None:
            self._said[self._inside] += data

"""The page of an exported document: one file that shows it as a tree, without a script, and needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup, escape

from supervisor.transport.pages import TEMPLATES, make_environment

_OPEN_LEVELS = 3
"""How deep a reader sees without unfolding anything."""
_OPEN_SIZE = 50
"""The most that a container may hold and be unfolded at first: more would hide what comes after it."""


def render_exported(title: str, data: dict[str, Any], *, made_at: str) -> str:
    """The page as HTML.

    Args:
        title: the application's name.
        data: the document, as plain JSON data.
        made_at: when it was exported, for the reader.
    """
    tree = _tree(data)
    return (
        make_environment(TEMPLATES)
        .get_template("exported.html")
        .render(title=title, made_at=made_at, tree=tree, tree_is_empty=not data, source_of=_source_of)
    )


def _source_of(style: str) -> str:
    """A style element's text as a source of a Content-Security-Policy: its hash, since a file has no nonce."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def _tree(data: dict[str, Any]) -> Markup:
    """The document as nested lists. With a stack of its own: documents may be deeper than Python calls."""
    parts = ['<ul class="object">']
    open_items = [_items(data)]
    while open_items:
        row = next(open_items[-1], None)
        if row is None:
            open_items.pop()
            parts.append("</ul></details></li>" if open_items else "</ul>")
            continue
        key, value = row
        name = Markup('<span class="key">{}</span>').format(key)
        if not isinstance(value, dict | list):
            parts.append(Markup("<li>{}: {}</li>").format(name, _leaf(value)))
            continue
        braces, kind = ("{}", "object") if isinstance(value, dict) else ("[]", "array")
        if not value:
            parts.append(Markup('<li>{}: <span class="size">{} empty</span></li>').format(name, braces))
            continue
        size = f"{braces} {len(value):,} {'item' if len(value) == 1 else 'items'}"
        unfolded = Markup(" open") if len(open_items) < _OPEN_LEVELS and len(value) <= _OPEN_SIZE else ""
        summary = Markup('<summary>{}: <span class="size">{}</span></summary>').format(name, size)
        parts.append(Markup('<li><details{}>{}<ul class="{}">').format(unfolded, summary, kind))
        open_items.append(_items(value))
    return Markup("\n".join(parts))  # noqa: S704 (each part is escaped already)


def _items(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return ((str(index), item) for index, item in enumerate(value))


def _leaf(value: Any) -> Markup:
    if isinstance(value, str):
        kind, shown = "string", f'"{value}"'
    elif isinstance(value, bool) or value is None:
        kind, shown = "constant", {True: "true", False: "false", None: "null"}[value]
    else:
        kind, shown = "number", repr(value)
    return Markup('<span class="{}">{}</span>').format(kind, escape(shown))

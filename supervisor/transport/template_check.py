"""What is certainly wrong with an app's templates: found before anybody opens its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, final

import attrs
import jinja2
from jinja2 import meta, nodes

VARIABLES = frozenset({"nonce", "client_url", "static_url", "title", "prefix", "data", "supervisor_meta"})
"""What a template can use; see `Pages`."""

_CLIENT = "/-/client/"
# What else a page can load the client from.
_SCRIPTS = (".js", ".mjs", ".html")
# A static file that is named whole: by an element's attribute, or by an import.
_STATIC = re.compile(
    r"""(?:\b(?:src|href)\s*=|\b(?:from|import))\s*["']\{\{\s*static_url\s*\}\}/([\w./~-]+)["'](?!\s*\+)"""
)
_COMMENT = re.compile(r"\{#.*?#\}|<!--.*?-->", re.DOTALL)
_MAX_SCRIPT = 4 * 1024 * 1024


@final
@attrs.frozen
class TemplateProblem:
    """Something that can't work."""

    text: str
    """A sentence that names the file."""
    is_fatal: bool = False
    """Whether every page is answered with 500 for it."""


def check_templates(directory: Path) -> list[TemplateProblem]:
    """What can't work in an app's `templates/index.html`; nothing if there is no such file."""
    templates = directory / "templates"
    if not (templates / "index.html").is_file():
        return []
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(templates), autoescape=True)
    warnings: list[str] = []
    loads_client = False
    pending, seen = ["index.html"], {"index.html"}
    while pending:
        name = pending.pop(0)
        file = templates / name
        fault = None
        try:
            source = file.read_text("utf-8")
            tree = environment.parse(source)
        except OSError:
            continue  # one that may be missing: `{% include … ignore missing %}`
        except UnicodeDecodeError:
            fault = f"{file} is not text in UTF-8"
        except jinja2.TemplateSyntaxError as error:
            fault = f"{file}, line {error.lineno}: {error.message}"
        if fault is not None:  # what else there is to say can't be known
            problem = TemplateProblem(f"{fault}, so the page can't be made", is_fatal=name == "index.html")
            return [*map(TemplateProblem, warnings), problem]
        names = meta.find_undeclared_variables(tree)
        loads_client |= "client_url" in names or _CLIENT in source
        unknown = sorted(names - VARIABLES - set(environment.globals) - _asked_for(tree))
        warnings += (
            f"{file} uses {each}, which no page has; there are: {', '.join(sorted(VARIABLES))}" for each in unknown
        )
        warnings += (f"{file}, line {line}: {text}" for line, text in _blocked(source))
        warnings += (f"{file}, line {line}: {text}" for line, text in _missing(tree, source, directory))
        for found in meta.find_referenced_templates(tree):
            if found is None:
                loads_client = True  # its name is made up as it goes, so nobody knows what is in it
            elif found not in seen:
                seen.add(found)
                pending.append(found)
    if not loads_client and not any(_CLIENT in text for text in _scripts(directory / "static")):
        warnings.append(
            f"{templates / 'index.html'} never loads the browser client, so its pages don't follow their document; "
            'write: import { connect } from "{{ client_url }}"'
        )
    return list(map(TemplateProblem, warnings))


def _asked_for(tree: nodes.Template) -> set[str]:
    """Names of which the template itself asks whether they are there."""
    asking = [*tree.find_all(nodes.Test), *tree.find_all(nodes.Filter)]
    return {
        name.name
        for each in asking
        if each.name in ("defined", "undefined", "default", "d") and each.node is not None
        for name in (each.node, *each.node.find_all(nodes.Name))
        if isinstance(name, nodes.Name)
    }


def _missing(tree: nodes.Template, source: str, directory: Path) -> Iterator[tuple[int, str]]:
    """What the template names and isn't there, with its lines."""
    each: Any  # jinja2 has no type for what they have in common
    for each in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        named = each.template.value if isinstance(each.template, nodes.Const) else None
        if isinstance(each, nodes.Include) and each.ignore_missing:
            continue
        if isinstance(named, str) and not (directory / "templates" / named).is_file():
            yield each.lineno, f"there is no file templates/{named}, so the page can't be made"
    source = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source)
    for found in _STATIC.finditer(source):
        if not (directory / "static" / found[1]).exists():
            yield source.count("\n", 0, found.start()) + 1, f"there is no file static/{found[1]}"


def _scripts(static: Path) -> Iterator[str]:
    for file in static.rglob("*") if static.is_dir() else ():
        if file.suffix in _SCRIPTS and file.is_file() and file.stat().st_size <= _MAX_SCRIPT:
            yield file.read_text("utf-8", "replace")


def _blocked(source: str) -> list[tuple[int, str]]:
    """The inline scripts and styles that browsers refuse for want of the nonce, with their lines."""
    reader = _InlineElements()
    reader.feed(source)
    reader.close()
    return reader.blocked


@final
class _InlineElements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.blocked: list[tuple[int, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser.handle_starttag`."""
        given = dict(attrs)
        if tag not in ("script", "style") or "nonce" in given or "src" in given:
            return
        written = self.get_starttag_text() or ""
        if "{{" in written or "{%" in written:  # what the template puts there isn't known yet
            return
        kind = (given.get("type") or "").lower()
        if tag == "script" and kind not in ("", "module", "importmap") and "javascript" not in kind:
            return  # data, which no browser runs
        self.blocked.append(
            (self.getpos()[0], f'browsers refuse this {tag} element; write <{tag} nonce="{{{{ nonce }}}}">')
        )

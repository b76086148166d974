"""Pages: an app's own template or the generic one, the index, and errors; and the headers that every page carries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import attrs
import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

_COMMENT = r"<!--.*?-->"
_HEAD = re.compile(rf"{_COMMENT}|(?P<head><head(?=[\s>])[^>]*>)", re.IGNORECASE | re.DOTALL)
# A browser that finds anything but this before the doctype shows the page in quirks mode.
_SPACE = rf"(?:[\s\ufeff]|{_COMMENT})*"
_START = re.compile(rf"(?:{_SPACE}<!doctype\b[^>]*>)?(?:{_SPACE}<html(?=[\s>])[^>]*>)?", re.IGNORECASE | re.DOTALL)


@final
@attrs.frozen(kw_only=True)
class PageContext:
    """What one page is about."""

    title: str
    """The application's name."""
    session: str
    token: str
    websocket: str
    """The path of the websocket, with the prefix."""


@final
class Pages:
    """Renders pages. One for each server.

    Templates get these variables: `nonce`, for script and style elements; `client_url`, to import the browser client
    from; `static_url`, where the app's `static/` is served (without a slash at the end); `title`; `prefix`; and
    `supervisor_meta`, the `<meta>` element, for templates that want to place it themselves.
    """

    def __init__(self, *, prefix: str, new_nonce: Callable[[], str]) -> None:
        self._prefix = prefix
        self._new_nonce = new_nonce
        self._own = _environment(Path(__file__).parent / "templates")
        self._of_apps: dict[Path, jinja2.Environment] = {}

    def live_page(self, directory: Path | None, page: PageContext) -> Response:
        """The page of a session: the app's `templates/index.html`, or the generic live page.

        Raises:
            jinja2.TemplateError: the app's template is wrong (and whatever its expressions raise).
        """
        nonce = self._new_nonce()
        meta = self._meta(page)
        variables = {
            "nonce": nonce,
            "client_url": f"{self._prefix}/-/client/supervisor.js",
            "static_url": f"{self._prefix}/{page.title}/static",
            "title": page.title,
            "prefix": self._prefix,
            "supervisor_meta": meta,
        }
        template = self._template_of(directory) or self._own.get_template("generic.html")
        text = template.render(variables)
        if meta not in text:
            text = insert_into_head(text, meta)
        return self._respond(text, nonce=nonce)

    def index(self, names: list[str]) -> Response:
        """The list of applications."""
        return self._page("index.html", {"names": names})

    def error(
        self,
        status: int,
        title: str,
        text: str,
        *,
        incident: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """A page that says what happened, and what can be done."""
        variables = {"status": status, "title": title, "text": text, "incident": incident}
        return self._page("error.html", variables, status=status, headers=headers)

    def _page(
        self, template: str, variables: dict[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        nonce = self._new_nonce()
        text = self._own.get_template(template).render({**variables, "nonce": nonce, "prefix": self._prefix})
        return self._respond(text, nonce=nonce, status=status, headers=headers)

    def _template_of(self, directory: Path | None) -> jinja2.Template | None:
        if directory is None or not (directory / "templates" / "index.html").is_file():
            return None
        if directory not in self._of_apps:
            self._of_apps[directory] = _environment(directory / "templates")
        return self._of_apps[directory].get_template("index.html")

    @staticmethod
    def _meta(page: PageContext) -> Markup:
        content = json.dumps({"session": page.session, "token": page.token, "websocket": page.websocket})
        return Markup('<meta name="supervisor" content="{}">').format(content)

    @staticmethod
    def _respond(text: str, *, nonce: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        # An author's text may hold lone surrogates, which UTF-8 can't carry.
        body = text.encode("utf-8", "replace")
        return HTMLResponse(body, status_code=status, headers={**page_headers(nonce), **(headers or {})})


def page_headers(nonce: str) -> dict[str, str]:
    """What every page carries: it is never cached, never indexed, leaks no address, and runs only what it names.

    Content Security Policy level 3: scripts and styles from this server, or with the nonce; `connect-src 'self'`
    covers the websocket of the page's own origin.
    """
    policy = [
        "default-src 'self'",
        f"script-src 'self' 'nonce-{nonce}'",
        f"style-src 'self' 'nonce-{nonce}'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


def insert_into_head(text: str, element: str) -> str:
    """The page with an element put first into its head; browsers make a head where a page has none."""
    found = next((found for found in _HEAD.finditer(text) if found["head"]), None) or _START.match(text)
    assert found is not None
    return text[: found.end()] + str(element) + text[found.end() :]


def _environment(templates: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), autoescape=True, undefined=jinja2.StrictUndefined
    )

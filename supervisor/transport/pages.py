"""Pages: an app's own template or the generic one, the index, and errors; and the headers that every page carries."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import attrs
import jinja2
import jinja2.runtime
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from supervisor.transport.safe_headers import content_policy
from supervisor.transport.tracebacks import explain

MAX_DATA = 256 * 1024
"""Bytes of a document that a page carries for the browser client; a larger one comes by the websocket alone."""

TEMPLATES = Path(__file__).parent / "templates"
"""Where our own are."""

_COMMENT = r"<!--.*?-->"
_HEAD = re.compile(rf"{_COMMENT}|(?P<head><head(?=[\s>])[^>]*>)", re.IGNORECASE | re.DOTALL)
# A browser that finds anything but this before the doctype shows the page in quirks mode.
_SPACE = rf"(?:[\s\ufeff]|{_COMMENT})*"
_START = re.compile(rf"(?:{_SPACE}<!doctype\b[^>]*>)?(?:{_SPACE}<html(?=[\s>])[^>]*>)?", re.IGNORECASE | re.DOTALL)
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)
# Inside of a script element these could end it, begin a comment, or not be JavaScript. In JSON they are parts of
# strings and of nothing else, so an escape means the same.
_ESCAPES = {
    b"<": rb"\u003c",
    b">": rb"\u003e",
    b"&": rb"\u0026",
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
}


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
    max_message_size: int
    """Of what clients send; see `WebSocketOptions`."""
    epoch: str = ""
    revision: int = 0
    document: bytes | None = b"{}"
    """The last committed document as JSON. None if it is not known yet whether the visitor may see it."""
    dev: DevContext | None = None
    """None but for a development server."""


@final
@attrs.frozen(kw_only=True)
class DevContext:
    """What a page of a development server needs to follow its app."""

    events: str
    """The path of the app's events, with the prefix."""
    version: str
    """The version of the app that the page is made of."""
    problem: str | None = None
    """What is wrong with the changed code, if the page itself says so: it needs no notice of the same over it."""


@final
@attrs.frozen
class WayOut:
    """A link that an error page offers."""

    text: str
    href: str


@final
@attrs.frozen(kw_only=True)
class Listed:
    """One application in the index."""

    name: str
    description: str
    sessions: int
    """How many are live."""
    has_failed: bool = False
    """Whether it is not served."""


@final
class Pages:
    """Renders pages. One for each server.

    Templates get these variables: `nonce`, for script and style elements; `client_url`, to import the browser client
    from; `static_url`, where the app's `static/` is served (without a slash at the end); `title`; `prefix`;
    `data`, a copy of the session's document, so that the page is useful before its websocket is up; and
    `supervisor_meta`, the `<meta>` element, for templates that want to place it themselves.
    """

    def __init__(
        self,
        *,
        prefix: str,
        new_nonce: Callable[[], str],
        names: Sequence[str] = (),
        embedders: Sequence[str] = (),
    ) -> None:
        self._prefix = prefix
        self._new_nonce = new_nonce
        self.embedders = embedders
        """Whose pages may show ours in a frame, in the policy's own words; see `origin.frame_source`."""
        # Where an error page leads if it knows nothing better: the list, or the one application there is.
        only = f"{prefix}/{names[0]}" if len(names) == 1 else None
        self._home = WayOut("All applications", f"{prefix}/") if only is None else WayOut(f"Open {names[0]}", only)
        self._own = make_environment(TEMPLATES)
        self._of_apps: dict[Path, jinja2.Environment] = {}

    def live_page(self, directory: Path | None, page: PageContext) -> Response:
        """The page of a session: the app's `templates/index.html`, or the generic live page.

        Raises:
            jinja2.TemplateError: the app's template is wrong (and whatever its expressions raise).
        """
        nonce = self._new_nonce()
        meta = self._meta(page)
        template = self._template_of(directory)
        variables = {
            "nonce": nonce,
            "client_url": f"{self._prefix}/-/client/supervisor.js",
            "static_url": f"{self._prefix}/{page.title}/static",
            "title": page.title,
            "prefix": self._prefix,
            "data": _Document(page.document),
            "supervisor_meta": meta,
        }
        text = (template or self._own.get_template("generic.html")).render(variables)
        if meta not in text:
            text = insert_into_head(text, meta)
        text = insert_into_head(text, self._dev_elements(page.dev, nonce))
        text = insert_at_end(text, _data_element(page, nonce))
        return self._respond(text, nonce=nonce)

    def index(self, applications: Sequence[Listed]) -> Response:
        """The list of applications."""
        return self._page("index.html", {"applications": applications})

    def error(
        self,
        status: int,
        title: str,
        text: str,
        *,
        ways_out: Sequence[WayOut] = (),
        incident: str | None = None,
        error: BaseException | None = None,
        dev: DevContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """A page that says what happened, and what can be done.

        Args:
            status: the HTTP status.
            title: what happened, in a few words.
            text: the same in a sentence, and what to do; untrusted texts are escaped.
            ways_out: links, the most likely first; by default one to the list of applications.
            incident: what the log has too.
            error: its traceback is shown: only for a development server.
            dev: for a development server, whose error pages follow as well.
            headers: beside those of every page.
        """
        variables = {
            "status": status,
            "title": title,
            "text": text,
            "ways_out": ways_out or (self._home,),
            "incident": incident,
            "parts": () if error is None else explain(error),
        }
        return self._page("error.html", variables, status=status, dev=dev, headers=headers)

    def _page(
        self,
        template: str,
        variables: dict[str, Any],
        *,
        status: int = 200,
        dev: DevContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        nonce = self._new_nonce()
        text = self._own.get_template(template).render({**variables, "nonce": nonce, "prefix": self._prefix})
        text = insert_into_head(text, self._dev_elements(dev, nonce))
        return self._respond(text, nonce=nonce, status=status, headers=headers)

    def _template_of(self, directory: Path | None) -> jinja2.Template | None:
        if directory is None or not (directory / "templates" / "index.html").is_file():
            return None
        if directory not in self._of_apps:
            self._of_apps[directory] = make_environment(directory / "templates")
        return self._of_apps[directory].get_template("index.html")

    def _dev_elements(self, dev: DevContext | None, nonce: str) -> Markup:
        """What makes a page follow its app's changes."""
        if dev is None:
            return Markup()
        content = json.dumps({"events": dev.events, "version": dev.version, "problem": dev.problem})
        meta = Markup('<meta name="supervisor-dev" content="{}">').format(content)
        script = Markup('<script type="module" src="{}" nonce="{}"></script>')
        return meta + script.format(f"{self._prefix}/-/client/dev.js", nonce)

    @staticmethod
    def _meta(page: PageContext) -> Markup:
        names = ("session", "token", "websocket", "max_message_size")
        content = json.dumps({name: getattr(page, name) for name in names})
        return Markup('<meta name="supervisor" content="{}">').format(content)

    def _respond(
        self, text: str, *, nonce: str, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        # An author's text may hold lone surrogates, which UTF-8 can't carry.
        body = text.encode("utf-8", "replace")
        return HTMLResponse(
            body, status_code=status, headers={**page_headers(nonce, self.embedders), **(headers or {})}
        )


def page_headers(nonce: str, embedders: Sequence[str] = ()) -> dict[str, str]:
    """What every page carries: it is never cached, never indexed, and runs only what it names. See `safe_headers`."""
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": content_policy(embedders, nonce),
        "X-Robots-Tag": "noindex",
    }


def insert_into_head(text: str, element: str) -> str:
    """The page with an element put first into its head; browsers make a head where a page has none."""
    found = next((found for found in _HEAD.finditer(text) if found["head"]), None) or _START.match(text)
    assert found is not None
    return text[: found.end()] + str(element) + text[found.end() :]


def insert_at_end(text: str, element: str) -> str:
    """The page with an element put last into its body, where it delays nothing of what is to be seen."""
    *_, end = [len(text), *(found.start() for found in _BODY_END.finditer(text))]
    return text[:end] + str(element) + text[end:]


@final
class _Document:
    """The document for a template: decoded once, when the template asks for it, since it may be large."""

    def __init__(self, encoded: bytes | None) -> None:
        self._encoded = encoded

    @functools.cached_property
    def data(self) -> Any:
        """Where there is none it is undefined, and nothing at any depth."""
        return jinja2.ChainableUndefined(name="data") if self._encoded is None else json.loads(self._encoded)


class _Context(jinja2.runtime.Context):
    """A template's variables."""

    def resolve_or_missing(self, key: str) -> Any:
        """See `jinja2.runtime.Context.resolve_or_missing`."""
        found = super().resolve_or_missing(key)
        return found.data if isinstance(found, _Document) else found


def _data_element(page: PageContext, nonce: str) -> str:
    """The document for the browser client, `{"epoch":…,"revision":…,"data":…}`; or nothing: also if it is too large."""
    if page.document is None or len(page.document) > MAX_DATA:
        return ""
    document = page.document
    for character, escape in _ESCAPES.items():
        document = document.replace(character, escape)
    begin = json.dumps({"epoch": page.epoch, "revision": page.revision})[:-1]
    element = Markup('<script type="application/json" id="supervisor-data" nonce="{}">').format(nonce)
    return f'{element}{begin},"data":{document.decode()}}}</script>'


def make_environment(templates: Path) -> jinja2.Environment:
    """How pages are made of a directory of templates: what is put in is escaped, and what isn't there is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.context_class = _Context
    environment.policies["json.dumps_kwargs"] = {**environment.policies["json.dumps_kwargs"], "default": _nothing}
    return environment


def _nothing(value: object) -> None:
    """What `tojson` makes of a document that is not shown yet."""
    if not isinstance(value, jinja2.ChainableUndefined):
        raise TypeError(f"{type(value).__name__} can't be written as JSON")

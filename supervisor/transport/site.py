"""What the pages of one server need, and what all of its addresses do alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, final, get_args

import attrs
from starlette.requests import Request as WebRequest
from starlette.responses import Response

from supervisor.actor.guard import new_incident_id
from supervisor.application.actor import ApplicationActor
from supervisor.instruments import Instruments
from supervisor.transport.development import Development
from supervisor.transport.health import Health
from supervisor.transport.pages import Pages

SessionIds = Literal["generated", "any", "external-signed"]
"""`generated`: only ids that this server made, and only live ones can be joined. `any`: whatever `?session=` gives.
`external-signed`: only ids that somebody signed with one of the server's keys, and none is made here."""


def check_prefix(_: object, __: object, prefix: object) -> None:
    """Raise `ValueError` for what can't be put before every path."""
    if not isinstance(prefix, str) or not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", prefix):
        raise ValueError(f"a prefix must be empty, or a path such as /tools/live, not {prefix!r}")


def check_session_ids(_: object, __: object, session_ids: str) -> None:
    """Raise `ValueError` for an unknown word, which else would count as the weakest."""
    if session_ids not in get_args(SessionIds):
        raise ValueError(f"session_ids must be one of {', '.join(get_args(SessionIds))}, not {session_ids!r}")


@final
@attrs.frozen(kw_only=True)
class Site:
    """What the pages of one server need."""

    applications: Mapping[str, ApplicationActor]
    """By name; under development another one may take a name over."""
    pages: Pages
    prefix: str
    session_ids: SessionIds
    max_message_size: int
    """Of what clients send; see `WebSocketOptions`."""
    new_session_id: Callable[[], str]
    read_signed_id: Callable[[str], str]
    """The id that a signed one stands for; raises `IdRefused`."""
    sign: Callable[[ApplicationActor, str], str]
    """The token that lets a page attach to a session of an application."""
    health: Callable[[], Health]
    """The state of the server now."""
    report: Callable[[str, BaseException], str]
    """Hands a failure that is no application's to the instruments; returns the incident's id."""
    instruments: Instruments
    development: Development | None = None
    """None but for a development server."""


class Endpoint:
    """An ASGI app of one address, which answers GET and HEAD."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer; what `answer` raises is reported, and a page says so."""
        if scope["method"] not in ("GET", "HEAD"):
            response = not_allowed(self._site)
        else:
            try:
                response = await self.answer(WebRequest(scope, receive))
            except Exception as error:  # a bug of ours, but its visitor is told as much as of an app's
                incident = self._site.report("page", error)
                response = self._site.pages.error(500, *_FAILED, incident=incident, error=_shown(self._site, error))
        await response(scope, receive, send)

    async def answer(self, request: WebRequest) -> Response:
        """Make the answer to a GET or HEAD; the bridge leaves a HEAD's body out."""
        raise NotImplementedError


_LONGEST_PATH = 200
"""Bytes of an address in the log: who makes them up shall not fill it."""
_FAILED = ("Something went wrong", "The server could not make this page. That is not your fault.")


def _shown(site: Site, error: BaseException) -> BaseException | None:
    """What of a failure strangers may see."""
    return None if site.development is None else error


def report_refusal(site: Site, request: WebRequest, status: int, title: str, *, application: str = "-") -> str:
    """Tell the instruments who gets no page: `404 Nothing is here: /chat/x`. Returns the incident's id.

    Without the address's query, which may hold what lets somebody in.
    """
    incident = new_incident_id()
    path = request.scope["raw_path"][:_LONGEST_PATH].decode("latin-1")
    site.instruments.page_refused(application=application, reason=f"{status} {title}: {path}", incident=incident)
    return incident


def not_allowed(site: Site) -> Response:
    """The answer to other methods."""
    text = "Only GET and HEAD are answered here: pages send what they have to say by their websocket."
    return site.pages.error(405, "That can't be done here", text, headers={"Allow": "GET, HEAD"})

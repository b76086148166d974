"""The pages' half of the port, as an ASGI app: live pages, static files, the browser client, the index, health.

Essay: only a page's GET creates a session. HEAD asks about a page without wanting one, and a prefetch is a browser's
guess; a session for each of them would be a session for nobody. Creating is the application's work and not the
request's: a visitor who leaves while hooks run ends only the wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, final

import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as WebRequest
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles

from supervisor.application.actor import ApplicationActor
from supervisor.application.creation import Busy, Created, Failed, Refused
from supervisor.identity import is_well_formed
from supervisor.session.actor import SessionActor
from supervisor.transport.pages import PageContext, Pages
from supervisor.transport.requests import read_request

_BROWSER_CLIENT = Path(__file__).parent.parent / "browser"

SessionIds = Literal["generated", "any"]
"""`generated`: only ids that this server made, and only live ones can be joined. `any`: whatever `?session=` gives."""


@final
@attrs.frozen(kw_only=True)
class Site:
    """What the pages of one server need."""

    applications: dict[str, ApplicationActor]
    pages: Pages
    prefix: str
    session_ids: SessionIds
    new_session_id: Callable[[], str]
    sign: Callable[[ApplicationActor, str], str]
    """The token that lets a page attach to a session of an application."""
    health: Callable[[], str]
    """The status word."""


def make_web_app(site: Site) -> Starlette:
    """The ASGI app of a site, for `bridge.serve_http`."""
    routes = [
        Route("/", _IndexPage(site)),
        Route("/-/health", _Health(site)),
        Mount("/-/client", _StaticFiles(directory=_BROWSER_CLIENT)),
    ]
    for name, application in site.applications.items():
        page = _LivePage(site, application)
        routes.append(Route(f"/{name}", page))
        routes.append(Route(f"/{name}/", page))
        directory = application.definition.directory
        if directory is not None and (directory / "static").is_dir():
            routes.append(Mount(f"/{name}/static", _StaticFiles(directory=directory / "static")))
    if site.prefix:
        routes = [
            Route(site.prefix, _IndexPage(site)),
            Mount(site.prefix, Router(routes, redirect_slashes=False)),
        ]

    async def not_found(request: WebRequest, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return site.pages.error(404, "Nothing is here", "This address leads to no page of this server.")
        headers = {"Allow": "GET, HEAD"} if error.status_code == 405 else error.headers
        return site.pages.error(error.status_code, error.detail, f"{error.detail}.", headers=headers)

    app = Starlette(routes=routes, exception_handlers={HTTPException: not_found})
    app.router.redirect_slashes = False
    return app


@final
class _StaticFiles(StaticFiles):
    """Files that browsers ask about before they use their copy: after an upgrade all of them are the new ones."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """See `StaticFiles.file_response`."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


class _Endpoint:
    """An ASGI app of one address, which answers GET and HEAD."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            response: Response = PlainTextResponse(
                "Only GET and HEAD are answered here.\n", status_code=405, headers={"Allow": "GET, HEAD"}
            )
        else:
            response = await self.answer(WebRequest(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: WebRequest) -> Response:
        """Make the answer to a GET or HEAD; the bridge leaves a HEAD's body out."""
        raise NotImplementedError


@final
class _Health(_Endpoint):
    async def answer(self, request: WebRequest) -> Response:
        """The status word and nothing else, for load balancers and strangers."""
        return PlainTextResponse(self._site.health() + "\n", headers={"Cache-Control": "no-store"})


@final
class _IndexPage(_Endpoint):
    async def answer(self, request: WebRequest) -> Response:
        """The list of applications; a server of one leads to it."""
        names = list(self._site.applications)
        if len(names) == 1:
            query = request.url.query
            target = f"{self._site.prefix}/{names[0]}" + (f"?{query}" if query else "")
            return RedirectResponse(target, headers={"Cache-Control": "no-store"})
        return self._site.pages.index(names)


@final
class _LivePage(_Endpoint):
    def __init__(self, site: Site, application: ApplicationActor) -> None:
        super().__init__(site)
        self._application = application

    async def answer(self, request: WebRequest) -> Response:
        """The page of a session, which this creates or joins."""
        pages = self._site.pages
        if request.method == "HEAD":
            return Response(media_type="text/html", headers={"Cache-Control": "no-store", "X-Robots-Tag": "noindex"})
        purpose = request.headers.get("sec-purpose", request.headers.get("purpose", ""))
        if "prefetch" in purpose.lower():
            return pages.error(503, "Not in advance", "A session is created when its page is opened, not before.")
        wanted = request.query_params.get("session")
        if wanted is None:
            return await self._open(self._site.new_session_id(), request)
        if self._site.session_ids == "generated":
            if self._application.find(wanted) is None:
                text = "Sessions end some time after their last page was closed. Open a new one."
                return pages.error(404, "This session is over", text)
        elif not is_well_formed(wanted):
            text = "A session id has 1 to 128 characters, which are letters, digits and . _ ~ -"
            return pages.error(400, "That is no session id", text)
        return await self._open(wanted, request)

    async def _open(self, id: str, request: WebRequest) -> Response:
        pages, application = self._site.pages, self._application
        client = request.scope.get("client")
        raw_query = request.scope["query_string"]
        outcome = await application.open_session(
            id,
            read_request(
                request.scope["raw_path"] + (b"?" + raw_query if raw_query else b""),
                request.scope["headers"],
                remote_address=client[0] if client else None,
            ),
        )
        match outcome:
            case Created(session):
                return self._live(session)
            case Refused(reason):
                return pages.error(403, "No entry", reason or "This application does not let you in.")
            case Failed(incident):
                text = "The application could not make your session. That is not your fault."
                return pages.error(500, "Something went wrong", text, incident=incident)
            case Busy(retry_after):
                seconds = max(1, math.ceil(retry_after))
                text = f"There is no room for another session just now. Try again in {seconds} s."
                return pages.error(503, "Busy", text, headers={"Retry-After": str(seconds)})

    def _live(self, session: SessionActor) -> Response:
        application = self._application
        name = application.application
        page = PageContext(
            title=name,
            session=session.id,
            token=self._site.sign(application, session.id),
            websocket=f"{self._site.prefix}/{name}/-/websocket",
        )
        try:
            return self._site.pages.live_page(application.definition.directory, page)
        except Exception as error:  # an app's template can raise anything; its session stays for those who have it
            incident = session.report("templates/index.html", error)
            text = "The application's page could not be made. That is not your fault."
            return self._site.pages.error(500, "Something went wrong", text, incident=incident)

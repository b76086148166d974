"""The pages' half of the port, as an ASGI app: live pages, static files, the browser client, the index, health."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, final

import anyio._backends._trio  # noqa: F401  # else the first static file would load it, and hold the loop meanwhile
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as WebRequest
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles

from supervisor.transport.events import Events
from supervisor.transport.live_page import LivePage
from supervisor.transport.pages import Listed
from supervisor.transport.safe_headers import SafeHeaders
from supervisor.transport.site import Endpoint, Site, not_allowed, report_refusal

_BROWSER_CLIENT = Path(__file__).parent.parent / "browser"


def make_web_app(site: Site) -> SafeHeaders:
    """The ASGI app of a site, for `bridge.serve_http`."""
    routes = [
        Route("/", _IndexPage(site)),
        Route("/-/health", _Health(site)),
        Route("/-/health/live", _Live(site)),
        Route("/-/health/ready", _Ready(site)),
        Mount("/-/client", _StaticFiles(directory=_BROWSER_CLIENT)),
    ]
    for name, application in site.applications.items():
        page = LivePage(site, name)
        routes.append(Route(f"/{name}", page))
        routes.append(Route(f"/{name}/", page))
        directory = application.definition.directory
        if directory is not None and (site.development or (directory / "static").is_dir()):
            routes.append(Mount(f"/{name}/static", _StaticFiles(directory=directory / "static")))
        if site.development is not None:
            routes.append(Route(f"/{name}/-/dev", Events(site, site.development, name)))
    if site.prefix:
        routes = [
            Route(site.prefix, _IndexPage(site)),
            Mount(site.prefix, Router(routes, redirect_slashes=False)),
        ]

    routes.append(Route("/favicon.ico", _NoIcon(site)))

    async def not_found(request: WebRequest, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            text = "This address leads to no page of this server. Look whether it is complete."
            incident = report_refusal(site, request, 404, "Nothing is here")
            return site.pages.error(404, "Nothing is here", text, incident=incident)
        if error.status_code == 405:
            return not_allowed(site)
        return site.pages.error(error.status_code, error.detail, f"{error.detail}.", headers=error.headers)

    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: not_found},
    )
    app.router.redirect_slashes = False
    return SafeHeaders(app, site.pages.embedders)


@final
class _StaticFiles(StaticFiles):
    """Files that browsers ask about before they use their copy: after an upgrade all of them are the new ones."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)
        self.config_checked = True  # there may be no such directory yet; then there are no such files

    async def get_response(self, path: str, scope: Any) -> Response:
        """See `StaticFiles.get_response`. Links that lead in a circle are no failure of ours: they lead to no file."""
        try:
            return await super().get_response(path, scope)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise HTTPException(404) from error

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """See `StaticFiles.file_response`."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


@final
class _Health(Endpoint):
    async def answer(self, request: WebRequest) -> Response:
        """The status word and nothing else, for load balancers and strangers."""
        return _word(self._site.health().word)


@final
class _Live(Endpoint):
    async def answer(self, request: WebRequest) -> Response:
        """That the process answers, whatever else: who asks this starts it again where it doesn't."""
        return _word("ok")


@final
class _Ready(Endpoint):
    async def answer(self, request: WebRequest) -> Response:
        """Whether visitors may be sent here, by the status; the body is the status word."""
        health = self._site.health()
        return _word(health.word, status=200 if health.is_ready else 503)


def _word(word: str, *, status: int = 200) -> Response:
    return PlainTextResponse(f"{word}\n", status_code=status, headers={"Cache-Control": "no-store"})


@final
class _NoIcon(Endpoint):
    async def answer(self, request: WebRequest) -> Response:
        """Nothing: browsers ask for it where a page names no icon, and nobody is to read of that in the log."""
        return Response(status_code=204, headers={"Cache-Control": "max-age=86400"})


@final
class _IndexPage(Endpoint):
    async def answer(self, request: WebRequest) -> Response:
        """The list of applications; a server of one leads to it."""
        applications = self._site.applications
        if len(applications) == 1:
            query = request.url.query
            target = f"{self._site.prefix}/{next(iter(applications))}" + (f"?{query}" if query else "")
            return RedirectResponse(target, headers={"Cache-Control": "no-store"})
        return self._site.pages.index(
            [
                Listed(
                    name=name,
                    description=each.definition.description,
                    sessions=len(each.snapshot()),
                    has_failed=each.failure is not None,
                )
                for name, each in applications.items()
            ]
        )

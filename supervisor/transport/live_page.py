"""The page of an application: which session it belongs to, and what a visitor without a session reads.

Essay: only a page's GET creates a session. HEAD asks about a page without wanting it, and a prefetch is a browser's
guess; a session for either would have no visitor. Creating is the application's work, not the request's: a visitor who
leaves while hooks run ends only the wait.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import attrs
from starlette.requests import Request as WebRequest
from starlette.responses import Response

from supervisor.actor.guard import new_incident_id
from supervisor.application.actor import ApplicationActor
from supervisor.application.creation import Busy, Created, Failed, Refused, TooMany
from supervisor.identity import IdRefused, is_well_formed
from supervisor.instruments import Incident
from supervisor.session.actor import SessionActor
from supervisor.session.request import Request
from supervisor.transport.development import DevelopedApp, Problem
from supervisor.transport.pages import DevContext, PageContext, WayOut
from supervisor.transport.requests import read_request
from supervisor.transport.site import Endpoint, Site, report_refusal
from supervisor.transport.wire import SessionWire

RETURN = "supervisor-dev-session"
"""The query argument by which `dev.js` asks for the session that its page had."""
LONGEST_RETRY = 3600.0
"""Seconds after which who found no room is told to try again at the latest, however long sessions linger."""

_RESTARTING_RETRY = 5
"""Seconds after which who came while the server went down is told to try again: most are up again by then."""


@final
class LivePage(Endpoint):
    """The address of one application."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(site)
        self._name = name
        self._address = f"{site.prefix}/{name}"
        self._developed = None if site.development is None else site.development.apps[name]

    @property
    def _application(self) -> ApplicationActor:
        return self._site.applications[self._name]

    async def answer(self, request: WebRequest) -> Response:
        """The page of a session, which this creates or joins."""
        if request.method == "HEAD":
            status = 200 if self._application.failure is None else 503
            headers = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
            return Response(status_code=status, media_type="text/html", headers=headers)
        purpose = request.headers.get("sec-purpose", request.headers.get("purpose", ""))
        if "prefetch" in purpose.lower():
            text = "A session is created when its page is opened, not before."
            return self._say(request, 503, "Not in advance", text)
        if self._developed is not None and not await self._is_ready(self._developed):
            return self._down(request, self._developed)
        if self._application.failure is not None:
            return self._failed(request, self._application.failure)
        if self._application.is_stopping:
            return self._send_away(request, _RESTARTING_RETRY)
        wanted = request.query_params.get("session")
        if wanted is not None:
            return await self._open_wanted(wanted, request)
        if self._developed is not None and self._site.session_ids != "external-signed":
            kept = request.query_params.get(RETURN, "")
            if self._application.find(kept) is not None:
                return await self._open(kept, request)
        return await self._open_chosen(request)

    async def _open_wanted(self, wanted: str, request: WebRequest) -> Response:
        """The page of the session that the address names, if it may name that one: see `SessionIds`."""
        if self._site.session_ids == "external-signed":
            try:
                return await self._open(self._site.read_signed_id(wanted), request)
            except IdRefused as refused:
                return self._refuse(request, str(refused))
        if self._site.session_ids == "generated":
            if self._application.find(wanted) is None and not self._may_return_to(wanted):
                text = "Sessions end some time after their last page was closed. What was in this one is gone."
                way_out = WayOut("Open a new session", self._address)
                return self._say(request, 404, "This session is over", text, way_out)
        elif not is_well_formed(wanted):
            text = "The address has an invalid session id: an id has 1 to 128 characters, letters, digits and . _ ~ -"
            way_out = WayOut("Open a session without a name", self._address)
            return self._say(request, 400, "That is not a session id", text, way_out)
        return await self._open(wanted, request)

    async def _open_chosen(self, request: WebRequest) -> Response:
        """The page of the session that the app chooses for who names none, or of a new one."""
        chosen = await self._application.choose_session_id(_read(request))
        if isinstance(chosen, str) and not is_well_formed(chosen):
            error = ValueError(
                f"choose_session_id returned {chosen[:150]!r}; an id has 1 to 128 letters, digits and . _ ~ -"
            )
            chosen = Failed(self._application.report("choose_session_id", error))
        match chosen:
            case Refused(reason):
                return self._refuse(request, reason)
            case Failed(incident):
                text = "The application could not choose a session for you. That is not your fault."
                return self._say(request, 500, "Something went wrong", text, incident=incident)
        if chosen is None and self._site.session_ids == "external-signed":
            text = "This page is opened by a link that another program makes, and this address has no session in it."
            return self._refuse(request, text)
        return await self._open(self._site.new_session_id() if chosen is None else chosen, request)

    async def _open(self, id: str, request: WebRequest) -> Response:
        asked = _read(request)
        counted_as = request.scope.get("supervisor.counted_as")
        outcome = await self._application.open_session(id, asked, counted_as=counted_as)
        match outcome:
            case Created(session):
                # Who made the session was let in by the created hook. Where the opened hook says who may join, it has
                # yet to be asked about the others, at the attach.
                return self._live(request, session, may_see=session.request is asked or not session.asks_porter)
            case Refused(reason, incident):
                return self._refuse(request, reason, incident)
            case Failed(incident):
                text = "The application could not make your session. That is not your fault."
                return self._say(request, 500, "Something went wrong", text, incident=incident)
            case Busy(retry_after):
                return self._send_away(request, _whole_seconds(retry_after))
            case TooMany():
                return self._send_crowd_away(request, outcome)

    def _live(self, request: WebRequest, session: SessionActor, *, may_see: bool) -> Response:
        application = self._application
        name = application.application
        wire = session.audience
        assert isinstance(wire, SessionWire)
        page = PageContext(
            title=name,
            session=session.id,
            token=self._site.sign(application, session.id),
            websocket=f"{self._address}/-/websocket",
            max_message_size=self._site.max_message_size,
            epoch=session.epoch,
            revision=session.stored.revision,
            document=wire.snapshot() if may_see else None,
            dev=self._dev,
        )
        try:
            return self._site.pages.live_page(application.definition.directory, page)
        except Exception as error:  # an app's template can raise anything; its session stays for those who have it
            incident = session.report("templates/index.html", error)
            text = "The application's page could not be made. That is not your fault."
            return self._say(request, 500, "Something went wrong", text, incident=incident)

    # Who gets no page.

    def _say(
        self,
        request: WebRequest,
        status: int,
        title: str,
        text: str,
        *ways_out: WayOut,
        incident: str | None = None,
        error: BaseException | None = None,
        problem: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """An error page that belongs to this application: its links lead back into it."""
        if not ways_out:
            query = _without_return(request.scope["query_string"]).decode("latin-1")
            ways_out = (WayOut("Try again", self._address + (f"?{query}" if query else "")),)
        if len(self._site.applications) > 1:
            ways_out = (*ways_out, WayOut("All applications", f"{self._site.prefix}/"))
        if incident is None:
            incident = report_refusal(self._site, request, status, title, application=self._name)
        if error is None and self._site.development is not None:
            error = self._site.development.error_of(incident)
        return self._site.pages.error(
            status,
            title,
            text,
            ways_out=ways_out,
            incident=incident,
            error=error,
            dev=None if self._dev is None else attrs.evolve(self._dev, problem=problem),
            headers=headers,
        )

    def _refuse(self, request: WebRequest, reason: str, incident: str = "") -> Response:
        if not incident:  # nobody has logged it yet
            incident = new_incident_id()
            self._application.runtime.instruments.session_refused(
                application=self._name, session="-", reason=reason, incident=incident
            )
        text = reason or "This application does not let you in."
        return self._say(request, 403, "No entry", text, incident=incident)

    def _failed(self, request: WebRequest, failure: Incident) -> Response:
        """What is said of an application that has failed, and doesn't come back by itself."""
        if self._developed is not None and self._developed.problem is not None:  # newer than the failure
            return self._cannot_be_loaded(request, self._developed.problem)
        error = failure.error if self._developed is not None else None
        text = (
            "The server goes on without this application. That is not your fault. "
            "Its operator finds the reason in the log, under the incident below."
        )
        return self._say(request, 503, "This application has failed", text, incident=failure.id, error=error)

    def _send_away(self, request: WebRequest, seconds: int) -> Response:
        application = self._application
        headers = {"Retry-After": str(seconds)}
        if application.is_stopping:
            text = f"The server is stopping or restarting. Try again in {seconds} s."
            return self._say(request, 503, "Restarting", text, headers=headers)
        incident = new_incident_id()
        sessions = application.statistics().sessions
        application.runtime.instruments.session_had_no_room(
            application=self._name,
            reason=f"live sessions: {sessions.sessions}, ending ones: {sessions.draining}",
            incident=incident,
        )
        text = f"There is no room for another session just now. Try again in {seconds} s."
        return self._say(request, 503, "Busy", text, incident=incident, headers=headers)

    def _send_crowd_away(self, request: WebRequest, crowd: TooMany) -> Response:
        seconds, incident = _whole_seconds(crowd.retry_after), new_incident_id()
        self._application.runtime.instruments.session_had_no_room(
            application=self._name,
            reason=f"live sessions of {crowd.counted_as}: {crowd.sessions}; --max-sessions-per-address allows more",
            incident=incident,
        )
        text = f"Too many sessions are open from your address. Close some of them, and try again in {seconds} s."
        headers = {"Retry-After": str(seconds)}
        return self._say(request, 429, "Too many sessions", text, incident=incident, headers=headers)

    # Under development.

    @property
    def _dev(self) -> DevContext | None:
        if self._developed is None:
            return None
        return DevContext(events=f"{self._address}/-/dev", version=self._developed.version)

    def _may_return_to(self, id: str) -> bool:
        """Whether a page may name this session though it is gone: it was this server that ended it, for new code."""
        return self._developed is not None and self._developed.may_return_to(id)

    @staticmethod
    async def _is_ready(developed: DevelopedApp) -> bool:
        return await developed.wait_ready() and not developed.is_down

    def _down(self, request: WebRequest, developed: DevelopedApp) -> Response:
        problem = developed.problem
        if not developed.is_down or problem is None:
            text = "The application's code has changed, and it is being loaded anew. This page follows by itself."
            return self._say(request, 503, "Loading", text, headers={"Retry-After": "1"})
        return self._cannot_be_loaded(request, problem)

    def _cannot_be_loaded(self, request: WebRequest, problem: Problem) -> Response:
        text = f"{problem.text}. {problem.consequence} This page follows by itself."
        return self._say(
            request, 500, "The application can't be loaded", text, error=problem.error, problem=problem.text
        )


def _read(request: WebRequest) -> Request:
    """The request as hooks see it."""
    client = request.scope.get("client")
    raw_query = _without_return(request.scope["query_string"])
    return read_request(
        request.scope["raw_path"] + (b"?" + raw_query if raw_query else b""),
        request.scope["headers"],
        remote_address=client[0] if client else None,
    )


def _whole_seconds(retry_after: float) -> int:
    return max(1, math.ceil(min(retry_after, LONGEST_RETRY)))


def _without_return(query: bytes) -> bytes:
    """The query as the visitor knows it."""
    return b"&".join(part for part in query.split(b"&") if not part.startswith(f"{RETURN}=".encode()))

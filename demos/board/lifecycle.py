"""The application's part: the boards, kept while nobody is on them, and who comes and goes."""

from __future__ import annotations

from supervisor import ApplicationContext, ConnectionContext, Request, SessionContext, SessionRefused

from .boards import FIRST, MAX_BOARDS, Board, announce, name_of


def on_application_load(app_context: ApplicationContext) -> None:
    app_context.state.boards = {FIRST: Board(title="Kitchen")}
    app_context.share_presence()  # visitors may be told who is on the other boards


def choose_session_id(request: Request) -> str:
    # Whoever asks for a board gets into its one session: all of them see and edit one document.
    return f"board-{name_of(request)}"


def name_connection(request: Request) -> str | None:
    # What a login in front of this server says, which must take such a header from visitors away. Without one, visitors
    # name themselves in the page.
    return request.headers.get("x-forwarded-user")


def on_session_created(session_context: SessionContext) -> None:
    boards = session_context.application.state.boards
    name = name_of(session_context.request)
    if name not in boards:
        if len(boards) >= MAX_BOARDS:
            raise SessionRefused(f"There are {MAX_BOARDS} boards already. Clear one of them, and it makes room.")
        boards[name] = Board(title=name.capitalize())


async def on_connection_opened(session_context: SessionContext, connection: ConnectionContext) -> None:
    await count_people(session_context, +1)


async def on_connection_closed(session_context: SessionContext, connection: ConnectionContext) -> None:
    await count_people(session_context, -1)


async def count_people(session_context: SessionContext, difference: int) -> None:
    app_context = session_context.application
    app_context.state.boards[session_context.document.data["name"]].people += difference
    await announce(app_context)


async def on_session_destroyed(session_context: SessionContext) -> None:
    # The document can still be read: what people made stays until somebody comes back.
    data = session_context.document.data
    boards = session_context.application.state.boards
    if data["notes"] or data["name"] == FIRST:
        boards[data["name"]].notes = [dict(note) for note in data["notes"]]
    else:
        del boards[data["name"]]
        await announce(session_context.application)

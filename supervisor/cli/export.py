"""`python -m supervisor export APP -o FILE`: the document that a session begins with, as a page or as JSON."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import click
import trio

from supervisor.application.export import ExportedDocument, export_document
from supervisor.application.handlers import Application
from supervisor.application.loading import load_application
from supervisor.cli.help import Command, option
from supervisor.cli.parameters import FilePath, read_headers
from supervisor.errors import ApplicationError
from supervisor.identity import MAX_ID, is_well_formed, new_id
from supervisor.session.request import Request
from supervisor.transport.exported import render_exported
from supervisor.transport.requests import read_request

OUTPUT = "What is written"
REQUEST = "The visitor that hooks see"


def _session(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_well_formed(value):
        raise click.BadParameter(
            f"{value!r} is not a session id, which has 1 to {MAX_ID} characters: letters, digits and . _ ~ -"
        )
    return value


@click.command(cls=Command)
@click.argument("app", metavar="APP", type=FilePath())
@option(
    OUTPUT,
    "-o",
    "--output",
    required=True,
    type=FilePath(),
    metavar="FILE",
    help="The file to write, replacing an existing one; - for stdout.",
)
@option(OUTPUT, "--json", "as_json", is_flag=True, help="Write only the document, as JSON.")
@option(
    REQUEST,
    "--session",
    callback=_session,
    metavar="ID",
    help="The session's id, for an app that depends on it; by default a new one that can't be guessed.",
)
@option(REQUEST, "--query", default="", metavar="QUERY", help="The query of the page's address, such as a=1&b=2.")
@option(
    REQUEST,
    "--header",
    "headers",
    multiple=True,
    callback=read_headers,
    metavar="NAME:VALUE",
    help="A header of the request, such as 'Cookie: user=ann'. May be repeated.",
)
def export(
    app: str, output: str, as_json: bool, session: str | None, query: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Write the document that a session of APP begins with, as a page that needs no server and no network.

    This makes one application and one session as a server does: the load hook, the created hook, modify_document,
    the destroyed hook and the unload hook run. Callbacks and producers that they add never run. The page shows the
    document as a tree that can be folded. It has no script, and doesn't use the app's own template, which needs a
    server.

    \b
    Examples:
      python -m supervisor export report.py -o report.html
      python -m supervisor export report.py --query 'month=2026-01' --json -o - | jq .total

    \b
    Exit codes:
      0  the file was written
      1  nothing was written: APP can't be loaded, or a hook failed or refused the session
      2  wrong usage
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    with contextlib.redirect_stdout(sys.stderr):  # what an app prints is no part of the document
        application = load_application(app)
        target = f"/{application.name}" + (f"?{query.removeprefix('?')}" if query else "")
        request = read_request(quote(target, safe="/?&=%+;:@,~!$'()*").encode(), headers)
        document = trio.run(_export, application, session or new_id(secrets.token_bytes), request)
    if as_json:
        text = json.dumps(json.loads(document.data), indent=2, ensure_ascii=False)
    else:
        made_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        text = render_exported(document.application, json.loads(document.data), made_at=made_at).rstrip()
    _write(output, f"{text}\n".encode())


async def _export(application: Application, session: str, request: Request) -> ExportedDocument:
    return await export_document(application, session_id=session, request=request)


def _write(output: str, content: bytes) -> None:
    """Write all of it or nothing: a file that was there is replaced once the new one is whole."""
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():  # a pipe, or a device
            path.write_bytes(content)
            return
        path = path.resolve()  # what a link leads to is what is replaced
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            beside.write_bytes(content)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ApplicationError(f"{output} can't be written: {error.strerror}; nothing was written") from error

"""`python -m supervisor secret` and `session-id`: keys, and ids that are signed with them."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import click

from supervisor.cli.help import Command, option
from supervisor.cli.keys import read_ring, write_key
from supervisor.cli.options import secret_key_file
from supervisor.cli.parameters import FilePath, Seconds
from supervisor.identity import MAX_ID, is_well_formed, new_id

_LONGEST = 3_000_000_000.0
"""Seconds, some 95 years: what is longer is a mistake, or means for ever."""


@click.command(cls=Command)
@option(
    "Options",
    "-o",
    "--output",
    type=FilePath(path_type=Path),
    metavar="FILE",
    help="Write it to this new file, which only you can read; an existing file is left as it is. - for stdout.",
)
def secret(output: Path | None) -> None:
    """Print a new key, for the option --secret-key-file of serve and session-id.

    \b
    Examples:
      python -m supervisor secret -o key
      python -m supervisor serve app.py --secret-key-file key

    A file may hold several keys, one per line: the first one signs, and all are accepted. To rotate a key, put the new
    one first, restart, and remove the old one when nothing signed with it is in use any more.
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    key = secrets.token_hex(32)
    if output is None or str(output) == "-":
        click.echo(key)
    else:
        write_key(output, key)


@click.command("session-id", cls=Command)
@click.argument("name", metavar="[NAME]", required=False)
@secret_key_file("A file with the key to sign with, of those that the server has. Without it the id is not signed.")
@option(
    "Options",
    "--max-age",
    type=Seconds(zero=False, most=_LONGEST),
    help="How long a signed id opens the page; by default, for as long as the server has the key.",
)
def session_id(name: str | None, secret_key_file: tuple[Path, ...], max_age: float | None) -> None:
    """Print the id of a session, for a link to it such as http://HOST:PORT/APP?session=ID.

    A signed id is for a server with --session-ids external-signed, which accepts no other ids. All links with the same
    NAME lead to the same session, however often they are signed. Without NAME, the session is a new one, with a name
    that can't be guessed. Whoever has the link can open the session: give it only to the person it is meant for.

    \b
    Examples:
      python -m supervisor session-id board-7 --secret-key-file key --max-age 3600
      python -m supervisor serve app.py --session-ids external-signed --secret-key-file key

    Without --secret-key-file, it prints a new name unsigned, for a server with --session-ids any.
    """  # noqa: D301 (click takes a backspace for "leave these lines as they are")
    if name is not None and not is_well_formed(name):
        raise click.BadParameter(
            f"{name!r} is not a session id, which has 1 to {MAX_ID} characters: letters, digits and . _ ~ -",
            param_hint="'NAME'",
        )
    ring = read_ring(secret_key_file)
    if ring is None:
        if name is not None or max_age is not None:
            what = "NAME" if max_age is None else "--max-age"
            raise click.UsageError(
                f"Signing an id needs a key: give --secret-key-file with {what}.", click.get_current_context()
            )
        click.echo(new_id(secrets.token_bytes))
        return
    expires = None if max_age is None else time.time() + max_age
    click.echo(ring.sign_id(name or new_id(secrets.token_bytes), expires=expires))

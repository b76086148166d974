"""Values of options: what a text may say, and one sentence for what it may not."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, final

import click

from supervisor.transport.forwarded import TrustedProxies
from supervisor.transport.origin import frame_source, is_address, parse_allowed

if TYPE_CHECKING:
    _FloatType = click.ParamType[float]
    _IntType = click.ParamType[int]
else:
    _FloatType = _IntType = click.ParamType  # which takes no argument before click 8.2


@final
class Seconds(_FloatType):
    """A number of seconds; 0 where that makes sense."""

    name = "seconds"

    def __init__(self, *, zero: bool, most: float = math.inf) -> None:
        self._zero = zero
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        if seconds == 0 and not self._zero:
            self.fail("it must be more than 0 seconds.", param, ctx)
        if seconds > self._most:
            self.fail(f"it must be at most {self._most:,.0f} seconds.", param, ctx)
        return seconds


@final
class Count(_IntType):
    """A whole number from `least` to `most`, both included."""

    name = "number"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if number < self._least or (self._most is not None and number > self._most):
            bound = f", at least {self._least}" if self._most is None else f" from {self._least} to {self._most}"
            self.fail(f"{value!r} is not a whole number{bound}.", param, ctx)
        return number


@final
class FilePath(click.Path):
    """The name of a file or directory, which may not be empty: that would be the current directory."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """See `click.ParamType.convert`."""
        if value == "":
            self.fail("'' is not a file name.", param, ctx)
        return super().convert(value, param, ctx)


def read_host(_: click.Context, __: click.Parameter, value: str) -> str:
    """The value of `--host`."""
    host = value.removeprefix("[").removesuffix("]")  # as it stands in a URL
    if not is_address(host):
        try:
            scheme, host, port = parse_allowed(host)
        except ValueError:
            host = ""
        if not host or scheme or port:
            raise click.BadParameter(f"{value!r} is not a name or address such as localhost or 127.0.0.1.")
    return host


def read_prefix(_: click.Context, __: click.Parameter, value: str) -> str:
    """The value of `--prefix`: empty, or with a slash at its beginning and none at its end."""
    parts = [part for part in value.split("/") if part]
    if not all(re.fullmatch(r"[A-Za-z0-9._~-]+", part) and part.strip(".") and part != "-" for part in parts):
        raise click.BadParameter(f"{value!r} is not a path such as /tools/live.")
    return "".join(f"/{part}" for part in parts)


def read_origins(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The values of `--allow-origin`, as they were given."""
    for value in values:
        try:
            parse_allowed(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from None
    return values


def read_embedders(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The values of `--allow-embedding`, as they were given."""
    for value in values:
        try:
            frame_source(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from None
    return values


def read_proxies(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The values of `--trusted-proxy`, as they were given."""
    try:
        TrustedProxies(values)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    return values


def read_mode(_: click.Context, __: click.Parameter, value: str) -> int:
    """The value of `--unix-socket-mode`."""
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise click.BadParameter(f"{value!r} is not a file mode such as 600 or 660.")
    return int(value, 8)


def read_headers(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    """The values of `--header`, as a request has them."""
    headers = []
    for value in values:
        name, found, content = value.partition(":")
        if not found or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not _CONTENT.fullmatch(content):
            raise click.BadParameter(
                f"{value!r} is not a header: write a name, a colon and a value, as in 'Cookie: a=b'."
            )
        headers.append((name.lower().encode(), content.strip().encode()))
    return headers


_CONTENT = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")

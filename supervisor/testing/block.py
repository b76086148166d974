"""What `supervise()` and its kin return: a block to be entered by `async with`, which says so if it is used otherwise.

Python's own words for that are of "the context manager protocol", or of an attribute that is missing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, final

P = ParamSpec("P")
T = TypeVar("T")


def opens_block(function: Callable[P, AsyncIterator[T]]) -> Callable[P, Block[T]]:
    """As `contextlib.asynccontextmanager`, but what is returned is a `Block`."""
    make = contextlib.asynccontextmanager(function)

    @functools.wraps(function)
    def open_block(*args: P.args, **kwargs: P.kwargs) -> Block[T]:
        return Block(function.__name__, make(*args, **kwargs))

    return open_block


@final
class Block(AbstractAsyncContextManager[T], Generic[T]):
    """A block that is yet to be entered, once."""

    def __init__(self, name: str, inner: AbstractAsyncContextManager[T]) -> None:
        self._name = name
        self._inner = inner
        self._was_entered = False

    async def __aenter__(self) -> T:
        __tracebackhide__ = True
        if self._was_entered:
            raise RuntimeError(f"this block was entered before, which can be done once; call {self._name}() again")
        self._was_entered = True
        return await self._inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        __tracebackhide__ = True
        return await self._inner.__aexit__(kind, error, traceback)

    def __enter__(self) -> NoReturn:
        raise TypeError(self._way("`with` alone doesn't enter it"))

    def __exit__(self, *error: object) -> None:  # else Python asks for it before it calls `__enter__`
        raise TypeError(self._way("`with` alone doesn't enter it"))

    def __await__(self) -> NoReturn:
        raise TypeError(self._way("there is nothing to await"))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(self._way(f"{name} is there inside of it"))

    def _way(self, what: str) -> str:
        return f"{self._name}() is entered by `async with {self._name}(…) as …:` in an `async def`; {what}"

"""Watching directories for changed files, by watchfiles in a thread: the only module that knows it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from pathlib import Path

import trio

from supervisor.errors import ApplicationError

QUIET = 100
"""Milliseconds without a change after which changes are told: an editor's several writes are one change."""
LONGEST = 1_000
"""Milliseconds after which they are told though more come."""
TICK = 0.01
"""Seconds by which the clock of files may be behind: systems move it on at each tick, of up to a hundredth."""
MISSING_PAUSE = 0.5
"""Seconds between two looks for a directory that is gone: a version control system may just be replacing it."""


def check_watchfiles() -> None:
    """Raise `ApplicationError` unless the package is there.

    What it needs is loaded too, before a server's loop turns: it asks anyio for its exceptions, which would load all of
    anyio's streams at its first use, and hold the loop for a tenth of a second.
    """
    try:
        import anyio._backends._trio  # noqa: F401
        import watchfiles  # noqa: F401
    except ImportError:
        raise ApplicationError(
            "development mode needs the package watchfiles; install it with: pip install 'session-supervisor[dev]'"
        ) from None


async def watch(
    directories: Collection[Path], *, recursive: bool, since: float, tell: Callable[[set[Path]], None]
) -> None:
    """Tell of files that were changed, made or deleted in these directories, until it is cancelled.

    Of those that were changed or made before this is called, but not before `since`, it tells first: an app's load
    hooks may take a minute, in which its author goes on writing. `since` is in seconds, as files have times.

    Whole directories, and not their files: editors write a new file and rename it over the old one, which takes the
    watch on a file with it. What editors and Python itself leave behind (backups, `__pycache__`, `.git`) isn't told.
    A directory that is gone is looked for until it is back; then all of it counts as changed.
    """
    while True:
        gone = [directory for directory in directories if not directory.is_dir()]
        there = [directory for directory in directories if directory not in gone]
        async with trio.open_nursery() as nursery:
            if there:
                nursery.start_soon(_watch, there, recursive, tell, nursery.cancel_scope)
                nursery.start_soon(_tell_of_earlier, there, recursive, since, tell)
            if gone:
                nursery.start_soon(_wait_for, gone, nursery.cancel_scope)
        since = time.time()  # until all are watched again; what has changed before was told
        back = [directory for directory in gone if directory.is_dir()]
        if back:
            tell({file for directory in back for file in _files_in(directory, recursive=recursive)})


async def _watch(
    directories: Collection[Path], recursive: bool, tell: Callable[[set[Path]], None], done: trio.CancelScope
) -> None:
    from watchfiles import awatch  # not above: the package is optional

    # Its thread can't be cancelled; it looks at this between two waits for quiet.
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_set_when_cancelled, stop)
        changes = awatch(*directories, recursive=recursive, step=QUIET, debounce=LONGEST, stop_event=stop)
        async with contextlib.aclosing(changes):
            try:
                async for changed in changes:
                    files = {Path(path) for _, path in changed}
                    replaced = [directory for directory in directories if directory in files]
                    for directory in replaced:  # the system watches the one that is gone, also if another is there
                        files |= _files_in(directory, recursive=recursive)
                    tell(files)
                    if replaced:
                        break
            except FileNotFoundError:  # gone between two looks
                pass
        nursery.cancel_scope.cancel()
    done.cancel()


async def _tell_of_earlier(
    directories: Collection[Path], recursive: bool, since: float, tell: Callable[[set[Path]], None]
) -> None:
    await trio.lowlevel.checkpoint()  # after it the system watches: it was asked in the first turn of `_watch`
    found = await trio.to_thread.run_sync(_changed_since, directories, recursive, since)  # there may be thousands
    if found:
        tell(found)


def _changed_since(directories: Collection[Path], recursive: bool, since: float) -> set[Path]:
    found = set()
    for directory in directories:
        for file in _files_in(directory, recursive=recursive):
            with contextlib.suppress(OSError):  # gone meanwhile, of which the watch tells
                times = file.stat()
                # The second one also changes where an older file is moved here, which keeps the first.
                if max(times.st_mtime, times.st_ctime) > since - TICK:
                    found.add(file)
    return found


async def _set_when_cancelled(event: trio.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        event.set()


async def _wait_for(directories: Collection[Path], done: trio.CancelScope) -> None:
    while not any(directory.is_dir() for directory in directories):  # noqa: ASYNC110 (nobody would tell of it)
        await trio.sleep(MISSING_PAUSE)
    done.cancel()


def _files_in(directory: Path, *, recursive: bool) -> set[Path]:
    from watchfiles import Change, DefaultFilter  # as `_watch` does

    counts, paths = DefaultFilter(), directory.rglob("*") if recursive else directory.glob("*")
    return {path for path in paths if counts(Change.modified, str(path)) and path.is_file()}

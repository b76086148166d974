"""Watching real directories: this alone needs real time, and waits for what it is told and never for a while."""

import functools
import math
import os
import shutil
import sys
import time

import pytest
import trio
import trio.testing

from supervisor.development import watcher
from supervisor.development.watcher import check_watchfiles, watch
from supervisor.errors import ApplicationError

PATIENCE = 60.0
"""Seconds that the system may take to tell of a change: machines can be slow."""


class Told:
    """Collects the files that were told."""

    def __init__(self):
        self.files = set()
        self._more = trio.Event()

    def __call__(self, files):
        self.files |= files
        self._more.set()
        self._more = trio.Event()

    async def until(self, *files):
        with trio.fail_after(PATIENCE):
            while not self.files.issuperset(files):
                await self._more.wait()
        told = self.files.copy()
        self.files.clear()
        return told


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path.resolve() / "app"
    (folder / "deep").mkdir(parents=True)
    return folder


@pytest.fixture
async def told(nursery):
    """Begin to watch: `await told(folder)`; returns when what changes from now on is told."""

    async def start(*folders, recursive=True, since=math.inf):
        told = Told()
        nursery.start_soon(functools.partial(watch, folders, recursive=recursive, since=since, tell=told))
        await trio.testing.wait_all_tasks_blocked()  # watchfiles has asked the system before its thread starts
        return told

    return start


async def test_files_that_are_made_changed_moved_and_removed_are_told(folder, told):
    seen = await told(folder)
    (folder / "main.py").write_text("1")
    await seen.until(folder / "main.py")
    (folder / "deep" / "feed.py").write_text("1")
    await seen.until(folder / "deep" / "feed.py")
    (folder / "new.py").write_text("2")
    (folder / "new.py").rename(folder / "main.py")  # as editors save
    await seen.until(folder / "main.py")
    (folder / "main.py").write_text("3")
    await seen.until(folder / "main.py")
    (folder / "main.py").unlink()
    await seen.until(folder / "main.py")


async def test_what_has_changed_since_the_app_was_loaded_is_told_first(folder, told):
    """1. The app's code is executed. 2. Its files change while its load hook works. 3. They are watched."""
    (folder / "old.py").write_text("1")
    since = time.time() + 1  # so that all that is written here is older, but for what says otherwise
    for file in (folder / "main.py", folder / "deep" / "feed.py"):
        file.write_text("2")
        os.utime(file, (since, since))
    seen = await told(folder, since=since)
    assert folder / "old.py" not in await seen.until(folder / "main.py", folder / "deep" / "feed.py")


async def test_an_older_file_that_was_moved_there_meanwhile_is_told(folder, told, tmp_path):
    (tmp_path / "older.py").write_text("1")
    os.utime(tmp_path / "older.py", (1, 1))
    since = time.time()
    (tmp_path / "older.py").rename(folder / "main.py")
    seen = await told(folder, recursive=False, since=since)
    await seen.until(folder / "main.py")


async def test_directories_below_are_left_out_if_they_are_not_wanted(folder, told):
    seen = await told(folder, recursive=False)
    (folder / "deep" / "feed.py").write_text("1")
    (folder / "main.py").write_text("1")
    with trio.fail_after(PATIENCE):
        while folder / "main.py" not in seen.files:
            await seen._more.wait()
    assert folder / "deep" / "feed.py" not in seen.files


async def test_what_python_and_editors_leave_behind_is_not_told(folder, told):
    seen = await told(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "main.cpython-311.pyc").write_text("1")
    (folder / ".main.py.swp").write_text("1")
    (folder / "main.py~").write_text("1")
    (folder / "main.py").write_text("1")
    with trio.fail_after(PATIENCE):
        while folder / "main.py" not in seen.files:
            await seen._more.wait()
    assert seen.files == {folder / "main.py"}


async def test_what_they_left_behind_before_is_not_told_either(folder, told):
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "main.py").write_text("1")
    (folder / ".main.py.swp").write_text("1")
    (folder / "main.py").write_text("1")
    seen = await told(folder, since=0)
    assert await seen.until(folder / "main.py") == {folder / "main.py"}


async def test_a_directory_that_was_replaced_is_watched_again(folder, told):
    """A version control system may take it away and make it anew; the system goes on watching the one that is gone."""
    other = folder.parent / "other"
    other.mkdir()
    seen = await told(folder, other)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "main.py").write_text("1")
    await seen.until(folder / "main.py")
    await trio.testing.wait_all_tasks_blocked()  # it is watched anew
    (folder / "later.py").write_text("1")
    await seen.until(folder / "later.py")
    (other / "main.py").write_text("1")
    await seen.until(other / "main.py")


async def test_what_was_told_is_not_told_again_when_a_directory_is_replaced(folder, told):
    """It would be loaded again, and every page have another session."""
    other = folder.parent / "other"
    other.mkdir()
    since = time.time()
    (other / "main.py").write_text("1")
    seen = await told(folder, other, since=since)
    await seen.until(other / "main.py")
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "main.py").write_text("1")
    await seen.until(folder / "main.py")
    await trio.testing.wait_all_tasks_blocked()  # it is watched anew
    (folder / "later.py").write_text("1")
    assert await seen.until(folder / "later.py") == {folder / "later.py"}


async def test_a_directory_that_is_gone_is_waited_for(folder, told, monkeypatch):
    monkeypatch.setattr(watcher, "MISSING_PAUSE", 0.01)
    other = folder.parent / "other"
    other.mkdir()
    shutil.rmtree(folder)
    seen = await told(folder, other)
    (other / "main.py").write_text("1")
    await seen.until(other / "main.py")
    (folder.parent / "made").mkdir()
    (folder.parent / "made" / "main.py").write_text("1")
    (folder.parent / "made").rename(folder)
    await seen.until(folder / "main.py")


async def test_it_ends_soon_when_it_is_cancelled_and_leaves_no_thread_at_work(folder):
    with trio.fail_after(4):  # watchfiles by itself looks every 5 s
        async with trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(watch, [folder], recursive=True, since=0, tell=lambda files: None))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0


def test_without_the_package_there_is_one_sentence(monkeypatch):
    check_watchfiles()
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(
        ApplicationError, match=r"needs the package watchfiles; .*pip install 'session-supervisor\[dev\]'"
    ):
        check_watchfiles()

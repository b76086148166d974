"""The program that "Embed the server in your program" shows, as a process and in this one."""

import importlib.util
import re
import urllib.request
from pathlib import Path

import pytest
import trio

PROGRAM = Path(__file__).parents[2] / "docs" / "examples" / "embedding" / "program.py"
PATIENCE = 60.0
"""Seconds that anything may take before a test fails: machines can be slow."""


@pytest.fixture
def program():
    spec = importlib.util.spec_from_file_location("docs_examples_embedding_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as page:
        return page.read().decode()


async def test_people_watch_while_it_works_and_it_ends_when_it_is_done(program):
    program.jobs.update(waiting=1, done=0)
    tell, printed = trio.open_memory_channel(10)
    program.print = tell.send_nowait
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as running:
            running.start_soon(program.main, 0)
            url = re.search(r"http://\S+", await printed.receive())[0]
            assert '<meta name="supervisor"' in await trio.to_thread.run_sync(read, url)
    assert program.jobs == {"waiting": 0, "done": 1}
    assert "All jobs are done" in printed.receive_nowait()

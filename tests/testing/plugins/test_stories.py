"""What a failed test's report says of sessions, as a person reads it."""

import re

import pytest

pytest_plugins = ["pytester"]

APP = """
import pytest
import trio

def modify_document(doc):
    doc.data["n"] = 0
    doc.add_periodic_callback(tick, doc, seconds=25)

def tick(doc):
    doc.data["n"] += 1
"""


@pytest.fixture
def report(pytester):
    """Run a test file; returns its report, without the summary: it repeats whole failures where CI is set."""

    def run(tests):
        pytester.makeini("[pytest]\ntrio_mode = true\n")
        pytester.makepyfile(APP + tests)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rN").stdout.str()

    return run


def stories(text):
    """The lines that tell them, without names made by chance."""
    lines = [line for line in text.splitlines() if re.search(r"story of |\d\.\d{3} s  ", line)]
    return [re.sub(r"(session|connection|; to) [\w-]{8}(?=[: ]|$)", r"\1 X", line) for line in lines]


TOLD = [
    "story of session X:",
    "   0.000 s  hook modify_document  → revision 1: add /n",
    "   0.000 s  connection X attached  → snapshot of revision 1",
    "  25.000 s  callback tick (periodic)  → revision 2: replace /n; to X",
]


def test_what_fails_in_the_block_has_the_stories_once_as_a_note(report):
    text = report(
        """
async def test_it(supervise):
    async with supervise(modify_document) as app:
        client = await (await app.new_session()).connect()
        await client.until(lambda data: data["n"] == 7, timeout=30)
"""
    )
    assert [line.removeprefix("E").strip() for line in stories(text)] == [line.strip() for line in TOLD]
    assert "the last data: {'n': 1}" in text
    assert "- stories -" not in text


def test_what_fails_after_the_block_has_them_as_a_section(report):
    text = report(
        """
async def test_it(supervise):
    async with supervise(modify_document) as app:
        client = await (await app.new_session()).connect()
        await trio.sleep(30)
    assert client.data["n"] == 7
"""
    )
    assert "- stories -" in text
    assert stories(text)[:4] == TOLD
    assert stories(text)[4:] == [
        "  30.000 s  connection X detached, with code 1006",
        "  30.000 s  session ends, restarting: the server is restarting",
    ]


def test_what_fails_while_a_fixture_has_the_block_has_them_too(report):
    text = report(
        """
@pytest.fixture
async def client(supervise):
    async with supervise(modify_document) as app:
        yield await (await app.new_session()).connect()

async def test_it(client):
    await trio.sleep(30)
    assert client.data["n"] == 7
"""
    )
    assert "- stories -" in text
    assert stories(text)[:4] == TOLD


def test_a_test_that_passes_shows_none_and_nor_does_one_without_an_app(report):
    text = report(
        """
async def test_it(supervise):
    async with supervise(modify_document) as app:
        await app.new_session()

def test_another():
    assert False
"""
    )
    assert "1 failed, 1 passed" in text
    assert stories(text) == []


def test_of_many_runs_of_one_test_the_last_is_told(report):
    """As hypothesis makes them: the failing example is the last one."""
    text = report(
        """
from hypothesis import given, settings, strategies as st

@given(st.integers(0, 100))
@settings(max_examples=30, database=None, derandomize=True)
def test_it(number):
    from supervisor.testing.harness import supervise
    async def main():
        async with supervise(modify_document) as app:
            session = await app.new_session()
            await session.connect()
        return number
    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) < 50
"""
    )
    assert len([line for line in stories(text) if line.startswith("story of")]) == 1

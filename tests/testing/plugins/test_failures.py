"""A failed test's report, as a person reads it."""

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def report(pytester):
    """Run a test file; returns its report."""

    def run(tests):
        pytester.makeini("[pytest]\ntrio_mode = true\n")
        pytester.makeconftest('pytest_plugins = ["supervisor.testing.plugin"]')
        pytester.makepyfile("import pytest\nimport trio\n" + tests)
        arguments = ("-p", "no:cacheprovider", "-p", "no:supervisor_testing")
        return pytester.runpytest_inprocess(*arguments).stdout.str()

    return run


def test_an_assertion_shows_its_line_and_its_values(report):
    text = report(
        """
def modify_document(doc):
    doc.data["n"] = 1

async def test_it(supervise):
    async with supervise(modify_document) as app:
        client = await (await app.new_session()).connect()
        assert client.data["n"] == 2
"""
    )
    assert '>           assert client.data["n"] == 2' in text
    assert "E           assert 1 == 2" in text
    assert "Group" not in text


def test_what_was_raised_keeps_its_cause(report):
    text = report(
        """
async def test_it():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error
"""
    )
    assert text.count("direct cause") == 1
    assert "During handling" not in text
    assert "Group" not in text


def test_a_group_that_the_test_raised_is_shown_once_as_what_it_is(report):
    text = report(
        """
async def fail():
    raise ValueError("in a task")

async def test_it(supervise):
    async with supervise(lambda doc: None), trio.open_nursery() as nursery:
        nursery.start_soon(fail)

async def test_xfail():
    pytest.xfail("as before")

async def test_skip():
    pytest.skip("as before")
"""
    )
    assert text.count("ExceptionGroup: Exceptions from Trio nursery (1 sub-exception)") == 1
    assert text.count("ValueError: in a task") == 1
    assert "During handling" not in text
    assert "1 failed, 1 skipped, 1 xfailed" in text


def test_what_hypothesis_found_is_told(report):
    text = report(
        """
from hypothesis import given, settings, strategies as st

@given(number=st.integers(0, 100))
@settings(database=None, deadline=None)
async def test_it(number):
    assert number < 10
"""
    )
    assert "E       assert 10 < 10\n" in text
    assert "E           number=10" in text  # in the words of whichever hypothesis it is


def test_frames_of_ours_are_not_shown(report):
    text = report(
        """
import attrs
from supervisor import FunctionHandler, receives

@attrs.frozen
class Break:
    pass

@receives(Break, from_client=True)
def on_break(doc, message):
    raise LookupError("no feed")

APP = FunctionHandler(lambda doc: None, receivers=[on_break])

async def test_predicate(supervise):
    async with supervise(APP) as app:
        client = await (await app.new_session()).connect()
        await client.until(lambda data: 1 / 0)

async def test_never(supervise):
    async with supervise(APP) as app:
        client = await (await app.new_session()).connect()
        await client.until(lambda data: False)

async def test_send(supervise):
    async with supervise(APP) as app:
        client = await (await app.new_session()).connect()
        await client.send("Break")

async def test_edit(supervise):
    async with supervise(APP) as app:
        client = await (await app.new_session()).connect()
        await client.edit("no/pointer", 1)

async def test_id(supervise):
    async with supervise(APP) as app:
        await app.new_session(id="no id!")

async def test_nobody_looked(supervise):
    async with supervise(APP) as app:
        client = await (await app.new_session()).connect()
        with pytest.raises(Exception):
            await client.send("Break")
"""
    )
    assert "6 failed" in text
    assert "supervisor/" not in text
    assert "failed meanwhile: LookupError('no feed'), in on_break, line 13 of " in text

"""The fixture `supervise`."""

import inspect

import pytest
import trio
import trio.testing

from supervisor.testing import harness


def modify_document(doc):
    doc.data["n"] = 1


@pytest.mark.virtual_time("hours pass")
async def test_it_opens_an_app_on_virtual_time(supervise):
    """Though the test asks for no clock itself."""
    assert isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    async with supervise(modify_document) as app:
        await app.new_session()
        await trio.sleep(10_000)
        assert len(app.sessions) == 0


@pytest.fixture
async def app(supervise):
    async with supervise(modify_document) as app:
        yield app


@pytest.mark.virtual_time("it is about virtual time")
async def test_it_does_so_through_other_fixtures(app):
    assert isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    client = await (await app.new_session()).connect()
    assert client.data == {"n": 1}


async def test_a_clock_of_the_tests_own_is_kept(supervise, mock_clock):
    assert trio.lowlevel.current_clock() is mock_clock


async def test_without_it_time_is_real():
    assert not isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)


def test_a_plain_test_may_have_it_too(supervise):
    assert supervise is harness.supervise or supervise.func is harness.supervise
    assert not inspect.iscoroutinefunction(supervise)

"""The fixture `supervise`."""

import functools
import inspect
import subprocess
import sys

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

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


@given(seconds=st.floats(1, 10_000))
@settings(max_examples=5)
async def test_examples_of_hypothesis_have_virtual_time_too(supervise, seconds):
    """Though pytest-trio runs them by itself, with whatever clock `trio.run` has; and the fixture is no reproach."""
    if not isinstance(supervise, functools.partial):
        assert isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    async with supervise(modify_document) as app:
        session = await app.new_session()
        if app.clock.is_virtual:
            await trio.sleep(seconds)
        assert session.page.status == 200


# Other projects' tests: pytest runs in a process of its own.

TESTS = """
import pytest
import trio
import trio.testing


def modify_document(doc):
    doc.data["n"] = 1


async def test_a_client_has_the_document(supervise):
    async with supervise(modify_document) as app:
        client = await (await app.new_session()).connect()
        assert client.data == {"n": 1}
        async with await app.transport.connect() as stream:
            print(type(stream).__name__)


@pytest.mark.virtual_time("an hour passes")
async def test_an_hour(supervise):
    await trio.sleep(3600)


async def test_a_clock_of_its_own(supervise, autojump_clock):
    await trio.sleep(3600)


def test_a_plain_function():
    pass
"""


def run_pytest(tmp_path, *options):
    """In another project, where nothing is configured but that warnings are errors."""
    (tmp_path / "test_app.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-rs", "-s", "-p", "no:cacheprovider", "-W", "error", "--strict-markers"]
    return subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)


def test_in_memory_all_have_virtual_time_without_any_configuration(tmp_path):
    done = run_pytest(tmp_path)
    assert "4 passed" in done.stdout, done.stdout


def test_over_sockets_those_that_need_virtual_time_are_skipped_with_the_reason(tmp_path):
    done = run_pytest(tmp_path, "--supervisor-transport=tcp")
    assert "2 passed, 2 skipped" in done.stdout, done.stdout
    assert "SocketStream" in done.stdout
    assert "needs virtual time: an hour passes" in done.stdout
    assert "needs virtual time: it has the fixture autojump_clock" in done.stdout


@pytest.mark.parametrize(
    ("mark", "option", "told"),
    [
        ("@pytest.mark.asyncio", "-q", "has the mark asyncio: take it away"),
        ("", "-p no:trio", "supervise needs pytest-trio: pip install"),
    ],
)
def test_a_test_that_trio_does_not_run_is_told_why(tmp_path, mark, option, told):
    (tmp_path / "test_loop.py").write_text(f"import pytest\n\n{mark}\nasync def test_it(supervise):\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *option.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert told in done.stdout, done.stdout
    assert "1 error" in done.stdout

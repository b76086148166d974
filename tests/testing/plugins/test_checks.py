"""The mark `unchecked`."""

import pytest

from supervisor.testing import Left

pytest_plugins = ["pytester"]

LEAKY = """
import pytest
import trio

def modify_document(doc):
    trio.lowlevel.spawn_system_task(trio.sleep_forever)

async def leak(supervise):
    async with supervise(modify_document) as app:
        await app.new_session()
"""


@pytest.fixture
def results(pytester):
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\ntrio_mode = true\naddopts = "--strict-markers"')

    def run(test):
        pytester.makepyfile(LEAKY + test)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider")

    return run


def test_a_mark_switches_a_check_off_in_its_test_alone(results):
    result = results("""
@pytest.mark.unchecked("tasks", reason="it is for the process")
async def test_marked(supervise):
    await leak(supervise)

async def test_unmarked(supervise):
    await leak(supervise)
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*tasks: application * modify_document*task sleep_forever*"])


def test_marks_of_a_class_and_of_its_tests_count_together(results):
    result = results("""
@pytest.mark.unchecked("tasks", reason="it is for the process")
class TestAll:
    @pytest.mark.unchecked("sockets", "actors", reason="so are they")
    async def test_it(self, supervise):
        await leak(supervise)
""")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ('"task", reason="x"', "there is no check 'task'; the checks are tasks"),
        ('"tasks"', "the check 'tasks' is switched off without a reason"),
        ('"tasks", because="x"', "a mark names checks and a reason"),
        ('reason="x"', "a mark names checks and a reason"),
    ],
)
def test_a_mark_that_cannot_be_is_told(results, mark, told):
    result = results(f"""
@pytest.mark.unchecked({mark})
async def test_it(supervise):
    pytest.fail("it must not begin")
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{told}*"])


def test_what_is_left_is_an_assertion():
    assert issubclass(Left, AssertionError)

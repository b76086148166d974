"""The marker `schedules`, and its options."""

import inspect
import re
from pathlib import Path

import pytest
from pytest_trio.plugin import TrioFixture
from trio._core import _run

pytest_plugins = ["pytester"]

DESK = Path(__file__).parents[1] / "desk"


@pytest.fixture
def run(pytester):
    """Run a file of tests in a pytest of its own, which finds the plugin by its entry point, in this process."""
    pytester.makeini(
        "[pytest]\ntrio_mode = true\nfilterwarnings = error\naddopts = --strict-markers -p no:cacheprovider\n"
    )

    def run(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("--tb=short", *options)

    return run


def fails_of(result):
    """The ids of tests that failed."""
    return set(re.findall(r"^FAILED (\S+)", result.stdout.str(), re.MULTILINE))


ORDERS = """
    import pytest, trio

    async def order(tasks):
        seen = []

        async def step(number):
            seen.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(tasks):
                nursery.start_soon(step, number)
        return seen

"""


def test_a_test_runs_under_many_orders_and_a_failure_says_how_it_is_replayed(run):
    source = (
        ORDERS
        + """
    @pytest.mark.schedules(60)
    async def test_order():
        assert (await order(3))[0] != 1
    """
    )
    result = run(source)
    failed = fails_of(result)
    assert 8 <= len(failed) <= 35
    assert result.parseoutcomes() == {"failed": len(failed), "passed": 60 - len(failed)}
    first = min(int(re.search(r"seed=(\d+)\]$", id).group(1)) for id in failed)
    result.stdout.fnmatch_lines([f"--schedule-seed={first} replays it"])
    result.stdout.fnmatch_lines(
        [
            f"*::test_order failed under {len(failed)} of 60 task orders; this replays the first:",
            f"    pytest '*::test_order?seed={first}?' --schedule-seed={first}",
        ]
    )

    assert fails_of(run(source, "-n1")) == failed, "the same ones, in another process, that of xdist"

    again = run(source, f"--schedule-seed={first}")
    assert again.parseoutcomes() == {"failed": 1}
    assert fails_of(again) <= failed


def test_the_number_can_be_set_for_a_run(run):
    source = ORDERS + "    @pytest.mark.schedules(60)\n    async def test_order():\n        await order(3)\n"
    assert run(source, "--schedules=7").parseoutcomes() == {"passed": 7}
    assert run(source, "--schedules=7", "--schedule-seed=1000").parseoutcomes() == {"passed": 1}, "a replay is one"
    more = "    @pytest.mark.schedules(60)\n    async def test_more(): pass\n    async def test_unmarked(): pass\n"
    several = run(source + more, "--schedule-seed=1000", "-v")
    assert several.parseoutcomes() == {"passed": 3}, "of each marked one, and the others are as ever"
    several.stdout.fnmatch_lines(
        ["*::test_order?seed=1000? PASSED*", "*::test_more?seed=1000? *", "*::test_unmarked *"]
    )
    refused = run(source, "--schedules=0")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*--schedules: expected a whole number, at least 1, not '0'"])


def test_it_goes_with_parameters_with_async_fixtures_with_classes_and_with_hypothesis(run):
    """Each order has its own fixtures; every example of hypothesis runs under the order."""
    result = run(
        ORDERS
        + """
    from hypothesis import given, settings, strategies as st

    ORDERS = {}

    @pytest.fixture
    def plain():
        return []

    async def fixture(name):
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            STEPS.append(name)
        yield name
        STEPS.append(name)

    STEPS = []

    @pytest.fixture
    async def first():
        async for value in fixture("first"):
            yield value

    @pytest.fixture
    async def second():
        async for value in fixture("second"):
            yield value

    @pytest.mark.schedules(10)
    @pytest.mark.parametrize("size", [4, 5])
    async def test_parameters_and_fixtures(size, plain, first, second, request):
        assert plain == [], "fresh"
        plain.append(1)
        assert (first, second) == ("first", "second")
        seen = tuple(await order(size))
        assert len(seen) == size
        ORDERS.setdefault(request.node.callspec.params["size"], set()).add(seen)

    @pytest.mark.schedules(10)
    class TestClass:
        async def test_method(self):
            ORDERS.setdefault("method", set()).add(tuple(await order(6)))

        @settings(max_examples=5, database=None)
        @given(number=st.integers())
        async def test_given(self, number, request):
            ORDERS.setdefault(request.node.name, set()).add(tuple(await order(6)))

    @pytest.mark.schedules(2)
    @pytest.mark.parametrize("size", [4, 5])
    @settings(max_examples=5, database=None)
    @given(number=st.integers())
    async def test_given_with_parameters(size, number):
        await order(size)

    def test_they_were_many():
        assert len(ORDERS[4]) > 5 and len(ORDERS[5]) > 5
        assert len(ORDERS["method"]) == 10
        given = [orders for name, orders in ORDERS.items() if str(name).startswith("test_given")]
        assert len(given) == 10
        assert all(len(orders) == 1 for orders in given), "each example under the one order"
        assert len(set.union(*given)) == 10
    """
    )
    assert result.parseoutcomes() == {"passed": 10 * 2 + 10 + 10 + 4 + 1}, result.stdout.str()


def test_async_fixtures_take_the_same_steps_in_every_run(run):
    """pytest-trio alone starts them in the order of ids in memory, which is another one in each run."""
    source = """
    import pytest, trio, hashlib

    class Steps(trio.abc.Instrument):
        names = []
        def before_task_step(self, task):
            self.names.append(task.name)

    """ + "".join(
        f"""
    @pytest.fixture
    async def f{number}(steps):
        await trio.lowlevel.checkpoint()
        yield {number}
        await trio.lowlevel.checkpoint()

    """
        for number in range(9)
    )
    source += """
    @pytest.fixture
    def steps():
        return Steps()

    @pytest.mark.schedules(20)
    async def test_it(steps, f0, f1, f2, f3, f4, f5, f6, f7, f8):
        await trio.lowlevel.checkpoint()

    def test_print():
        assert len(Steps.names) > 400
        print("digest", hashlib.sha256(repr(Steps.names).encode()).hexdigest())
    """
    digests = set()
    for _ in range(3):
        result = run(source, "-s")
        assert result.parseoutcomes() == {"passed": 21}
        digests |= set(re.findall(r"digest \w+", result.stdout.str()))
    assert len(digests) == 1


def test_pytest_trios_private_method_is_what_it_was():
    """The plugin does the same by dicts; there is no public way to order async fixtures."""
    source = inspect.getsource(TrioFixture.register_and_collect_dependencies)
    lines = [line.strip() for line in source.splitlines() if not line.strip().startswith("#")]
    assert lines == [
        "def register_and_collect_dependencies(self):",
        "deps = set()",
        "deps.add(self)",
        "for value in self._pytest_kwargs.values():",
        "if isinstance(value, TrioFixture):",
        "value.user_done_events.add(self._teardown_done)",
        "deps.update(value.register_and_collect_dependencies())",
        "return deps",
    ], (
        "supervisor/testing/plugins/schedules.py has its own version of this method of pytest-trio, in which async "
        "fixtures are in order, and pytest-trio has changed it. If there are no sets in it any more, take "
        "_fixtures_in_order() out of the plugin; else bring its version up to this one"
    )


def test_a_marker_that_makes_no_sense_is_refused(run, pytester):
    """Each in a file of its own, since it is refused when tests are collected."""
    markers = ["schedules", "schedules(0)", "schedules(True)", "schedules('200')", "schedules(seeds=3)"]
    for number, marker in enumerate(markers):
        pytester.makepyfile(**{f"test_{number}": f"import pytest\n@pytest.mark.{marker}\nasync def test_it(): pass\n"})
    result = run("import pytest\n@pytest.mark.schedules(3)\ndef test_plain(): pass\n")
    assert result.parseoutcomes() == {"errors": 6}
    output = result.stdout.str()
    for given in ["()", "(0)", "(True)", "('200')", "(seeds=3)"]:
        assert f"test_it is marked with schedules{given}: say how many task orders it is to run under" in output
    assert "test_plain is marked with schedules, but is not an async test: it has no tasks to order" in output
    assert "Traceback" not in output


def test_a_test_that_trio_does_not_run_is_refused(run, pytester):
    result = run("import pytest\n@pytest.mark.schedules(3)\nasync def test_it(): pass\n", "-o", "trio_mode=false")
    assert result.parseoutcomes() == {"failed": 3}
    assert "must be run by trio: mark it with trio too" in result.stdout.str()


PLANTED = """
    import pytest

    {marker}
    async def test_the_desk_opens(supervise{arguments}):
        async with supervise({desk!r}) as app:
            client = await (await app.new_session()).connect()
            assert client.data == {{"price": 12.0}}
"""


def test_a_planted_bug_that_the_default_scheduler_hides_is_found_and_replayed(run, monkeypatch):
    """See `desk/lifecycle.py`. For the record: 0 of 1000 runs as trio orders tasks by itself, 1 of 3 seeds."""
    default = PLANTED.format(marker="@pytest.mark.parametrize('again', range(50))", arguments=", again", desk=str(DESK))
    with monkeypatch.context() as patch:
        patch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", False)  # as in a program
        assert run(default).parseoutcomes() == {"passed": 50}

    marked = PLANTED.format(marker="@pytest.mark.schedules(20)", arguments="", desk=str(DESK))
    result = run(marked)
    failed = fails_of(result)
    assert 2 <= len(failed) <= 14
    assert "KeyError('ACME')" in result.stdout.str()

    seed = re.search(r"--schedule-seed=(\d+)", result.stdout.str()).group(1)
    assert fails_of(run(marked, f"--schedule-seed={seed}")) == {id for id in failed if f"[seed={seed}]" in id}

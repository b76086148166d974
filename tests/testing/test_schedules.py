"""Task orders by seed."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from trio._core import _run

from supervisor.testing.schedules import task_order

WHAT_TO_DO = (
    "supervisor/testing/schedules.py sets task orders by two private names of trio, and trio has changed them. Read "
    "unrolled_run() in trio/_core/_run.py, find what sorts and shuffles the tasks that can run, and set that; or "
    "bound trio's version in pyproject.toml until there is a way."
)


def order_of(seed, *, tasks=6):
    """The order in which tasks that can all run do run."""
    seen = []

    async def step(number):
        for _ in range(3):
            seen.append(number)
            await trio.lowlevel.checkpoint()

    async def main():
        async with trio.open_nursery() as nursery:
            for number in range(tasks):
                nursery.start_soon(step, number)

    with task_order(seed):
        trio.run(main)
    return seen


def woken_by_equal_deadlines(seed):
    seen = []

    async def sleep(number):
        await trio.sleep(1)
        seen.append(number)

    async def main():
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(sleep, number)
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(cancelled, number)

    async def cancelled(number):
        try:
            await trio.sleep_forever()
        finally:
            seen.append(number)

    with task_order(seed):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return seen


def test_the_same_seed_gives_the_same_order_and_others_give_others():
    orders = [order_of(seed) for seed in range(100)]
    assert [order_of(seed) for seed in range(100)] == orders
    assert len({tuple(order) for order in orders}) == 100


def test_every_order_of_three_tasks_comes_up():
    assert len({tuple(order_of(seed, tasks=3)[:3]) for seed in range(100)}) == 6


def test_what_was_woken_at_one_time_is_put_in_order_too():
    """Trio keeps deadlines that are equal, and the tasks of a scope, in the order of their ids in memory."""
    orders = []
    kept = []
    for _ in range(5):
        orders.append(woken_by_equal_deadlines(7))
        kept.append([object() for _ in range(1_000)])  # so that the next run's ids are others
    assert orders == [orders[0]] * 5
    assert woken_by_equal_deadlines(8) != orders[0]


def test_a_whole_app_takes_the_same_steps_in_another_process(record_steps):
    """Whatever is in sets, and whatever is random in ids, tokens and hashes."""
    seventeen = {record_steps(17, hash_seed=hash_seed) for hash_seed in ("0", "1", "random")}
    assert len(seventeen) == 1
    assert record_steps(18, hash_seed="0") not in seventeen


@pytest.fixture
def record_steps():
    program = Path(__file__).with_name("record_steps.py")

    def record(seed, *, hash_seed):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, program, str(seed)], env=environment, check=True, capture_output=True, text=True
        ).stdout

    return record


@pytest.mark.parametrize("flag", [True, False])
def test_trio_is_as_it_was_afterwards(flag, monkeypatch):
    monkeypatch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", flag)
    state = _run._r.getstate()
    with pytest.raises(KeyError), task_order(3):
        assert _run._ALLOW_DETERMINISTIC_SCHEDULING
        _run._r.random()
        raise KeyError
    assert _run._ALLOW_DETERMINISTIC_SCHEDULING is flag
    assert _run._r.getstate() == state


async def test_inside_of_a_run_it_is_refused():
    with pytest.raises(RuntimeError, match=r"must wrap trio\.run\(\)"), task_order(3):
        pass


@pytest.mark.parametrize("name", ["_ALLOW_DETERMINISTIC_SCHEDULING", "_r"])
def test_a_trio_that_has_other_names_is_refused_and_not_changed(name, monkeypatch):
    monkeypatch.delattr(_run, name)
    with (
        pytest.raises(RuntimeError, match=r"trio [\d.]+ orders its tasks in a way that .* doesn't know"),
        task_order(3),
    ):
        pass
    assert not hasattr(_run, name)


def test_trios_private_names_are_what_they_were():
    assert isinstance(getattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", None), bool), WHAT_TO_DO
    assert type(getattr(_run, "_r", None)) is random.Random, WHAT_TO_DO
    source = Path(_run.__file__).read_text()
    sorted_and_shuffled = source.partition("            if _ALLOW_DETERMINISTIC_SCHEDULING:\n")[2].partition("else:")[0]
    code = [line.strip() for line in sorted_and_shuffled.splitlines() if not line.strip().startswith("#")]
    assert code == ["batch.sort(key=lambda t: t._counter)", "_r.shuffle(batch)", ""], WHAT_TO_DO

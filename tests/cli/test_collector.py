"""The garbage collector is tuned once."""

import gc

import pytest

from supervisor.cli.collector import THRESHOLDS, tune_collector


@pytest.fixture(autouse=True)
def collector():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_there_is_left_alone_and_the_rest_looked_at_less_often():
    tune_collector()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == THRESHOLDS
    assert gc.isenabled()

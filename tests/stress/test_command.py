"""The suite's command: what it refuses, lists and skips."""

import pytest

from ..hostile import fuzz
from .command import main, missing
from .scenarios import all_scenarios, tools


def test_it_lists_its_scenarios(capsys):
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in all_scenarios())


def test_a_scenario_that_is_not_there_is_refused(capsys):
    assert main(["--only", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_every_scenario_says_what_must_hold():
    assert len(all_scenarios()) >= 40
    assert all(each.summary.endswith(".") for each in all_scenarios().values())


def test_the_long_run_fuzzes_every_target():
    assert set(tools.TARGETS) == set(fuzz.TARGETS)


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ("", ""),
        ("receives", ""),
        ("receives(from_client)", ""),
        ("receives(telepathy)", "supervisor.receives takes no telepathy"),
        ("Telepathy", "supervisor has no Telepathy"),
        ("Telepathy(range)", "supervisor has no Telepathy"),
    ],
)
def test_what_the_server_lacks_is_named(needs, reason):
    assert missing(needs) == reason

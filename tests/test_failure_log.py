"""What a server without instruments logs of what goes wrong."""

import logging

import pytest

from supervisor.failure_log import LoggedFailures
from supervisor.instruments import Incident


@pytest.fixture
def logged(caplog):
    """What is logged of a failure."""

    def log(**fields):
        incident = Incident(
            id="1a2b3c4d", application="ticker", session="5e6f7a8b", what="message Quote", error=KeyError("A"), **fields
        )
        with caplog.at_level(logging.ERROR, logger="supervisor"):
            LoggedFailures().failed(incident)
        [record] = caplog.records
        assert record.exc_info[1] is incident.error
        return record.getMessage()

    return log


def test_a_failure_is_one_line_that_says_where_it_was(logged):
    assert logged() == ("application ticker → session 5e6f7a8b → message Quote → KeyError: 'A' (incident 1a2b3c4d)")


def test_what_follows_and_what_waited_stand_in_that_line(logged):
    assert logged(decision="resumed", mailbox=("message Quote", "borrow")).endswith(
        "→ KeyError: 'A' (incident 1a2b3c4d; resumed; waiting: message Quote, borrow)"
    )


def test_the_story_follows_line_by_line(logged):
    first, *story = logged(story=("-0.250 s  hook modify_document", "0.000 s  message Quote(symbol='A')")).split("\n")
    assert first.endswith("(incident 1a2b3c4d)")
    assert story == ["  -0.250 s  hook modify_document", "  0.000 s  message Quote(symbol='A')"]

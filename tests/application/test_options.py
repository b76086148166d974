import attrs
import pytest

from supervisor.application.options import ApplicationOptions


def test_the_defaults_are_those_of_the_issue():
    assert attrs.asdict(ApplicationOptions()) == {
        "linger": 15,
        "first_attach": 15,
        "max_age": None,
        "max_sessions": 1000,
        "max_sessions_per_address": 100,
        "max_connections_per_session": 1000,
        "max_document_size": 16 * 1024 * 1024,
        "max_creating": 50,
        "creating_timeout": 5,
        "hook_timeout": 10,
        "load_timeout": 60,
        "build_timeout": 60,
        "drain_timeout": 5,
        "drain_batch": 100,
        "drain_interval": 0.25,
        "mailbox_capacity": 1000,
        "max_threads": 40,
    }


@pytest.mark.parametrize(("sessions", "unattached"), [(1000, 250), (8, 2), (4, 1), (3, 1), (1, 1)])
def test_a_quarter_may_be_unattached_but_one_always(sessions, unattached):
    assert ApplicationOptions(max_sessions=sessions).max_unattached == unattached

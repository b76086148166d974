import attrs
import pytest

from supervisor.transport.health import health_of


@attrs.frozen
class Observed:
    status: str
    is_degraded: bool


@pytest.mark.parametrize(
    ("statuses", "degraded", "word", "is_ready"),
    [
        (["serving"], False, "ok", True),
        (["serving", "serving"], True, "degraded", True),
        (["serving", "failed"], True, "degraded", True),
        (["serving", "loading"], False, "ok", True),
        (["loading"], False, "loading", False),
        (["stopping"], False, "loading", False),
        (["failed", "loading"], True, "loading", False),
        (["failed", "failed"], True, "failed", False),
    ],
)
def test_the_word_for_what_the_applications_are_doing(statuses, degraded, word, is_ready):
    applications = [Observed(status, degraded) for status in statuses]
    health = health_of(applications, draining=False)
    assert (health.word, health.is_ready) == (word, is_ready)
    health = health_of(applications, draining=True)
    assert (health.word, health.is_ready) == ("draining", False)

"""Examples that run whole apps have no deadline of real time; one that their author gave them stays."""

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from hypothesis import given, settings, strategies as st

settings.load_profile({profile!r})  # on a CI's machine it is another one


def tell(who):
    print(f"{{who}}: {{settings().deadline}}")  # of the test that runs


@given(st.none())
@settings(max_examples=1)
async def test_app(supervise, nothing):
    tell("app")

@given(st.none())
async def test_bare(supervise, nothing):
    tell("bare")

class TestClass:
    @given(st.none())
    async def test_method(self, supervise, nothing):
        tell("method")

@pytest.mark.schedules(2)
@given(st.none())
async def test_orders(nothing):
    tell("orders")

@given(st.none())
@settings(deadline=5_000)
async def test_given(supervise, nothing):
    tell("given")

@given(st.none())
async def test_other(nothing):
    tell("other")

@given(st.none())
def test_plain(nothing):
    tell("plain")
"""


def deadlines(pytester, profile="default"):
    """By test, as hypothesis had them when it ran."""
    pytester.makeini("[pytest]\ntrio_mode = true\n")
    pytester.makeconftest(
        'pytest_plugins = ["supervisor.testing.plugin"]\n'
        "from hypothesis import settings\n"
        'settings.register_profile("patient", deadline=1_000)\n'
    )
    pytester.makepyfile(TESTS.format(profile=profile))
    done = pytester.runpytest_subprocess("-s", "-q", "-p", "no:cacheprovider", "-p", "no:supervisor_testing")
    done.assert_outcomes(passed=8)
    lines = [line.lstrip(".") for line in done.outlines if ": " in line]
    return dict(line.split(": ") for line in lines if line.split(": ")[0].isalpha())


def test_an_app_takes_as_long_as_it_takes(pytester):
    found = deadlines(pytester)
    assert {name: found[name] for name in ("app", "bare", "method", "orders")} == dict.fromkeys(
        ("app", "bare", "method", "orders"), "None"
    )
    assert found["given"] == "0:00:05"
    assert found["other"] == found["plain"] == "0:00:00.200000"


def test_the_deadline_of_a_profile_is_its_authors(pytester):
    found = deadlines(pytester, "patient")
    assert found == dict.fromkeys(found, "0:00:01") | {"given": "0:00:05"}

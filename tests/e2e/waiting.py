"""Waiting for what a page says."""

import time

from .conftest import DEADLINE

try:
    from playwright.sync_api import Error
    from playwright.sync_api import expect as expect
except ImportError:  # the fixture `browser` skips the tests, or fails them if programs are required
    Error = expect = None
else:
    expect.set_options(timeout=DEADLINE * 1000)  # else 5 s, which is not far more than a slow machine takes


def until(page, expression, arg=None):
    """Wait until a JavaScript expression is true in the page; returns its value.

    Playwright's own `wait_for_function` evaluates inside of the page, where our Content-Security-Policy forbids that,
    and it doesn't live through a reload.
    """
    deadline = time.monotonic() + DEADLINE
    while not (value := _evaluate(page, expression, arg)):
        assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {expression}"
        page.wait_for_timeout(20)
    return value


def _evaluate(page, expression, arg):
    try:
        return page.evaluate(expression, arg)
    except Error as error:
        if "context was destroyed" not in str(error):
            raise
        return None

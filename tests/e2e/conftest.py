"""Real servers in processes of their own, a real browser, and a network that can be cut."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sys
import time

import pytest

from ..cli.program import Program

DEADLINE = 60.0
"""Seconds that anything here may take: far more than it does on a slow machine."""
STOP = 15.0
"""Seconds that a server's end may take: less than what `--shutdown-timeout` gives to those that hang."""


class Server(Program):
    """`python -m supervisor serve …`, or another program, from its first line on stdout until its exit code."""

    def __init__(self, *arguments, program=("-m", "supervisor", "serve")):
        super().__init__(*arguments, command=(sys.executable, *program))
        found = self._read_until(lambda: re.search(r"http://[^:]+:(\d+)\S*(?=.*\n)", self.stdout))
        if not found:
            self.kill()
            raise AssertionError(f"no URL on stdout: {self.stdout!r}\n{self.stderr}")
        self.url, self.port = found.group(), int(found.group(1))
        """The address of its first app, and its port."""

    def stop(self, *, expect_failures=False):
        """End it by SIGTERM, and look at how it went."""
        self.send(signal.SIGTERM)
        try:
            code = self.end(STOP)
        finally:
            self.kill()
        assert code == 0, self.stderr
        if not expect_failures:
            assert "Traceback" not in self.stderr, self.stderr
            assert "[error" not in self.stderr, self.stderr


@pytest.fixture
def apps():
    """The folder of the apps that these tests serve."""
    return pathlib.Path(__file__).parent / "apps"


@pytest.fixture
def hostwatch(request):
    """The demo."""
    return request.config.rootpath / "demos" / "hostwatch"


@pytest.fixture
def windows():
    """The windows that are open: contexts of the browser, which share nothing."""
    windows = []
    yield windows
    close_all(windows)


def close_all(windows):
    while windows:
        windows.pop().close()


@pytest.fixture
def serve(windows):
    """Run a server: `with serve(app, "--linger", "1") as server`.

    At the end windows are closed, unless they are to see it, and the server is stopped; how that went is looked at.
    """

    @contextlib.contextmanager
    def run(*arguments, port=0, expect_failures=False, keep_windows=False, **options):
        server = Server(*arguments, "--port", port, **options)
        try:
            yield server
            if not keep_windows:
                close_all(windows)
        except BaseException:
            server.kill()
            sys.stderr.write(server.stderr)  # pytest shows it beside the failure
            raise
        server.stop(expect_failures=expect_failures)

    return run


# Not for the whole session: while Playwright's synchronous half runs, an asyncio loop does, and trio's tests come next.
@pytest.fixture(scope="module")
def browser():
    """Chromium, headless. Skips the test where it is missing."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("the program chromium is missing")
    playwright_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is missing")
    with playwright_api.sync_playwright() as playwright:
        # A context of this browser has no profile of its own on disk, and none is left.
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",  # CI runs as root, in containers
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


class Console:
    """What pages complained of: errors, warnings, exceptions, violations of the policy. Empty unless told otherwise."""

    def __init__(self):
        self.complaints = []

    def listen(self, page):
        page.on("console", self._on_message)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))

    def wait_for(self, page, pattern):
        """Wait until there is a complaint that matches: the browser tells of them when it likes."""
        deadline = time.monotonic() + DEADLINE
        while not any(re.search(pattern, complaint) for complaint in self.complaints):
            assert time.monotonic() < deadline, f"nothing like {pattern!r} among {self.complaints}"
            page.wait_for_timeout(20)

    def forgive(self, pattern):
        """Take away the complaints that match."""
        self.complaints = [complaint for complaint in self.complaints if not re.search(pattern, complaint)]

    def _on_message(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


@pytest.fixture
def console():
    """See `Console`; looked at when the test is over."""
    console = Console()
    yield console
    assert console.complaints == []


@pytest.fixture
def open_page(browser, windows, console):
    """Open a page in a window of its own: `open_page(url, color_scheme="dark")`."""

    def open_page(url, **options):
        context = browser.new_context(**options)
        windows.append(context)
        context.set_default_timeout(DEADLINE * 1000)
        page = context.new_page()
        console.listen(page)
        page.goto(url)
        return page

    return open_page


@pytest.fixture
def look(tmp_path):
    """Keep a picture of a page for people to look at: `look(page, "name")`. Set E2E_PICTURES to choose the folder."""
    folder = pathlib.Path(os.environ.get("E2E_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def look(page, name, **options):
        page.screenshot(path=folder / f"{name}.png", **options)

    return look

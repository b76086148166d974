"""Nothing but the files in `static/` is served, however it is asked for; and nothing that is asked for is a failure."""

import os

import pytest

from supervisor.application.handlers import Application, NamespaceHandler

NAMES = [
    "../secret.txt",
    "%2e%2e/secret.txt",
    "..%2fsecret.txt",
    "%2e%2e%2fsecret.txt",
    "%252e%252e%252fsecret.txt",
    "..%255csecret.txt",
    "..%5csecret.txt",
    "..\\secret.txt",
    "....//secret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "%uff0e%uff0e/secret.txt",
    "folder/../../secret.txt",
    "folder/%2e%2e/%2e%2e/secret.txt",
    "/secret.txt",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "C:/secret.txt",
    "a.txt%00",
    "a.txt%00.css",
    "%00",
    "..%00/secret.txt",
    "a.txt/../../secret.txt",
    "A.TXT%20",
    "a.txt::$DATA",
    "~root/.profile",
    "%ff",
    "%ed%a0%80",
    "%",
    "%zz",
    "link.txt",
    "link-folder/secret.txt",
    "loop",
    "fifo",
    "x" * 300,
    "x/" * 2_000,
    ".",
    "..",
    "folder",
    "folder/",
]


@pytest.fixture
def directory(tmp_path):
    static = tmp_path / "static"
    (static / "folder").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("hunter2")
    (static / "a.txt").write_text("a")
    (static / "link.txt").symlink_to(tmp_path / "secret.txt")
    (static / "link-folder").symlink_to(tmp_path)
    (static / "loop").symlink_to(static / "loop")
    os.mkfifo(static / "fifo")
    return tmp_path


@pytest.mark.parametrize("base", ["/app/static/", "/-/client/"])
async def test_nothing_else_is_served(supervise, directory, base):
    async with supervise(Application(NamespaceHandler({}, where="app", directory=directory), name="app")) as app:
        for name in NAMES:
            answer = await app.get(base + name)
            assert answer.status == 404, name
            assert "hunter2" not in answer.text
            assert "root:" not in answer.text
        assert app.incidents == []
        assert len(app.sessions) == 0
        assert (await app.get("/app/static/a.txt")).text == "a"


@pytest.mark.parametrize("path", ["/app/static/a.txt", "/app/static/../app", "/app%2fstatic/a.txt", "/%61pp", "//app"])
async def test_an_address_has_one_spelling_or_leads_nowhere(supervise, directory, path):
    async with supervise(Application(NamespaceHandler({}, where="app", directory=directory), name="app")) as app:
        answer = await app.get(path)
        assert answer.status in (200, 404)
        assert app.incidents == []

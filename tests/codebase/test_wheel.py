"""The built package is whole: what is served from a checkout is served from a wheel too."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "supervisor"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from the checkout, without network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is missing, which builds the wheel: pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stdout
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder to which the wheel was unpacked."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    ours = {
        file.relative_to(ROOT).as_posix()
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == ours
    for pattern in (
        r"browser/\w+\.js",
        r"browser/\w+\.d\.ts",
        r"browser/\w+\.css",
        r"templates/\w+\.html",
        r"py\.typed",
        r"new_app/\w+\.py-tpl",
    ):
        assert any(re.search(f"{pattern}$", name) for name in names), pattern


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "\nName: session-supervisor\n" in files["METADATA"]
    assert "\nLicense-Expression: MIT\n" in files["METADATA"]
    assert "session-supervisor = supervisor.cli.main:main" in files["entry_points.txt"]
    assert files["LICENSE"] == (ROOT / "LICENSE").read_text()


def test_serve_works_from_the_wheel(installed, tmp_path):
    (tmp_path / "app.py").write_text("def modify_document(doc):\n    doc.data['n'] = 1\n")
    server = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "serve", "app.py", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            url = re.search(r"http://\S+", server.stdout.readline())[0]
            origin = url.removesuffix("/app")
            with urllib.request.urlopen(url, timeout=30) as page:
                assert page.status == 200
                text = page.read().decode()
            assert "/-/client/" in text
            for file in (PACKAGE / "browser").glob("*.*"):
                with urllib.request.urlopen(f"{origin}/-/client/{file.name}", timeout=30) as answer:
                    assert answer.read() == file.read_bytes()
            with urllib.request.urlopen(f"{origin}/", timeout=30) as page:
                assert page.status == 200
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_what_runs_is_the_wheel(installed, tmp_path):
    """An installed checkout must not answer in its place."""
    found = subprocess.run(
        [sys.executable, "-c", "import supervisor.cli.main; print(supervisor.cli.main.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert Path(found.stdout.strip()) == installed / "supervisor" / "cli" / "main.py"

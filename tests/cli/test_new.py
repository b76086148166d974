"""`new`: an app that is served, checked and tested as it was made, and the names that it refuses."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cli import new as module
from supervisor.testing import supervise

ROOT = Path(__file__).parents[2]
FILES = {"lifecycle.py", "main.py", "pytest.ini", "static/app.css", "templates/index.html"}


@pytest.fixture
def made(cli, tmp_path):
    """The folder of a new app."""
    assert cli("new", tmp_path / "thermometer").code == 0
    return tmp_path / "thermometer"


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def run(*command, cwd):
    ended = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_its_test_has_its_name_and_passes(made):
    assert files_in(made) == FILES | {"test_thermometer.py"}
    assert " 4 passed" in f" {run('pytest', '-p', 'no:cacheprovider', 'thermometer', cwd=made.parent)}"


def test_its_test_fails_when_the_app_is_broken(made):
    main = made / "main.py"
    main.write_text(main.read_text().replace('doc.data["limit"] = ', "limit = "))
    with pytest.raises(AssertionError, match="1 failed, 3 passed"):
        run("pytest", "-p", "no:cacheprovider", cwd=made)


def test_it_can_be_served_without_a_warning(cli, made):
    result = cli("check", "--strict", made)
    assert result.code == 0
    assert "SetLimit(celsius: float)  from clients" in result.stdout
    assert "on_application_load" in result.stdout


async def test_its_page_and_all_that_it_names_are_served(made):
    async with supervise(made) as app:
        page = (await app.new_session()).page.text
        assert "<h1>thermometer</h1>" in page
        assert (await app.get("/thermometer/static/app.css")).status == 200


def test_a_real_server_serves_it(start, fetch, made):
    (url,) = start("serve", "thermometer", "--port", "0", cwd=made.parent).until_served()
    assert "<h1>thermometer</h1>" in fetch(url).text


def test_its_code_keeps_the_rules_of_ours(made):
    ignored = ["--config", ROOT / "pyproject.toml", "--no-cache"]
    run("ruff", "check", *ignored, "--extend-ignore", "D,ANN,S", made, cwd=made)
    run("ruff", "format", "--check", *ignored, made, cwd=made)


def test_what_to_type_next_is_said(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli("new", "thermometer").stdout
    assert said.startswith("Made thermometer: lifecycle.py, main.py, pytest.ini, static/app.css, ")
    assert "  python -m supervisor serve thermometer " in said
    assert "  pytest thermometer " in said
    assert "pip install" not in said


def test_who_has_no_pytest_is_told_what_to_install(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_EXTRA", "no_such_module")
    assert importlib.util.find_spec("no_such_module") is None
    assert "  pip install 'session-supervisor[testing]' " in cli("new", tmp_path / "a b" / "shop").stdout


def test_an_empty_folder_is_filled_also_the_current_one(cli, tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    assert cli("new", ".").code == 0
    assert files_in(tmp_path / "shop") == FILES | {"test_shop.py"}


def test_what_is_there_is_left_as_it_is(cli, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine").touch()
    (tmp_path / "file").touch()
    assert "already exists and is not empty" in cli("new", tmp_path / "shop").error
    assert "already exists and is not a folder" in cli("new", tmp_path / "file").error
    assert files_in(tmp_path) == {"shop/mine", "file"}


@pytest.mark.parametrize(
    ("name", "better"),
    [("my-app", "my_app"), ("7up", "app_7up"), ("class", "class_"), ("...", "app"), ("my app", "my_app")],
)
def test_a_name_that_could_not_be_one_in_python_is_refused_with_one_that_could(cli, tmp_path, name, better):
    result = cli("new", tmp_path / name)
    assert result.code == 2
    assert f"{name!r} is not a name for an app: " in result.error
    assert f"{tmp_path / better} would do" in result.error
    assert files_in(tmp_path) == set()


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(cli, tmp_path):
    (tmp_path / "file").touch()
    error = cli("new", tmp_path / "file" / "shop").error
    assert "can't be made: Not a directory; nothing was made" in error


@pytest.mark.parametrize("was_there", [True, False])
def test_of_an_app_that_could_not_be_written_whole_nothing_is_left(cli, tmp_path, monkeypatch, was_there):
    write = Path.write_bytes

    def fill_the_disk(path, content):
        if path.name == "index.html":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    if was_there:
        (tmp_path / "shop").mkdir()
    assert "can't be written: No space left on device; nothing was made" in cli("new", tmp_path / "shop").error
    assert (tmp_path / "shop").exists() == was_there
    assert files_in(tmp_path) == set()

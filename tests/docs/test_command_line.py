"""The reference of the command line is what the help texts say."""

import importlib.util
import re
import time
from pathlib import Path

import pytest

from supervisor.cli.main import commands
from supervisor.identity import IdRefused, KeyRing

ROOT = Path(__file__).parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(f"docs_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def writer():
    return load(ROOT / "docs" / "command_line.py")


def test_the_page_is_up_to_date(writer):
    page = writer.PAGE.read_text()
    assert page == writer.with_commands(page), "run: python docs/command_line.py"


def test_every_command_and_option_is_there(writer):
    text = writer.render_commands()
    for name, command in commands.commands.items():
        section = text.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        options = [each for each in command.params if each.opts[0].startswith("-")]
        assert section.count("\n| `-") == len(options), name
        for option in options:
            assert f"| `{option.opts[0]}" in section, option.name
        assert "| exit code | meaning |" in section or name in ("secret", "session-id", "completion")


def test_a_page_without_its_marks_is_not_written(writer):
    with pytest.raises(ValueError, match="has lost its marks"):
        writer.with_commands("# The command line\n")


def test_commands_of_all_pages_have_options_that_there_are():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "demos").rglob("README.md")]
    text = "\n".join(page.read_text() for page in pages).replace("\\\n", " ")
    used = re.findall(rf"python -m supervisor ({'|'.join(commands.commands)})\b([^`\n|#&]*)", text)
    given = {(name, option) for name, rest in used for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)}
    known = {
        (name, option) for name, each in commands.commands.items() for param in each.params for option in param.opts
    }
    assert len(given) > 20
    assert given <= known


def test_ids_that_the_example_signs_are_accepted():
    example = load(ROOT / "docs" / "examples" / "sign_session_id.py")
    ring = KeyRing((b"0123456789abcdef",))
    signed = example.sign_session_id("board-7", b"0123456789abcdef", max_age=60)
    assert ring.read_id(signed, now=time.time()) == "board-7"
    with pytest.raises(IdRefused, match="expired"):
        ring.read_id(signed, now=time.time() + 61)

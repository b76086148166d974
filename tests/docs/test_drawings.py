"""The drawings: made from what they show, and readable wherever they are put."""

import importlib.util
import re
from pathlib import Path

import pytest

DRAWINGS = Path(__file__).parents[2] / "docs" / "drawings"


def test_the_life_of_a_session_is_drawn_from_its_table():
    spec = importlib.util.spec_from_file_location("docs_drawings_lifecycle", DRAWINGS / "lifecycle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FILE.read_text() == module.draw(), "run: python docs/drawings/lifecycle.py"


@pytest.mark.parametrize("path", sorted(DRAWINGS.glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_takes_its_colours_from_the_page_and_has_a_name(path):
    text = path.read_text()
    assert re.search(r'<title id="([\w-]+)">', text)[1] in re.search(r'aria-labelledby="([\w-]+)"', text)[1]
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', text)) <= {"none", "currentColor"}

"""The built documentation: no warning, and nothing that a reader's browser would fetch from elsewhere."""

import re
import subprocess
import sys

from .building import DOCS
from .building import built as built

ROOT = DOCS.parent


def test_every_page_is_built(built):
    sources = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    missing = [str(source) for source in sources if not (built / source).with_suffix(".html").exists()]
    assert missing == []


def test_built_pages_load_nothing_from_elsewhere(built):
    loading = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
    found = {page.name: loading.findall(page.read_text()) for page in built.rglob("*.html")}
    assert {page: tags for page, tags in found.items() if tags} == {}
    styles = "".join(style.read_text() for style in built.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)'\"]*", styles) == []


def test_every_public_name_has_an_entry_in_the_reference(built):
    entries = set()
    for page in (built / "reference").glob("*.html"):
        entries.update(re.findall(r'id="(supervisor[\w.]*)"', page.read_text()))
    names = subprocess.run(
        [sys.executable, "-c", _NAMES], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert len(names) > 30
    assert [name for name in names if name not in entries] == []


_NAMES = """
import supervisor, supervisor.client, supervisor.testing
for module in (supervisor, supervisor.client, supervisor.testing):
    for name in getattr(module, "__all__", vars(module)):
        if not name.startswith("_") and callable(getattr(module, name)):
            print(f"{module.__name__}.{name}")
"""

"""The directory of an app."""

import pytest


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "data.bin").write_bytes(bytes(range(256)))
    (tmp_path / "static" / "style.css").write_text("p { color: red }")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path

"""`secret` and `session-id`: keys that a server takes, and ids that it accepts."""

import stat
import time

import pytest

from supervisor.cli.keys import read_ring
from supervisor.identity import IdRefused, is_well_formed


@pytest.fixture
def key(cli, tmp_path):
    assert cli("secret", "-o", tmp_path / "key").code == 0
    return tmp_path / "key"


def test_a_key_is_fresh_each_time(cli):
    first, second = cli("secret"), cli("secret", "-o", "-")
    assert (first.code, first.stderr) == (0, "")
    assert len(first.stdout.strip()) == 64
    assert first.stdout != second.stdout


def test_a_key_is_written_for_its_owner_only_and_never_over_a_file(cli, key, tmp_path):
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_text()
    result = cli("secret", "-o", key)
    assert (result.code, result.stdout) == (1, "")
    assert str(key) in result.error
    assert key.read_text() == before


def test_a_signed_id_is_for_a_server_with_the_key(cli, key):
    result = cli("session-id", "board-7", "--secret-key-file", key)
    assert (result.code, result.stderr) == (0, "")
    signed = result.stdout.strip()
    assert is_well_formed(signed)
    assert signed.startswith("board-7.never.")
    assert read_ring([key]).read_id(signed, now=1e12) == "board-7"


def test_a_signed_id_may_expire(cli, key):
    signed = cli("session-id", "board-7", "--secret-key-file", key, "--max-age", "60").stdout.strip()
    ring = read_ring([key])
    assert ring.read_id(signed, now=time.time() + 50) == "board-7"
    with pytest.raises(IdRefused, match="expired"):
        ring.read_id(signed, now=time.time() + 62)


def test_without_a_name_it_is_a_new_one(cli, key):
    ring = read_ring([key])
    names = {ring.read_id(cli("session-id", "--secret-key-file", key).stdout.strip(), now=0) for _ in range(2)}
    assert len(names) == 2
    assert all(len(name) == 22 for name in names)


def test_without_a_key_a_new_name_is_printed_as_it_is(cli):
    result = cli("session-id")
    assert (result.code, result.stderr) == (0, "")
    assert len(result.stdout.strip()) == 22


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("board-7",), ("--secret-key-file", "NAME")),
        (("--max-age", "3"), ("--secret-key-file", "--max-age")),
        (("a b",), ("'a b'", "letters, digits")),
        (("a" * 129,), ("128 characters",)),
        (("",), ("''", "letters, digits")),
        (("a", "--max-age", "0"), ("--max-age", "more than 0")),
        (("a", "--max-age", "1e300"), ("--max-age", "at most 3,000,000,000 seconds")),
        (("a", "b"), ("unexpected extra argument",)),
    ],
)
def test_wrong_usage_is_one_sentence(cli, arguments, names):
    result = cli("session-id", *arguments)
    assert (result.code, result.stdout) == (2, "")
    for name in names:
        assert name in result.error


def test_a_key_file_that_is_not_safe_is_one_sentence(cli, key):
    key.chmod(0o644)
    result = cli("session-id", "--secret-key-file", key)
    assert (result.code, result.stdout) == (1, "")
    assert "chmod 600" in result.error

"""Files of keys: what is read from them, what is refused, what is written."""

import os
import stat
import subprocess
import sys

import pytest

from supervisor.cli.keys import read_keys, read_ring, write_key
from supervisor.errors import ApplicationError

FIRST, SECOND, THIRD = b"0123456789abcdef", b"another key of us", b"the third key of us"


@pytest.fixture
def key_file(tmp_path):
    def write(content, name="key", mode=0o600):
        file = tmp_path / name
        file.write_bytes(content)
        file.chmod(mode)
        return file

    return write


def test_a_key_is_read_without_the_space_around_it(key_file):
    assert read_keys(key_file(b"\n 0123456789abcdef\r\n", mode=0o400)) == [FIRST]


def test_a_file_may_have_a_key_on_each_line(key_file):
    assert read_keys(key_file(b"%s\n\n  %s\r\n" % (FIRST, SECOND))) == [FIRST, SECOND]


def test_a_key_of_random_bytes_is_one_key_whatever_bytes_it_has(key_file):
    key = b"\xff\n\x00\n" * 5 + b"\xff"
    assert read_keys(key_file(key)) == [key]


def test_the_first_key_of_the_first_file_signs_and_all_are_accepted(key_file):
    ring = read_ring([key_file(FIRST + b"\n" + SECOND), key_file(THIRD, name="other")])
    assert list(ring.keys) == [THIRD, SECOND, FIRST]  # a ring has its newest last
    assert ring.sign_id("a", expires=None) == read_ring([key_file(FIRST, name="one")]).sign_id("a", expires=None)
    for alone in (FIRST, SECOND, THIRD):
        signed = read_ring([key_file(alone, name="alone")]).sign_id("board", expires=None)
        assert ring.read_id(signed, now=0) == "board"


def test_without_files_there_is_no_ring():
    assert read_ring([]) is None


def test_a_missing_file_is_told_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(ApplicationError, match=r"there is no key file .*; make one with: .* secret -o '.*a key'"):
        read_keys(tmp_path / "a key")


def test_a_directory_is_no_key_file(tmp_path):
    with pytest.raises(ApplicationError, match="can't be read: Is a directory"):
        read_keys(tmp_path)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o620, 0o644])
def test_a_file_that_others_can_read_or_change_is_refused_with_the_way_out(key_file, mode):
    file = key_file(FIRST, name="the key", mode=mode)
    with pytest.raises(ApplicationError, match=f"others may read or change .*; run: chmod 600 '{file}'"):
        read_keys(file)


def test_an_empty_file_is_refused(key_file):
    with pytest.raises(ApplicationError, match="is empty; make a key with"):
        read_keys(key_file(b" \n\n"))


@pytest.mark.parametrize(
    ("content", "which"), [(b"  fifteen bytes..\n", "the key in"), (FIRST + b"\nfifteen bytes..\n", "key 2 in")]
)
def test_a_short_key_is_refused_and_not_shown(key_file, content, which):
    with pytest.raises(ApplicationError, match=f"{which} .* is too short, 15 of at least 16 bytes") as refused:
        read_keys(key_file(content))
    assert "fifteen" not in str(refused.value)


def test_a_key_may_come_through_a_pipe(tmp_path):
    """As `--secret-key-file <(pass show key)` does it, so that it is never on a disk."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    writing = subprocess.Popen([sys.executable, "-c", f"open({str(pipe)!r}, 'w').write('0123456789abcdef')"])
    try:
        assert read_keys(pipe) == [FIRST]
    finally:
        writing.wait(30)


def test_a_written_key_is_its_owners_alone_and_can_be_read(tmp_path):
    file = tmp_path / "key"
    previous = os.umask(0)
    try:
        write_key(file, FIRST.decode())
    finally:
        os.umask(previous)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_keys(file) == [FIRST]


def test_a_file_that_is_there_is_left_as_it_is(key_file):
    file = key_file(SECOND)
    with pytest.raises(ApplicationError, match="already exists and was left as it is"):
        write_key(file, FIRST.decode())
    assert file.read_bytes() == SECOND


def test_a_file_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(ApplicationError, match="can't be written: No such file or directory"):
        write_key(tmp_path / "none" / "key", FIRST.decode())

"""What code holds a thread is read from the thread's frames, by another thread."""

import threading
from contextlib import contextmanager

import pytest

from supervisor.actor.stalls import MAX_FRAMES, StackReader, Work

HERE = __file__


class Entry:
    def __init__(self, name):
        self.name = name


def handle(entry, func):
    func()


READER = StackReader(
    {handle.__code__: lambda local: Work(what=local["entry"].name, session="s1", piece=local["entry"])},
    lambda file: file == HERE,
)


@contextmanager
def held(func, *args):
    """A thread in which `func` waits inside `args`' last function, until the block ends."""
    inside, go_on = threading.Event(), threading.Event()

    def wait():
        inside.set()
        go_on.wait(60)

    thread = threading.Thread(target=func, args=(*args, wait))
    thread.start()
    assert inside.wait(60)
    try:
        yield thread.ident
    finally:
        go_on.set()
        thread.join()


def test_the_innermost_known_place_says_whose_work_it_is():
    with held(handle, Entry("message Quote")) as thread:
        found = READER.read(thread)
    assert (found.application, found.session, found.what) == ("-", "s1", "message Quote")
    assert str(found).startswith("application -, session s1: message Quote, in held.<locals>.wait, line ")


def test_the_apps_own_line_is_named_and_not_the_librarys_inside_of_it():
    with held(handle, Entry("m")) as thread:
        found = READER.read(thread)
    assert found.where.startswith("held.<locals>.wait, line ")
    assert found.where.endswith(f" of {HERE}")
    assert "go_on.wait(60)" in found.stack
    assert "threading.py" in found.stack.splitlines()[-2]
    assert "in handle" not in found.stack  # what is around the place is ours


def test_code_in_no_known_place_has_its_stack():
    with held(lambda wait: wait()) as thread:
        found = READER.read(thread)
    assert (found.application, found.what) == ("-", "the server's own code")
    assert "go_on.wait(60)" in found.stack


def test_a_place_that_does_not_say_whose_it_is_is_passed_over():
    reader = StackReader({handle.__code__: lambda local: None}, lambda file: False)
    with held(handle, Entry("m")) as thread:
        found = reader.read(thread)
    assert found.what == "the server's own code"
    assert "threading.py" in found.where  # nobody's own: the innermost


def test_of_an_endless_recursion_the_innermost_frames_are_told():
    def down(depth, wait):
        return wait() if depth == 0 else down(depth - 1, wait)

    with held(down, 200) as thread:
        stack = READER.read(thread).stack
    assert "go_on.wait(60)" in stack
    assert len(stack.splitlines()) < 2 * MAX_FRAMES


def test_a_thread_that_is_not_there_has_no_stack():
    assert READER.read(-1) is None
    assert READER.sample(-1) is None


@pytest.mark.parametrize("same", [True, False])
def test_two_samples_tell_one_piece_of_work_from_another(same):
    entry = Entry("m")
    with held(handle, entry) as first, held(handle, entry if same else Entry("m")) as second:
        assert READER.sample(first).is_same_piece(READER.sample(second)) is same


def test_samples_in_no_known_place_and_no_task_are_never_one_piece():
    with held(lambda wait: wait()) as thread:
        assert not READER.sample(thread).is_same_piece(READER.sample(thread))

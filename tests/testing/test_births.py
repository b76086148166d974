"""Who watches is told of threads and sockets as they come to be, with the frame that makes them."""

import socket
import sys
import threading

import pytest

from supervisor.testing.births import watching_births


def make():
    """One of each: a thread, and the two ends of a pair."""
    thread = threading.Thread(target=list)
    thread.start()
    thread.join()
    with socket.socket() as one:
        return thread, one


def test_a_thread_and_a_socket_are_told_with_the_frame_that_makes_them():
    told = []
    with watching_births(lambda thing, frame: told.append((thing, names_above(frame)))):
        thread, one = make()
    assert [thing for thing, _ in told] == [thread, one]
    assert all("make" in names for _, names in told)


def names_above(frame):
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def test_nobody_is_told_before_and_after():
    told = []
    make()
    with watching_births(lambda thing, frame: told.append(thing)):
        pass
    make()
    assert told == []


def test_several_may_watch_and_end_in_any_order():
    told = []
    first = watching_births(lambda thing, frame: told.append("first"))
    second = watching_births(lambda thing, frame: told.append("second"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    make()
    second.__exit__(None, None, None)
    assert told == ["second", "second"]


def test_afterwards_all_is_as_it_was():
    before = threading.Thread.start, socket.socket.__init__
    with watching_births(lambda thing, frame: None):
        assert threading.Thread.start is not before[0]
    assert (threading.Thread.start, socket.socket.__init__) == before


def test_what_somebody_puts_before_ours_stays(monkeypatch):
    told = []
    with watching_births(lambda thing, frame: told.append(thing)):
        ours = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: ours(thread))
        theirs = threading.Thread.start
    assert threading.Thread.start is theirs
    make()
    assert told == []


def test_blocks_of_several_threads_begin_and_end_at_the_same_time():
    """
    1. A first one finds nobody who watches.
    2. A second one, in another thread, does so too, and puts its own before what the first one has put there.
    3. Both end: what each has found is put back, the second one's last.
    """
    before = threading.Thread.start, socket.socket.__init__

    def watch():
        for _ in range(500):
            with watching_births(lambda thing, frame: None):
                pass

    threads = [threading.Thread(target=watch) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert (threading.Thread.start, socket.socket.__init__) == before


def test_what_it_raises_is_its_makers():
    def refuse(thing, frame):
        raise ValueError("no")

    with watching_births(refuse), pytest.raises(ValueError, match="no"):
        socket.socket()

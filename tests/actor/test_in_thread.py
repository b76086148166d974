"""The mark of functions that run in a thread, and what is called in their place."""

import functools
import inspect

import pytest

from supervisor.actor.in_thread import check_plain, in_thread, is_marked, threaded, threaded_by_host


class Face:
    """A context or a document."""

    def __init__(self):
        self._host = self
        self.ran = []

    def run_in_thread(self, func, args):
        self.ran.append((func, args))
        return "to be awaited"


def plain(context, number=0):
    return number


class Callable:
    def __call__(self, context):
        pass


class AsyncCallable:
    async def __call__(self, context):
        pass


def test_a_mark_changes_nothing_of_the_function():
    @in_thread
    def marked(context):
        return 3

    assert is_marked(marked)
    assert marked(None) == 3
    assert not is_marked(plain)


def test_the_mark_is_seen_on_methods():
    class App:
        @in_thread
        def on_load(self, context):
            pass

    assert is_marked(App().on_load)


@pytest.mark.parametrize("func", [plain, print, Callable(), functools.partial(plain, number=3), len])
def test_plain_callables_of_all_kinds_can_run_in_a_thread(func):
    check_plain(func)


async def wait(context): ...


async def generate_later(context):
    yield


def generate(context):
    yield


@pytest.mark.parametrize(
    ("func", "kind"),
    [
        (wait, "async"),
        (generate_later, "async"),
        (generate, "a generator function"),
        (AsyncCallable(), "async"),
        (functools.partial(wait, None), "async"),
    ],
)
def test_others_are_refused_with_the_way_out(func, kind):
    for refuse in (check_plain, functools.partial(threaded_by_host, thread=True)):
        with pytest.raises(TypeError, match=f"is {kind}; write `def` without await, or leave the thread out"):
            refuse(func)


@pytest.mark.parametrize("run", [None, Face().run_in_thread])
def test_whether_it_is_for_a_thread_is_true_or_false(run):
    with pytest.raises(TypeError, match=r"^thread must be True or False, not 'no'$"):
        threaded(plain, run, thread="no")


def test_a_call_of_an_async_function_is_no_function_and_is_let_go_at_once():
    async def poll(seconds):
        pass

    with pytest.raises(TypeError, match=r"arguments come after it: write .*poll, not .*poll\(…\)$"):
        threaded(poll(5), None)  # left un-awaited, it would be a warning, and so an error


def test_what_is_for_no_thread_stays_itself():
    assert threaded(plain, None) is plain
    assert threaded_by_host(plain) is plain
    assert threaded(None, None, thread=True) is None  # who gets it says that it can't be called


def test_what_is_for_a_thread_is_handed_over_and_keeps_its_face():
    face = Face()
    for func in (threaded_by_host(plain, thread=True), threaded_by_host(in_thread(lambda context, number: None))):
        assert func(face, 3) == "to be awaited"
        assert face.ran.pop()[1] == (face, 3)
    func = threaded(plain, face.run_in_thread, thread=True)
    func(1, 2)
    assert face.ran == [(plain, (1, 2))]
    assert func.__qualname__ == "plain"
    assert inspect.signature(func) == inspect.signature(plain)

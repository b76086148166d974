import pytest
import trio

from supervisor.application.creation import Failed, Refused
from supervisor.application.handlers import NamespaceHandler
from supervisor.application.visitors import MAX_NAME, choose_session_id, name_connection
from supervisor.errors import SessionRefused
from supervisor.session.request import Request

REQUEST = Request(headers={"x-user": "ada"})


async def slow(request):
    await trio.sleep(11)


class Reports(list):
    def __call__(self, what, error):
        self.append((what, error))
        return "ab12cd34"


def handlers(name, *funcs):
    return [NamespaceHandler({name: func} if func else {}, where="app") for func in funcs]


async def choose(*funcs, timeout=10):
    reports = Reports()
    id = await choose_session_id(handlers("choose_session_id", *funcs), REQUEST, timeout=timeout, report=reports)
    return id, reports


def name(*funcs):
    reports = Reports()
    return name_connection(handlers("name_connection", *funcs), REQUEST, report=reports), reports


def test_the_first_name_counts():
    assert name() == (None, [])
    assert name(None, lambda request: None) == (None, [])
    assert name(lambda request: None, lambda request: request.headers["x-user"], lambda request: "x") == ("ada", [])


def test_a_name_is_no_longer_than_people_read():
    assert name(lambda request: "x" * MAX_NAME) == ("x" * MAX_NAME, [])
    assert name(lambda request: "x" * 16_000) == ("x" * (MAX_NAME - 1) + "…", [])


@pytest.mark.parametrize("error", [KeyError("swordfish"), SystemExit(1), SessionRefused("no")])
def test_a_connection_whose_name_fails_has_none(error):
    def fail(request):
        raise error

    assert name(fail, lambda request: "x") == (None, [("name_connection", error)])


def test_a_name_is_a_text():
    async def later(request): ...

    got, [(_, error)] = name(lambda request: 7)
    assert got is None
    assert str(error) == "name_connection must return a str or None, not 7"
    got, [(_, error)] = name(lambda request: later(request))
    assert got is None
    assert str(error) == "name_connection must be a plain function, not a coroutine function"


def test_an_interrupt_passes():
    def interrupt(request):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        name(interrupt)


async def test_the_first_id_counts_and_a_hook_may_wait(autojump_clock):
    async def later(request):
        await trio.sleep(3)
        return f"of-{request.headers['x-user']}"

    assert await choose() == (None, [])
    assert await choose(None, lambda request: None) == (None, [])
    assert await choose(lambda request: None, later, lambda request: "x") == ("of-ada", [])


async def test_an_id_whose_choice_fails_is_an_incident(autojump_clock):
    def fail(request):
        raise LookupError("swordfish")

    id, [(what, error)] = await choose(fail, lambda request: "x")
    assert (id, what, type(error)) == (Failed("ab12cd34"), "choose_session_id", LookupError)
    id, [(_, error)] = await choose(lambda request: 7)
    assert (id, str(error)) == (Failed("ab12cd34"), "choose_session_id must return a str or None, not 7")
    id, [(_, error)] = await choose(slow)
    assert (id, type(error)) == (Failed("ab12cd34"), trio.TooSlowError)


@pytest.mark.parametrize(
    ("error", "reason"), [(SessionRefused("members only"), "members only"), (PermissionError(), "")]
)
async def test_a_visitor_may_be_refused(error, reason):
    def refuse(request):
        raise error

    assert await choose(refuse) == (Refused(reason), [])


async def test_who_leaves_ends_only_the_wait(autojump_clock):
    with trio.move_on_after(1) as scope:
        await choose(slow)
    assert scope.cancelled_caught


async def test_what_a_hook_raises_as_its_visitor_leaves_is_reported(autojump_clock):
    async def stubborn(request):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 5)
                try:
                    await trio.sleep(5)
                finally:
                    raise LookupError("swordfish")
        finally:
            pass

    reports = Reports()
    with trio.move_on_after(1) as scope:
        await choose_session_id(handlers("choose_session_id", stubborn), REQUEST, timeout=10, report=reports)
    assert scope.cancelled_caught
    assert [type(error) for _, error in reports] == [LookupError]

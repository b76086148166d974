import functools
import threading

import pytest
import trio

from supervisor.actor.in_thread import in_thread
from supervisor.actor.unawaited import watch_unawaited
from supervisor.application.creation import Failed
from supervisor.application.handlers import Handler
from supervisor.application.hooks import (
    ALIASES,
    ARGUMENTS,
    HOOKS,
    call_author,
    check_signature,
    find_hooks,
    is_hook,
    refusal_in,
)
from supervisor.errors import ApplicationError, SessionRefused, Unawaited


def hook(context):
    """A function of one argument."""


def connection_hook(session_context, connection):
    """A function of two."""


def callback_hook(app_context, callback, error):
    """A function of three."""


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_found_by_its_name(name):
    func = (hook, connection_hook, callback_hook)[len(ARGUMENTS[name]) - 1]
    assert find_hooks({name: func, "other": 1, "helper": print}, "app") == ({name: func}, [])


@pytest.mark.parametrize("name", ["on_connection_opened", "on_connection_closed"])
def test_a_connections_hook_takes_two_arguments(name):
    for wrong in (hook, lambda: None, lambda a, b, c: None):
        with pytest.raises(
            ApplicationError,
            match=rf"^app, line \d+: {name}\(.*\) must take two arguments; "
            rf"write `def {name}\(session_context, connection\): \.\.\.`$",
        ):
            find_hooks({name: wrong}, "app")
    with pytest.raises(
        ApplicationError, match=rf"^app: {name} is not a function; write `def {name}\(session_context, con"
    ):
        find_hooks({name: 1}, "app")


def test_the_hook_of_failed_callbacks_takes_three_arguments_and_is_known_when_it_is_misspelt():
    with pytest.raises(
        ApplicationError, match=r"must take three arguments; write `def on_callback_failed\(app_context, c"
    ):
        find_hooks({"on_callback_failed": hook}, "app")
    (warning,) = find_hooks({"on_callback_fails": callback_hook}, "app")[1]
    assert warning == "app: on_callback_fails is not a hook and is never called; did you mean on_callback_failed?"


def test_a_function_with_a_yield_is_refused_since_nothing_of_it_would_run():
    """As a coroutine of Tornado is, when its decorator is taken away."""

    def generator(context):
        yield

    async def async_generator(context):
        yield

    for wrong in (generator, async_generator, functools.partial(generator)):
        with pytest.raises(
            ApplicationError, match=r"app(, line \d+)?: on_session_created contains a yield, so calling it"
        ):
            find_hooks({"on_session_created": wrong}, "app")


def test_a_connections_name_comes_from_a_plain_function():
    async def name_connection(request): ...

    with pytest.raises(ApplicationError, match=r"^app: name_connection must be a plain function; write `def`, not `as"):
        find_hooks({"name_connection": name_connection}, "app")


def test_an_apps_own_function_is_not_taken_for_a_hook_that_has_no_prefix():
    assert find_hooks({"new_connection": hook, "close_connection": hook, "choose_session": hook}, "app")[1] == []
    assert find_hooks({"name_conection": hook}, "app")[1] == [
        "app: name_conection is not a hook and is never called; did you mean name_connection?"
    ]


@pytest.mark.parametrize(
    ("failure", "refusal"),
    [
        (SessionRefused("members only"), "members only"),
        (PermissionError("x"), ""),
        (PermissionError(13, "x"), None),
        (ValueError("x"), None),
        (None, None),
    ],
)
def test_what_is_a_hooks_no(failure, refusal):
    assert refusal_in(failure) == refusal


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_bokehs_names_are_other_names_of_ours(alias, name):
    assert find_hooks({alias: hook}, "app") == ({name: hook}, [])
    assert find_hooks({alias: hook, name: hook}, "app") == ({name: hook}, [])
    with pytest.raises(ApplicationError, match=f"app has {name} under two names; keep one of them"):
        find_hooks({alias: hook, name: lambda context: None}, "app")


def test_what_is_a_hooks_name():
    assert is_hook("on_session_created")
    assert is_hook("on_server_loaded")
    assert not is_hook("on_session")


def no_argument(): ...


def two_arguments(context, other): ...


async def keyword_only(*, context): ...


@pytest.mark.parametrize("wrong", [no_argument, two_arguments, keyword_only])
def test_a_hook_that_takes_other_than_one_argument_is_refused_in_one_sentence(wrong):
    with pytest.raises(
        ApplicationError,
        match=r"^app/lifecycle.py(, line \d+)?: on_session_created\(.*\) must take one argument; "
        r"write `def on_session_created\(session_context\): \.\.\.`$",
    ):
        find_hooks({"on_session_created": wrong}, "app/lifecycle.py")
    with pytest.raises(ApplicationError, match=r"write `def on_server_loaded\(app_context\): \.\.\.`") as raised:
        find_hooks({"on_server_loaded": wrong}, "app")
    assert "\n" not in str(raised.value)


def default(context, other=1): ...


def any_arguments(*args, **kwargs): ...


class Method:
    def hook(self, context): ...

    async def __call__(self, context): ...


@pytest.mark.parametrize(
    "right", [default, any_arguments, Method().hook, Method(), functools.partial(two_arguments, 1), int, lambda _: None]
)
def test_whatever_can_be_called_with_one_argument_is_a_hook(right):
    hooks, _ = find_hooks({"on_session_created": right}, "app")
    assert hooks == {"on_session_created": right}


def test_what_cannot_be_inspected_is_left_to_the_call():
    class Odd:
        __signature__ = "odd"

        def __call__(self, context): ...

    check_signature(Odd(), "doc", where="app", name="odd")


def test_a_hook_that_is_no_function_is_refused():
    with pytest.raises(
        ApplicationError, match="app: on_session_created is not a function; write `def on_session_created"
    ):
        find_hooks({"on_session_created": 5}, "app")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_sesion_created", "on_session_created"),
        ("on_session_create", "on_session_created"),
        ("on_session_destroy", "on_session_destroyed"),
        ("on_application_loaded", "on_application_load"),
        ("on_server_load", "on_server_loaded"),
    ],
)
def test_a_name_that_is_nearly_a_hooks_is_warned_of(name, meant):
    hooks, warnings = find_hooks({name: hook}, "app")
    assert hooks == {}
    assert warnings == [f"app: {name} is not a hook and is never called; did you mean {meant}?"]


def test_other_names_are_not():
    namespace = {"on_quote": hook, "_on_sesion_created": hook, "on_sesion_created": "text", "session": hook}
    assert find_hooks(namespace, "app") == ({}, [])


async def test_what_a_call_returns_decides_what_is_awaited(autojump_clock):
    async def add(a, b):
        await trio.sleep(1)
        return a + b

    assert await call_author(add, 1, 2, timeout=2) == 3
    assert await call_author(lambda a, b: add(a, b), 1, 2, timeout=2) == 3
    assert await call_author(lambda a, b: a + b, 1, 2, timeout=2) == 3


async def test_what_is_late_is_cancelled_and_says_how_much_time_it_had(autojump_clock):
    with pytest.raises(trio.TooSlowError, match="sleep_forever took longer than 2 s and was cancelled"):
        await call_author(trio.sleep_forever, timeout=2)
    scope = trio.CancelScope(deadline=trio.current_time() + 1)
    with pytest.raises(trio.TooSlowError, match="took longer than 1 s"):
        await call_author(trio.sleep_forever, timeout=2, scope=scope)
    scope = trio.CancelScope(deadline=trio.current_time() - 1)
    with pytest.raises(
        trio.TooSlowError, match="there was no time left for sleep_forever, and it was cancelled at its first wait"
    ):
        await call_author(trio.sleep_forever, timeout=2, scope=scope)
    assert trio.current_time() == 3


async def test_a_plain_function_is_called_even_without_time(autojump_clock):
    assert await call_author(lambda: "called", timeout=0) == "called"


async def test_a_hook_that_forgets_an_await_has_failed(run_app, recorder, autojump_clock):
    async def notify():
        raise AssertionError("never runs")

    def on_session_created(session_context):
        notify()

    with watch_unawaited(lambda error: None):
        async with run_app(locals(), expect_failures=True) as app:
            outcome = await app.outcome()
            assert isinstance(outcome, Failed)
    (error,) = recorder.errors
    assert isinstance(error, Unawaited)
    assert "notify" in str(error)


async def test_who_keeps_the_cancellation_to_itself_is_late_all_the_same(autojump_clock):
    async def stubborn():
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return "done"  # as apps do

    with pytest.raises(trio.TooSlowError, match="stubborn took longer than 3 s"):
        await call_author(stubborn, timeout=3)


@pytest.mark.parametrize("name", ["name_connection", "choose_session_id"])
def test_a_hook_that_comes_before_any_session_runs_in_no_thread(name):
    @in_thread
    def hook(request): ...

    with pytest.raises(ApplicationError, match=f"app: {name} can't run in a thread, .* remove @in_thread"):
        find_hooks({name: hook}, "app")


def test_one_marked_hook_under_two_names_is_one_hook():
    @in_thread
    def on_load(app_context): ...

    hooks, warnings = find_hooks({"on_application_load": on_load, "on_server_loaded": on_load}, "app")
    assert list(hooks) == ["on_application_load"]
    assert warnings == []


async def test_a_method_of_a_handler_class_runs_in_a_thread_by_its_mark(run_app):
    here, seen = threading.get_ident(), []

    class Blocking(Handler):
        @in_thread
        def on_session_created(self, session_context):
            seen.append(threading.get_ident() != here)

    async with run_app(Blocking()) as app:
        await app.open()
    assert seen == [True]

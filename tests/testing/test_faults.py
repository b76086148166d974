"""Faults on demand: which call is struck, what the app and its visitors see of it, and what counts as expected."""

import functools
import inspect
import threading

import attrs
import pytest
import trio
import trio.testing

from supervisor import Rejected, in_thread, receives
from supervisor.application.handlers import Application, FunctionHandler, Handler, NamespaceHandler
from supervisor.application.options import ApplicationOptions
from supervisor.errors import ApplicationError, PageRefused
from supervisor.server_options import ServerOptions
from supervisor.testing import hand_driven, supervise
from supervisor.testing.faults import Faults, InjectedFault


@attrs.frozen
class Add:
    number: int


@attrs.frozen
class AddSlowly:
    number: int


@attrs.frozen
class AddInThread:
    number: int


@receives(Add, from_client=True)
def on_add(doc, message):
    doc.data["sum"] += message.number
    return doc.data["sum"]


@receives(AddSlowly)
async def on_add_slowly(doc, message):
    doc.data["sum"] += message.number
    await trio.sleep(1)
    return doc.data["sum"]


@receives(AddInThread, thread=True)
def on_add_in_thread(doc, message):
    doc.data["sum"] += message.number
    return doc.data["sum"]


def modify_document(doc):
    doc.data["sum"] = 0


HANDLERS = {"on_add": on_add, "on_add_slowly": on_add_slowly, "on_add_in_thread": on_add_in_thread}


def app_of(**namespace):
    return Application(
        NamespaceHandler({"modify_document": modify_document, **HANDLERS} | namespace, where="app"), name="app"
    )


@pytest.mark.parametrize("message", [Add, AddSlowly, AddInThread])
@pytest.mark.parametrize("late", [False, True])
async def test_a_handler_fails_at_its_nth_call_and_no_other(autojump_clock, message, late):
    name = {Add: "on_add", AddSlowly: "on_add_slowly", AddInThread: "on_add_in_thread"}[message]
    async with supervise(app_of()) as app:
        session = (await app.new_session()).context
        assert await session.ask(message(1)) == 1
        app.faults.fail(name, at=2, error=LookupError("no such feed"), late=late)
        assert await session.ask(message(1)) == 2
        with pytest.raises(LookupError, match="no such feed"):
            await session.ask(message(1))
        assert await session.ask(message(1)) == 3  # what the failed one did was rolled back
        [incident] = app.incidents
        assert (incident.what, incident.decision) == (f"message {message.__name__}", "resumed")


@pytest.mark.parametrize("late", [False, True])
async def test_what_fails_late_has_been_called(autojump_clock, late):
    calls = []

    @receives(Add)
    def on_add(doc, message):
        calls.append("plain")

    @receives(AddSlowly)
    async def on_add_slowly(doc, message):
        calls.append("async")

    async with supervise(app_of(on_add=on_add, on_add_slowly=on_add_slowly)) as app:
        session = (await app.new_session()).context
        app.faults.fail("on_add", late=late).fail("on_add_slowly", late=late)
        for message in (Add(1), AddSlowly(1)):
            with pytest.raises(InjectedFault):
                await session.ask(message)
        assert calls == (["plain", "async"] if late else [])


async def test_what_it_fails_with_unless_told_otherwise_says_which_call_it_was(autojump_clock):
    async with supervise(app_of()) as app:
        session = (await app.new_session()).context
        app.faults.fail("on_add")
        for number in (1, 2):
            with pytest.raises(InjectedFault, match=f"on_add was to fail at call {number}"):
                await session.ask(Add(1))


async def test_an_error_may_be_a_no(autojump_clock):
    async with supervise(app_of()) as app:
        session = (await app.new_session()).context
        app.faults.fail("on_add", error=Rejected("not today"))
        with pytest.raises(Rejected, match="not today"):
            await session.ask(Add(1))
        assert app.incidents == []


async def test_calls_of_all_sessions_are_counted_together_from_when_the_fault_was_set(autojump_clock):
    async with supervise(app_of()) as app:
        first, second = [(await app.new_session()).context for _ in range(2)]
        await first.ask(Add(1))
        app.faults.fail("on_add", at=2, error=LookupError)
        await first.ask(Add(1))
        with pytest.raises(LookupError):
            await second.ask(Add(1))


async def test_a_handler_is_delayed(autojump_clock):
    async with supervise(app_of()) as app:
        session = (await app.new_session()).context
        app.faults.delay("on_add", seconds=2).delay("on_add", seconds=3, at=2)
        began = trio.current_time()
        assert await session.ask(Add(1)) == 1
        assert trio.current_time() - began == pytest.approx(2)
        assert await session.ask(Add(1)) == 2
        assert trio.current_time() - began == pytest.approx(7)


@pytest.mark.parametrize("message", [Add, AddSlowly, AddInThread])
async def test_a_handler_hangs_until_its_asker_has_enough(autojump_clock, message):
    name = {Add: "on_add", AddSlowly: "on_add_slowly", AddInThread: "on_add_in_thread"}[message]
    async with supervise(app_of()) as app:
        session = (await app.new_session()).context
        app.faults.hang(name, at=1)
        with pytest.raises(trio.TooSlowError):
            await session.ask(message(1), timeout=4)
        assert await session.ask(message(1)) == 1


async def test_a_session_whose_handler_hangs_can_be_ended(autojump_clock):
    async with supervise(app_of()) as app:
        session = (await app.new_session()).context
        app.faults.hang("on_add")
        await session.tell(Add(1))
        await trio.testing.wait_all_tasks_blocked()
        session.destroy()
        await session.wait_destroyed()


async def test_a_hook_that_hangs_is_cancelled_at_its_deadline_and_that_is_expected(autojump_clock):
    async def on_session_destroyed(session_context):
        raise AssertionError("it was to hang before")

    options = ServerOptions(application=ApplicationOptions(hook_timeout=5))
    async with supervise(app_of(on_session_destroyed=on_session_destroyed), options=options) as app:
        session = (await app.new_session()).context
        app.faults.hang("on_session_destroyed")
        began = trio.current_time()
        session.destroy()
        await session.wait_destroyed()
        assert trio.current_time() - began == pytest.approx(5)
        [incident] = app.incidents
        assert isinstance(incident.error, trio.TooSlowError)
        assert "on_session_destroyed took longer than 5 s" in str(incident.error)


async def test_a_hook_that_was_held_up_once_and_then_fails_by_itself_is_not_expected(autojump_clock):
    async def on_session_destroyed(session_context):
        raise ValueError("broken")

    with pytest.raises(BaseExceptionGroup, match="the app failed") as raised:
        async with supervise(app_of(on_session_destroyed=on_session_destroyed)) as app:
            app.faults.hang("on_session_destroyed", at=1)
            for _ in range(2):
                await app.new_session()
    assert [type(error) for error in raised.value.exceptions] == [ValueError]


async def test_a_function_has_the_faults_of_all_its_names(autojump_clock):
    """Its author's, and the hook's that it is."""

    async def say_goodbye(session_context):
        raise AssertionError("it was to hang before")

    async with supervise(app_of(on_session_destroyed=say_goodbye)) as app:
        first, second = [(await app.new_session()).context for _ in range(2)]
        app.faults.fail("on_session_destroyed", at=1).hang("say_goodbye", at=2)
        for session in (first, second):
            session.destroy()
            await session.wait_destroyed()
        assert [type(incident.error) for incident in app.incidents] == [InjectedFault, trio.TooSlowError]


async def test_a_hook_that_is_late_by_itself_is_not_expected(autojump_clock):
    async def on_session_destroyed(session_context):
        await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup, match="the app failed"):
        async with supervise(app_of(on_session_destroyed=on_session_destroyed)) as app:
            app.faults.delay("on_session_destroyed", seconds=0.1)
            await app.new_session()


async def test_a_load_hook_fails_before_the_block(autojump_clock):
    with pytest.raises(ApplicationError, match="the database is away"):
        async with supervise(
            app_of(on_application_load=lambda app_context: None),
            faults=Faults().fail("on_application_load", error=OSError("the database is away")),
        ):
            raise AssertionError("the block was entered")


async def test_a_created_hook_fails_and_its_visitor_is_told(autojump_clock):
    async with supervise(app_of(on_session_created=lambda session_context: None)) as app:
        app.faults.fail("on_session_created", at=1)
        with pytest.raises(PageRefused) as refused:
            await app.new_session()
        assert refused.value.status == 500
        await app.new_session()


async def test_a_producer_fails_at_its_second_call_and_is_called_again(autojump_clock):
    calls = []

    async def listen(app_context):
        calls.append(trio.current_time())
        if len(calls) < 3:
            raise ConnectionError("the feed was cut")
        await trio.sleep_forever()

    def on_application_load(app_context):
        app_context.add_callback(listen, app_context)

    with pytest.raises(BaseExceptionGroup) as raised:
        async with supervise(
            app_of(on_application_load=on_application_load), faults=Faults().fail("listen", at=2)
        ) as app:
            await trio.sleep(10)
            assert len(calls) == 3
            assert [incident.what for incident in app.incidents] == ["producer " + listen.__qualname__] * 3
    assert [type(error) for error in raised.value.exceptions] == [ConnectionError] * 2  # but not the injected one


async def test_a_fault_of_a_producer_that_runs_strikes_when_the_server_calls_it_again(autojump_clock):
    """It is not called while it runs: a test that wants its first call struck sets the fault before the block."""
    cut = trio.Event()
    calls = []

    async def listen(app_context):
        calls.append(trio.current_time())
        await cut.wait()
        if len(calls) == 1:
            raise ConnectionError("the feed was cut")
        await trio.sleep_forever()

    def on_application_load(app_context):
        app_context.add_callback(listen, app_context)

    async with supervise(app_of(on_application_load=on_application_load)) as app:
        app.faults.fail("listen", at=1)
        await trio.sleep(60)
        assert (len(calls), app.incidents) == (1, [])
        cut.set()
        await trio.sleep(10)
        assert [type(incident.error) for incident in app.incidents] == [ConnectionError, InjectedFault]
        assert len(calls) == 2
        app.incidents.clear()


@pytest.mark.parametrize("wait", [False, True])
async def test_a_callback_that_was_added_before_fails_from_now_on(autojump_clock, wait):
    ticks = []

    def modify_document(doc):
        if wait:

            async def tick():
                ticks.append(trio.current_time())

        else:

            def tick():
                ticks.append(trio.current_time())

        doc.add_periodic_callback(tick, seconds=1)

    async with supervise(app_of(modify_document=modify_document)) as app:
        await app.new_session()
        await trio.sleep(2.5)
        app.faults.fail("tick", at=1)
        await trio.sleep(1)
        assert len(ticks) == 2
        [incident] = app.incidents
        assert incident.what.startswith("periodic callback test_a_callback_that_was")
        assert incident.what.endswith("tick")
        app.faults.clear("tick")
        await trio.sleep(1)
        assert len(ticks) == 3


async def test_every_kind_of_function_that_is_handed_over_has_its_name(autojump_clock):
    class Feed:
        def poll(self):
            """Nothing."""

        def __call__(self):
            """Nothing."""

    async def background():
        """Nothing."""

    @in_thread
    def judge(doc, edit):
        """Nothing."""

    def modify_document(doc):
        doc.data["n"] = 0
        doc.add_callback(Feed().poll)
        doc.add_timeout_callback(functools.partial(print, "never"), seconds=1e6)
        doc.add_timeout_callback(Feed(), seconds=1e6)
        doc.on_change("/n", lambda doc, change: None)
        doc.allow_edits("/n", judge)
        doc.session_context.start_soon(background)

    async with supervise(app_of(modify_document=modify_document)) as app:
        session = await app.new_session()
        for name in ("poll", "print", "Feed", "<lambda>", "judge", "background", "on_add", "modify_document"):
            assert name in app.faults.names
        client = await session.connect()
        await client.edit("/n", 1)
        app.faults.fail("judge", error=Rejected("no more"))
        with pytest.raises(Rejected, match="no more"):
            await client.edit("/n", 2)


async def test_a_callback_that_was_added_for_a_thread_runs_in_one(autojump_clock):
    threads = []

    def tick():
        threads.append(threading.current_thread())

    def modify_document(doc):
        doc.add_periodic_callback(tick, seconds=1, thread=True)

    async with supervise(app_of(modify_document=modify_document), faults=Faults().delay("tick", seconds=0.5)) as app:
        await app.new_session()
        await trio.sleep(2)
        assert len(threads) == 1
        assert threads[0] is not threading.current_thread()


async def test_a_function_that_is_added_later_can_be_named_before(autojump_clock):
    def modify_document(doc):
        doc.add_callback(later)

    def later():
        raise AssertionError("it was to fail before")

    async with supervise(app_of(modify_document=modify_document), faults=Faults().fail("later")) as app:
        await (await app.new_session()).connect()
        assert [type(incident.error) for incident in app.incidents] == [InjectedFault]


async def test_what_an_adder_refuses_is_refused_as_without_faults(autojump_clock):
    def generator():
        yield

    async def async_generator():
        yield

    async with supervise(app_of()) as app:
        for document in (app.context, (await app.new_session()).context.document):
            for wrong in (generator, async_generator):
                with pytest.raises(
                    TypeError, match=rf"a callback that contains a yield .*<function .*\.{wrong.__name__} at"
                ):
                    document.add_periodic_callback(wrong, seconds=1)
            with pytest.raises(TypeError, match="must be callable, not None"):
                document.add_periodic_callback(None, seconds=1)
        assert "generator" not in app.faults.names


async def test_what_has_no_name_is_reported_as_without_faults(autojump_clock):
    func = functools.partial(int, "no number")

    def modify_document(doc):
        doc.add_callback(func)

    with pytest.raises(BaseExceptionGroup):
        async with supervise(app_of(modify_document=modify_document)) as app:
            await (await app.new_session()).connect()
            [incident] = app.incidents
            assert incident.what == f"next tick callback {func!r}"


async def test_an_unknown_name_is_refused_with_those_that_there_are(autojump_clock):
    async with supervise(app_of()) as app:
        with pytest.raises(LookupError, match=r"'on_ad'.*did you mean on_add\?.*on_add_in_thread, on_add_slowly"):
            app.faults.fail("on_ad")
        with pytest.raises(LookupError, match="on_session_destroyed"):  # which this app doesn't have
            app.faults.hang("on_session_destroyed")


async def test_an_unknown_name_that_was_set_before_is_told_in_the_end(autojump_clock):
    with pytest.raises(LookupError, match=r"'on_load'.*no function of that name was added"):
        async with supervise(app_of(), faults=Faults().fail("on_load")):
            pass
    with pytest.raises(ZeroDivisionError):  # what the test itself raises comes first
        async with supervise(app_of(), faults=Faults().fail("on_load")):
            _ = 1 / 0


@pytest.mark.parametrize("opener", [supervise, hand_driven])
async def test_what_is_no_faults_is_refused(opener):
    with pytest.raises(TypeError, match=r"^faults is a Faults, as in Faults\(\).fail\(.*\), not 'on_add'$"):
        async with opener(modify_document, faults="on_add"):
            pytest.fail("it must not begin")


def test_bad_arguments_are_refused_at_the_door():
    faults = Faults()
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="at must be the number of a call"):
            faults.fail("on_add", at=wrong)
    for wrong in ("no feed", int):
        with pytest.raises(TypeError, match="error must be an exception"):
            faults.fail("on_add", error=wrong)
    with pytest.raises(TypeError, match="late must be True or False, not 'no'"):
        faults.fail("on_add", late="no")
    for wrong in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="finite number"):
            faults.delay("on_add", seconds=wrong)
    with pytest.raises(ValueError, match="can only fail"):
        faults.hang("name_connection")


async def test_a_plain_hook_that_cannot_wait_can_fail(autojump_clock):
    async with supervise(app_of(name_connection=lambda request: "Ada")) as app:
        session = await app.new_session()
        app.faults.fail("name_connection", at=1)
        await session.connect()
        [incident] = app.incidents
        assert incident.what == "name_connection"


async def test_one_faults_belongs_to_one_app_at_a_time(autojump_clock):
    faults = Faults().fail("on_add")
    async with supervise(app_of(), faults=faults):
        with pytest.raises(RuntimeError, match="another app's"):
            async with supervise(app_of(), faults=faults):
                pass
    async with supervise(app_of(), faults=faults) as app:
        with pytest.raises(InjectedFault):
            await (await app.new_session()).context.ask(Add(1))


class Frozen(Handler):
    receivers = [on_add]  # noqa: RUF012

    @in_thread
    def on_session_created(self, session_context):
        """Nothing."""

    def modify_document(self, doc):
        doc.data["sum"] = 0


async def test_an_application_is_as_it_was_afterwards(autojump_clock):
    handler = attrs.frozen(Frozen)()
    own = FunctionHandler(modify_document)
    application = Application([handler, own], name="app")
    by_type = dict(application.receivers.by_type)
    async with supervise(application) as app:
        app.faults.delay("on_add", seconds=1).delay("on_session_created", seconds=1).fail("modify_document", at=99)
        assert application.receivers.by_type != by_type
        await (await app.new_session()).context.ask(Add(1))
    assert application.receivers.by_type == by_type
    assert vars(handler) == {}
    assert own.modify_document.__func__ is FunctionHandler.modify_document


async def test_nothing_of_handlers_and_hooks_is_wrapped_without_a_fault(autojump_clock):
    application = app_of()
    by_type = dict(application.receivers.by_type)
    async with supervise(application):
        assert application.receivers.by_type == by_type


def test_a_wrapped_function_is_like_the_authors():
    application = app_of()
    faults = Faults().fail("on_add", at=99).fail("on_add_slowly", at=99)
    with faults.in_use():
        faults.install(application)
        for message, func in ((Add, on_add), (AddSlowly, on_add_slowly)):
            wrapped = application.receivers.by_type[message]
            assert wrapped is not func
            assert (wrapped.__name__, wrapped.__qualname__, wrapped.__module__) == (
                func.__name__,
                func.__qualname__,
                func.__module__,
            )
            assert inspect.signature(wrapped) == inspect.signature(func)
            assert inspect.iscoroutinefunction(wrapped) == inspect.iscoroutinefunction(func)


def test_what_was_set_can_be_seen_and_cleared():
    faults = Faults().fail("on_add").hang("tick", at=2)
    assert repr(faults) == "<Faults: fail on_add, hang tick>"
    faults.clear("on_add")
    faults.clear("never_set")
    assert repr(faults) == "<Faults: hang tick>"
    faults.clear()
    assert repr(faults) == "<Faults: none>"
    assert faults.names == []


@pytest.mark.parametrize("name", ["on_ad", None])
async def test_a_wrong_name_that_was_cleared_is_no_error_in_the_end(autojump_clock, name):
    async with supervise(app_of(), faults=Faults().fail("on_ad")) as app:
        app.faults.clear(name)


async def test_what_one_app_added_is_unknown_to_the_next(autojump_clock):
    def modify_document(doc):
        doc.add_callback(later)

    def later():
        """Nothing."""

    faults = Faults()
    async with supervise(app_of(modify_document=modify_document), faults=faults) as app:
        await app.new_session()
        assert "later" in faults.names
    faults.fail("later")  # there is no app that could lack it
    with pytest.raises(LookupError, match="'later'"):
        async with supervise(app_of(), faults=faults):
            assert "later" not in faults.names


async def test_what_was_injected_is_no_error_for_a_check_either(autojump_clock):
    async with supervise(app_of()) as app:
        app.faults.fail("on_add")
        session = (await app.new_session()).context
        with pytest.raises(InjectedFault):
            await session.ask(Add(1))
        await app.check("errors")


async def test_faults_outlive_a_restart(autojump_clock):
    async with supervise(app_of()) as app:
        app.faults.fail("on_add", at=2)
        await (await app.new_session()).context.ask(Add(1))
        await app.restart()
        with pytest.raises(InjectedFault):
            await (await app.new_session()).context.ask(Add(1))

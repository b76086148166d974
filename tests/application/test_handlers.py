import pytest

from supervisor.actor.restart import FailurePolicy
from supervisor.application.handlers import Application, FunctionHandler, Handler, NamespaceHandler
from supervisor.errors import ApplicationError
from supervisor.session.receivers import receives


class Quote:
    pass


@receives(Quote)
def on_quote(doc, message):
    return "answer"


async def test_a_handler_that_overrides_nothing_does_nothing(run_app, autojump_clock):
    async with run_app([Handler()]) as app:
        session = await app.open()
        async with session.locked_document() as doc:
            assert doc.data == {}


async def test_one_handler_makes_an_application(run_app, autojump_clock):
    def modify_document(doc):
        doc.data["n"] = 1

    handler = FunctionHandler(modify_document, receivers=[on_quote])
    application = Application(handler, name="app")
    assert application.handlers == (handler,)
    assert application.directory is None
    assert application.warnings == []
    async with run_app(application) as app:
        session = await app.open()
        assert await session.ask(Quote()) == "answer"
        async with session.locked_document() as doc:
            assert doc.data == {"n": 1}
    assert "modify_document" in repr(application)
    assert "name='app'" in repr(application)


def test_an_application_is_made_of_handlers():
    with pytest.raises(TypeError, match="an application must be made of Handler objects, not 5"):
        Application([5], name="app")


def test_a_handler_of_ones_own_brings_functions_that_are_marked():
    class Own(Handler):
        receivers = (on_quote,)

    assert Application(Own(), name="app").receivers.by_type == {Quote: on_quote}
    for unmarked in (print, Quote, 5):
        with pytest.raises(TypeError, match=r"a message handler is a function that is marked @receives\(Class\), not "):
            Application(FunctionHandler(lambda doc: None, receivers=[unmarked]), name="app")


def test_a_function_handler_looks_at_the_signature():
    with pytest.raises(ApplicationError, match=r"write `def .*\(doc\): \.\.\.`"):
        FunctionHandler(lambda: None)


def test_receivers_of_all_handlers_are_one_set():
    handlers = [NamespaceHandler({"on_quote": on_quote}, where="a"), NamespaceHandler({"x": on_quote}, where="b")]
    assert Application(handlers[:1], name="app").receivers.by_type == {Quote: on_quote}
    with pytest.raises(ApplicationError, match="two functions receive Quote"):
        Application(handlers, name="app")


async def test_a_namespace_is_searched_for_all_that_an_app_has(run_app, autojump_clock):
    log = []
    names = ("on_application_load", "on_application_unload", "on_session_created", "on_session_destroyed")
    namespace = {name: lambda context, name=name: log.append(name) for name in (*names, "modify_document")}
    namespace["on_quote"] = on_quote
    handler = NamespaceHandler(namespace, where="the app")
    assert not handler.is_empty
    assert repr(handler) == "NamespaceHandler('the app')"
    async with run_app([handler]) as app:
        session = await app.open()
        assert await session.ask(Quote()) == "answer"
    assert log == [names[0], names[2], "modify_document", names[3], names[1]]


@pytest.mark.parametrize("name", ["on_session_created", "modify_document"])
def test_a_namespace_with_one_of_them_is_an_app(name):
    assert not NamespaceHandler({name: lambda context: None}, where="app").is_empty


def test_a_namespace_without_any_is_empty():
    assert NamespaceHandler({"x": 1, "print": print}, where="app").is_empty


def test_a_file_of_hooks_has_hooks_only():
    namespace = {"on_quote": on_quote, "modify_document": "not even looked at", "on_session_created": print}
    handler = NamespaceHandler(namespace, where="app", hooks_only=True)
    assert list(handler.receivers) == []
    assert handler.modify_document(None) is None


def test_modify_document_must_be_a_function_of_one_argument():
    with pytest.raises(ApplicationError, match="app: modify_document is not a function; write `def modify_document"):
        NamespaceHandler({"modify_document": 5}, where="app")
    with pytest.raises(ApplicationError, match=r"app, line \d+: .* one argument; write `def .*\(doc\): \.\.\.`"):
        NamespaceHandler({"modify_document": lambda: None}, where="app")


def test_a_message_handler_must_be_a_function_of_two_arguments_that_a_call_runs():
    @receives(Quote)
    def one(doc): ...

    @receives(Quote)
    async def generator(doc, message):
        yield

    for wrong, why in ((one, r"one\(doc\) must take two arguments"), (generator, "generator contains a yield")):
        handler = NamespaceHandler({"on_quote": wrong}, where="app")
        with pytest.raises(ApplicationError, match=rf"test_handlers.py, line \d+: {why}"):
            Application(handler, name="app")


def test_its_warnings_are_the_applications():
    handler = NamespaceHandler({"on_sesion_created": print}, where="app")
    (warning,) = Application([handler], name="app").warnings
    assert "did you mean on_session_created?" in warning


async def test_a_hook_may_be_any_callable_of_a_handler(run_app, autojump_clock):
    """One without a `__name__` too, when it fails."""

    class Failing:
        def __call__(self, context):
            raise ValueError("mine")

    handler = Handler()
    handler.on_session_destroyed = Failing()
    async with run_app([handler], expect_failures=True) as app:
        await app.open()
        await app.stop()
        assert app.recorder.failed_parts == ["on_session_destroyed"]


async def test_an_application_has_one_method_for_each_hook_in_the_order_of_its_handlers(step):
    log = []
    application = Application(
        [step(log, "1"), step(log, "2"), FunctionHandler(lambda doc: log.append("plain"))], name="a"
    )
    await application.on_application_load(None)
    await application.on_session_created(None)
    await application.modify_document(None)
    await application.on_session_destroyed(None)
    await application.on_application_unload(None)
    assert log == [
        *("load 1", "load 2", "created 1", "created 2", "modify 1", "modify 2", "plain"),
        *("destroyed 2", "destroyed 1", "unload 2", "unload 1"),
    ]


# Where things are, for who wants to know.


def test_a_handler_tells_what_is_called_for_a_hook():
    class Own(Handler):
        def on_session_created(self, session_context): ...

    def modify_document(doc): ...

    own = Own()
    assert own.find_hook("on_session_created") == own.on_session_created
    assert own.find_hook("modify_document") is None
    assert FunctionHandler(modify_document).find_hook("modify_document") is modify_document
    assert FunctionHandler(modify_document).find_hook("on_session_created") is None
    namespace = {"modify_document": modify_document, "on_server_loaded": lambda app_context: None}
    handler = NamespaceHandler(namespace, where="app")
    assert handler.find_hook("modify_document") is modify_document
    assert handler.find_hook("on_application_load") is namespace["on_server_loaded"]
    assert handler.find_hook("on_session_created") is None


def test_what_stands_in_the_wrong_file_is_warned_of():
    """A file of hooks is asked for hooks only; what it imports from main.py is no mistake."""

    def modify_document(doc): ...

    @receives(Quote)
    def on_a_quote(doc, message): ...

    namespace = {"__name__": __name__, "modify_document": modify_document, "on_a_quote": on_a_quote}
    warnings = NamespaceHandler(namespace, where="lifecycle.py", hooks_only=True).warnings
    assert [warning.split()[1] for warning in warnings] == ["modify_document", "on_a_quote"]
    assert all("move it there" in warning for warning in warnings)
    imported = {**namespace, "__name__": "lifecycle"}
    assert NamespaceHandler(imported, where="lifecycle.py", hooks_only=True).warnings == []
    assert NamespaceHandler(namespace, where="main.py").warnings == []


async def test_an_application_has_the_hooks_of_connections_too():
    log = []

    class Door(Handler):
        def __init__(self, name):
            self.name = name

        def on_connection_opened(self, session_context, connection):
            log.append(f"opened {self.name} {connection}")

        async def on_connection_closed(self, session_context, connection):
            log.append(f"closed {self.name} {connection}")

    namer = NamespaceHandler(
        {"name_connection": lambda request: "ada", "choose_session_id": lambda request: "board"}, where="app"
    )
    application = Application([Door("1"), Door("2"), namer], name="a")
    await application.on_connection_opened(None, "c")
    await application.on_connection_closed(None, "c")
    assert log == ["opened 1 c", "opened 2 c", "closed 2 c", "closed 1 c"]
    assert application.name_connection(None) == "ada"
    assert await application.choose_session_id(None) == "board"
    assert Application([Door("1")], name="a").name_connection(None) is None
    assert await Application([Door("1")], name="a").choose_session_id(None) is None


async def test_an_application_has_the_hooks_of_failures_too():
    log = []

    class Told(Handler):
        def __init__(self, name):
            self.name = name

        async def on_session_failed(self, session_context, error):
            log.append(f"session {self.name} {session_context} {error}")

        def on_callback_failed(self, app_context, callback, error):
            log.append(f"callback {self.name} {app_context} {callback} {error}")

    application = Application([Told("1"), Told("2")], name="a")
    await application.on_session_failed("s", "e")
    await application.on_callback_failed("a", "c", "e")
    assert log == ["session 1 s e", "session 2 s e", "callback 1 a c e", "callback 2 a c e"]


def test_a_handler_knows_which_hooks_it_has():
    class Own(Handler):
        def on_connection_opened(self, session_context, connection): ...

    assert Own().has_hook("on_connection_opened")
    assert not Own().has_hook("on_connection_closed")
    handler = Handler()
    assert not handler.has_hook("name_connection")
    handler.name_connection = print
    assert handler.has_hook("name_connection")
    found = NamespaceHandler({"choose_session_id": lambda request: None, "modify_document": print}, where="app")
    assert found.has_hook("choose_session_id")
    assert found.has_hook("modify_document")
    assert not found.has_hook("on_session_created")
    assert not NamespaceHandler({}, where="app").has_hook("modify_document")


def test_an_application_is_described_by_the_first_line_of_its_main_module():
    def make(doc):
        """Makes it.

        In detail.
        """

    hooks = NamespaceHandler({"__doc__": "The hooks."}, where="lifecycle.py", hooks_only=True)
    main = NamespaceHandler({"__doc__": "\n  A board.  \nMore of it."}, where="main.py")
    assert Application([hooks, main], name="app").description == "A board."
    assert Application([hooks, NamespaceHandler({}, where="main.py")], name="app").description == "The hooks."
    assert NamespaceHandler({"__doc__": "A module."}, where="module", modify_document=make).description == "Makes it."
    assert FunctionHandler(make).description == "Makes it."
    assert FunctionHandler(lambda doc: None).description == ""
    assert Application([Handler(), NamespaceHandler({"__doc__": 5}, where="x")], name="app").description == ""


def test_the_first_failure_policy_counts_and_the_applications_own_before_all():
    first, second = FailurePolicy(directive="stop"), FailurePolicy(directive="restart")
    plain = NamespaceHandler({}, where="lifecycle.py", hooks_only=True)
    handlers = [plain, *(NamespaceHandler({"failure_policy": policy}, where="main.py") for policy in (first, second))]
    assert Application(handlers, name="app").failure_policy is first
    assert Application(handlers, name="app", failure_policy=second).failure_policy is second
    assert Application(plain, name="app").failure_policy == FailurePolicy()

    class Own(Handler):
        failure_policy = second

    assert Application(Own(), name="app").failure_policy is second


def test_a_policy_under_nearly_the_right_name_is_warned_of():
    policy = FailurePolicy(directive="stop")
    (warning,) = NamespaceHandler({"failure_polcy": policy}, where="main.py").warnings
    assert warning == "main.py: failure_polcy is never looked at; did you mean failure_policy?"
    assert NamespaceHandler({"failure_policies": 5, "strict": policy}, where="main.py").warnings == []
    both = {"failure_policy": policy, "our_failure_policy": policy}
    assert NamespaceHandler(both, where="main.py").warnings == []


def test_a_failure_policy_is_one():
    with pytest.raises(ApplicationError, match=r"^main.py: failure_policy must be a FailurePolicy, .*, not 'restart'$"):
        NamespaceHandler({"failure_policy": "restart"}, where="main.py")
    with pytest.raises(TypeError, match=r"^failure_policy must be a FailurePolicy, .*, not 'restart'$"):
        Application(Handler(), name="app", failure_policy="restart")

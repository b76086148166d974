"""The table of what fails, what happens and who hears of it in docs/explanation/failure.md, played row by row."""

import contextlib
import itertools
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor.restart import Backoff, FailurePolicy
from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.cli.sentences import sentences
from supervisor.errors import ApplicationError, PageRefused, SendFailed, SessionGone
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.session.receivers import receives
from supervisor.testing.app import RunningApp
from supervisor.testing.incidents import Incidents
from supervisor.testing.kit import Kit
from supervisor.testing.memory import MemoryListener

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "failure.md"


def documented():
    """The rows of the page: what failed, what is undone, what goes on, who is told."""
    lines = PAGE.read_text().splitlines()
    begin = lines.index("| what failed | what is undone | what goes on | who is told |") + 2
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[begin:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


class Fail(Exception):
    pass


@attrs.frozen
class Add:
    n: int


# Rows of a session: who fails, and whether the policy and the hook have a say.


class Acts:
    """An app whose parts fail where a test says so, once."""

    def __init__(self, *, policy):
        self.told, self.fail_in, self.policy = [], set(), policy

    def may_fail(self, part):
        if part in self.fail_in:
            self.fail_in.discard(part)
            raise Fail(part)

    def application(self):
        def modify_document(doc):
            doc.data["n"] = 0
            doc.allow_edits("/n", lambda doc, edit: self.may_fail("edit"))
            doc.on_change("/n", lambda doc, change: self.may_fail("listener"))
            self.may_fail("modify_document")

        @receives(Add, from_client=True)
        def on_add(doc, message):
            doc.data["n"] = 99
            self.may_fail("handler")

        def on_session_failed(session_context, error):
            self.told.append(str(error))
            self.may_fail("failed hook")

        def on_connection_opened(session_context, connection):
            self.may_fail("opened hook")

        def on_connection_closed(session_context, connection):
            self.may_fail("closed hook")

        namespace = {name: value for name, value in locals().items() if name.startswith(("on_", "modify"))}
        return Application(NamespaceHandler(namespace, where="app"), name="app", failure_policy=self.policy)


async def send_add(app, session, acts):
    session.context.tell_nowait(Add(1))


async def add_tick(app, session, acts):
    session.context.document.add_next_tick_callback(acts.may_fail, "callback")


async def edit(app, session, acts):
    client = await session.connect()
    with contextlib.suppress(SendFailed):
        await client.edit("/n", 5)


async def attach(app, session, acts):
    await session.connect()


async def attach_and_leave(app, session, acts):
    await (await session.connect()).close()


async def start_task(app, session, acts):
    session.context.start_soon(acts.may_fail, "task")


async def fail_twice(app, session, acts):
    acts.fail_in.add("handler")
    await send_add(app, session, acts)


async def borrow(app, session, acts):
    with contextlib.suppress(Fail):
        await session.context.with_locked_document(lambda doc: acts.may_fail("borrow"))


async def update(app, session, acts):
    await app.context.update_sessions(lambda doc: acts.may_fail("update"))


ROWS = {
    "a handler of a message": ("handler", send_add, ["handler"], 1),
    "a callback, timer or change listener of a document": ("callback", add_tick, ["callback"], 1),
    "a function that is asked about edits": ("edit", edit, ["edit"], 1),
    "an opened hook": ("opened hook", attach, ["opened hook"], 1),
    "a closed hook": ("closed hook", attach_and_leave, ["closed hook"], 1),
    "a background task of a session": ("task", start_task, ["task"], 1),
    "`modify_document` of a restart": ("modify_document", fail_twice, ["handler", "modify_document"], 1),
    "`on_session_failed`": ("failed hook", fail_twice, ["handler"], 1),
    "a borrow's block": ("borrow", borrow, [], 0),
    "one session's part in `update_sessions`": ("update", update, [], 0),
}


@pytest.mark.parametrize(
    ("what", "undone", "goes_on", "told"), [row for row in documented() if row[0] in ROWS], ids=lambda cell: cell[:30]
)
async def test_what_fails_what_happens_and_who_hears_of_it(supervise, what, undone, goes_on, told):
    part, act, hook_hears, restarts = ROWS[what]
    assert ("`on_session_failed`" in told) is (part in hook_hears)
    assert ("the policy" in goes_on or "what was decided" in goes_on) is bool(restarts)
    acts = Acts(policy=FailurePolicy(directive="restart", backoff=Backoff(first=0.1, jitter=0)))
    async with supervise(acts.application()) as app:
        session = await app.new_session()
        acts.fail_in.add(part)
        await act(app, session, acts)
        await trio.sleep(1)
        assert acts.told == hook_hears
        assert session.context.restarts == restarts
        assert session.context.document.revision >= 1
        async with session.context.locked_document() as doc:
            assert doc.data == {"n": 0}
        app.incidents.clear()


# The other rows: each play states the rest of its row, and shows it.

PLAYS = {}


def plays(what, *, undone="nothing", goes_on, told=""):
    """Note who plays the row `what`, and what the row says."""

    def note(play):
        PLAYS[what] = ([undone, goes_on, told], play)
        return play

    return note


class Stage:
    """A server of an app whose parts fail, and of its neighbour."""

    def __init__(self, nursery):
        self.told, self.story, self._nursery = [], [], nursery
        self.seen, self.listener = Incidents(), MemoryListener()
        self.server = None

    def fail(self, what="mine", *_):
        raise Fail(what)

    def note(self, what, *_):
        self.story.append(what)

    def on_callback_failed(self, app_context, callback, error):
        self.told.append((callback, str(error)))

    async def serve(self, *handlers, **namespace):
        """The app, of these handlers or of one; returns the view that the testing kit has of it."""
        namespace = {"on_callback_failed": self.on_callback_failed, "modify_document": self.build, **namespace}
        handlers = handlers or (namespace,)
        parts = [NamespaceHandler(part, where="app") for part in handlers]
        neighbour = Application(NamespaceHandler({"modify_document": self.build}, where="other"), name="other")
        self.server = Server(
            [Application(parts, name="app"), neighbour],
            options=ServerOptions(stall_limit=0.0),
            listeners=[self.listener],
            instruments=self.seen,
            chance=lambda: 0.5,
        )
        await self._nursery.start(self.server.serve, [self.listener])
        return self.app("app")

    @staticmethod
    def build(doc):
        doc.data["n"] = 0

    def app(self, name):
        place = SimpleNamespace(server=self.server, actor=self.server.applications[name], transport=self.listener)
        return RunningApp(place, self._nursery, Kit(seen=self.seen))

    async def check_neighbour(self):
        """The other application serves as ever."""
        assert (await (await self.app("other").new_session()).connect()).data == {"n": 0}

    def incident(self):
        (incident,) = self.seen.incidents
        return incident


@plays(
    "a created hook, or the first `modify_document`",
    undone="the session: nothing is left of it",
    goes_on="the application",
    told="the visitor: 500 with the incident's id",
)
async def no_session(stage, hook="on_session_created"):
    fails = [True]

    def fail(context):
        if fails:
            fails.clear()
            raise Fail("secret")
        (context if hook == "modify_document" else context.document).data["n"] = 0

    app = await stage.serve(**{hook: fail})
    with pytest.raises(PageRefused) as refused:
        await app.new_session()
    assert refused.value.status == 500
    assert stage.incident().id in refused.value.text
    assert "secret" not in refused.value.text
    assert not app.sessions
    await (await app.new_session()).connect()


@plays("a destroyed or unload hook", goes_on="the end, with the next hook")
async def last_hooks(stage):
    first = {"on_session_destroyed": stage.fail, "on_application_unload": stage.fail}
    second = {
        "on_session_destroyed": partial(stage.note, "destroyed"),
        "on_application_unload": partial(stage.note, "unload"),
    }
    app = await stage.serve(second, first, second)
    await app.new_session()
    stage.server.stop()
    await stage.server.wait_stopped()
    assert stage.story == ["destroyed", "destroyed", "unload", "unload"]
    assert [each.what for each in stage.seen.incidents] == ["on_session_destroyed", "on_application_unload"]


@plays(
    "a load hook, or the loading of an app's code",
    undone="handlers that had loaded are unloaded",
    goes_on="the other applications; without any, the server ends with exit code 1",
    told="the operator: one sentence; visitors: 503 with the incident's id",
)
async def load_hook(stage):
    first = {"on_application_unload": partial(stage.note, "unload"), "modify_document": stage.build}
    app = await stage.serve(first, {"on_application_load": stage.fail})
    assert stage.story == ["unload"]
    await stage.check_neighbour()
    answer = await app.get("/app")
    assert (answer.status, stage.incident().id in answer.text, "mine" in answer.text) == (503, True, False)
    alone = Application(NamespaceHandler({"on_application_load": stage.fail}, where="app"), name="app")
    with pytest.raises(ApplicationError) as raised:
        await Server(alone, instruments=Incidents()).serve([])
    assert len(sentences(raised.value)) == 1  # so the command line says it, and ends with 1


@plays(
    "a producer",
    goes_on="everything; it is called again [by its policy](../reference/hooks-and-contexts.md#app_context)",
    told="`on_callback_failed`",
)
async def producer(stage):
    app = await stage.serve()
    failing = app.context.add_callback(stage.fail, name="feed")
    await trio.sleep(0.9)
    assert (failing.failures, failing.state) == (2, "backing off")
    assert stage.told == [(failing, "mine")] * 2
    assert app.actor.status == "serving"


@plays(
    "a producer, for good",
    goes_on="sessions and other producers; with `escalate=True` the other applications",
    told="`on_callback_failed`; the health page",
)
async def producer_for_good(stage):
    app = await stage.serve()
    session = await app.new_session()
    other = app.context.add_callback(trio.sleep_forever)
    failing = app.context.add_callback(stage.fail, restart="temporary", name="feed")
    await trio.sleep(1)
    assert stage.told == [(failing, "mine")]
    assert (await app.get("/-/health")).text == "degraded\n"
    assert (session.context.destroyed, other.state) == (False, "running")
    escalating = app.context.add_callback(stage.fail, restart="temporary", escalate=True)
    await trio.sleep(1)
    assert stage.told == [(failing, "mine"), (escalating, "mine")]
    assert app.actor.status == "failed"
    assert (await app.get("/-/health")).text == "degraded\n"
    await stage.check_neighbour()


@plays(
    "a callback of an application",
    goes_on="everything; a periodic one fires again",
    told="`on_callback_failed`",
)
async def callback(stage):
    app = await stage.serve()
    periodic = app.context.add_periodic_callback(stage.fail, "period", seconds=1.0)
    app.context.add_next_tick_callback(stage.fail, "tick")
    await trio.sleep(2.5)
    assert [text for _, text in stage.told] == ["tick", "period", "period"]
    assert [handle for handle, text in stage.told if text == "period"] == [periodic] * 2


@plays("`on_callback_failed` itself", goes_on="everything")
async def failure_hook(stage):
    app = await stage.serve(on_callback_failed=stage.fail)
    failing = app.context.add_callback(stage.fail)
    await trio.sleep(0.9)
    assert [each.what for each in stage.seen.incidents] == [f"producer {failing.name}", "on_callback_failed"] * 2
    assert (failing.state, app.actor.is_degraded) == ("backing off", False)


@plays(
    "a worker thread that doesn't come back within 5 s",
    undone="its changes; it [can't change](frozen-server.md#threads-that-dont-come-back) anything any more",
    goes_on="whoever waited for it",
)
async def worker_thread(stage):
    """1. It hangs. 2. Its session is destroyed, and ends after 5 s. 3. It goes on, and touches the document."""
    hangs, go_on, back, found = threading.Event(), threading.Event(), threading.Event(), []
    last = []

    @receives(Add, thread=True)
    def on_add(doc, message):
        data = doc.data
        data["n"] = message.n
        hangs.set()
        go_on.wait(60)
        try:
            data["n"] = 2
        except SessionGone as error:
            found.append(error)
        back.set()

    app = await stage.serve(
        on_add=on_add, on_session_destroyed=lambda session: last.append(dict(session.document.data))
    )
    session = (await app.new_session()).context
    session.tell_nowait(Add(1))
    assert await trio.to_thread.run_sync(hangs.wait, 60)
    clock = trio.lowlevel.current_clock()
    try:
        began = trio.current_time()
        session.destroy()
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(5)
        await session.wait_destroyed()
        assert trio.current_time() - began == 5
        assert stage.incident().what.endswith("on_add")
        assert last == [{"n": 0}]
    finally:
        go_on.set()
    assert await trio.to_thread.run_sync(back.wait, 60)
    assert len(found) == 1
    assert last == [{"n": 0}]


@plays("a connection", undone="the connection", goes_on="its session; the page comes back and resumes")
async def connection(stage):
    app = await stage.serve()
    session = await app.new_session()
    client, other = await session.connect(), await session.connect()
    await client.drop()
    async with session.context.locked_document() as doc:
        doc.data["n"] = 7
    await other.until(lambda data: data == {"n": 7})
    await client.reconnect()
    await client.until(lambda data: data == {"n": 7})
    assert [event.resumed for event in client.received if type(event).__name__ == "Attached"] == [False, True]
    assert not stage.seen.incidents


def test_each_row_is_played():
    rows = documented()
    assert sorted([*ROWS, *PLAYS]) == sorted(what for what, *_ in rows)
    for what, *cells in rows:
        if what in PLAYS:
            assert cells == PLAYS[what][0]


@pytest.mark.parametrize("what", PLAYS)
async def test_what_fails_outside_of_sessions(mock_clock, what):
    _, play = PLAYS[what]
    if play is not worker_thread:  # a clock that jumps doesn't see that a thread works
        mock_clock.autojump_threshold = 0
    async with trio.open_nursery() as nursery:
        await play(Stage(nursery))
        nursery.cancel_scope.cancel()


async def test_a_first_document_that_cannot_be_built_is_no_session_either(autojump_clock):
    async with trio.open_nursery() as nursery:
        await no_session(Stage(nursery), "modify_document")
        nursery.cancel_scope.cancel()

"""What becomes of the wish for a session: created, refused, failed, busy."""

import errno
import sys

import pytest
import trio

from supervisor.application.creation import Busy, Created, Creation, Failed, Refused, TooMany
from supervisor.errors import InvalidValue, SessionRefused
from supervisor.session.request import Request


def lasting(seconds):
    async def hook(context):
        await trio.sleep(seconds)

    return hook


def raising(error):
    def hook(context):
        raise error

    return hook


def destroying(**options):
    return lambda context: context.destroy(**options)


async def forever(context):
    await trio.sleep_forever()


async def test_created_hooks_see_an_empty_document_and_what_they_put_in_stays(run_app, autojump_clock):
    seen = []

    def on_session_created(session_context):
        seen.append(dict(session_context.document.data))
        session_context.document.data["by hook"] = 1

    async def modify_document(doc):
        seen.append(dict(doc.data))
        doc.data["by modify"] = 2

    async with run_app(locals()) as app:
        session = await app.open()
        async with session.locked_document() as doc:
            seen.append(dict(doc.data))
    assert seen == [{}, {"by hook": 1}, {"by hook": 1, "by modify": 2}]


async def test_hooks_run_in_the_order_of_handlers_and_the_last_ones_in_reverse(step, run_app, autojump_clock):
    log = []
    async with run_app([step(log, "1"), step(log, "2")]) as app:
        session = await app.open()
        session.destroy()
        await session.wait_destroyed()
    assert log == [
        *("load 1", "load 2", "created 1", "created 2", "modify 1", "modify 2"),
        *("destroyed 2", "destroyed 1", "unload 2", "unload 1"),
    ]


NO = [
    (destroying(), ""),
    (destroying(reason="members only"), "members only"),
    (raising(SessionRefused("members only")), "members only"),
    (raising(PermissionError("a secret")), ""),
]


@pytest.mark.parametrize(("no", "reason"), NO)
async def test_a_hook_refuses(step, run_app, autojump_clock, no, reason):
    """Nothing was built, the hooks of those who accepted end it, and the id can be tried again at once."""
    log, noes = [], [no]
    handlers = [
        step(log, "1"),
        step(log, "2", created=lambda context: noes.pop()(context) if noes else None),
        step(log, "3"),
    ]
    async with run_app(handlers) as app:
        assert await app.outcome("a") == Refused(reason)
        assert app.actor.find("a") is None
        assert len(app.context.sessions) == 0
        assert log[3:] == ["created 1", "created 2"] or log[-1] == "destroyed 1"
        assert app.recorder.events[1:] == [("refused", "a", reason)]
        assert isinstance(await app.outcome("a"), Created)
        assert log[3:] == [
            *("created 1", "created 2", "destroyed 1"),
            *("created 1", "created 2", "created 3", "modify 1", "modify 2", "modify 3"),
        ]
    assert app.recorder.events[1:] == [
        ("refused", "a", reason),
        ("created", "a"),
        ("destroyed", "a", "the server is restarting"),
        ("unloaded", "app"),
    ]


async def test_a_hook_that_destroys_keeps_its_changes_and_one_that_raises_loses_them(step, run_app, autojump_clock):
    seen = []

    def note(context):
        seen.append(dict(context.document.data))

    def write_and(no):
        def hook(context):
            context.document.data["written"] = True
            no(context)

        return hook

    for no in (destroying(), raising(SessionRefused("no"))):
        async with run_app([step([], destroyed=note), step([], created=write_and(no))]) as app:
            await app.outcome()
    assert seen == [{"written": True}, {}]


async def test_the_id_can_be_tried_again_while_the_hooks_of_the_refused_one_still_run(step, run_app, autojump_clock):
    """Refusal does not wait for clean-up.

    1. The first handler accepts, the second refuses; the first one's destroyed hook takes five seconds.
    2. The visitor has the answer at once, and tries again at once: no waiting either.
    """
    noes = [destroying()]
    handlers = [
        step([], destroyed=lasting(5)),
        step([], created=lambda context: noes.pop()(context) if noes else None),
    ]
    async with run_app(handlers) as app:
        assert await app.outcome("a") == Refused("")
        assert app.actor.statistics().sessions.draining == 1
        assert isinstance(await app.outcome("a"), Created)
        assert trio.current_time() == 0
        assert app.actor.statistics().sessions.sessions == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a secret"),
        SystemExit("a secret"),
        PermissionError(errno.EACCES, "a secret"),
        ExceptionGroup("a secret", [SessionRefused("a"), ValueError("b")]),
    ],
)
async def test_any_other_exception_of_a_created_hook_is_a_failure(step, run_app, autojump_clock, error):
    log, errors = [], [error]

    def fail_once(context):
        if errors:
            raise errors.pop()

    async with run_app([step(log, "1"), step(log, "2", created=fail_once)], expect_failures=True) as app:
        outcome = await app.outcome("a")
        (incident,) = app.recorder.incidents
        assert outcome == Failed(incident.id)
        assert (incident.application, incident.session, incident.what) == ("app", "a", "on_session_created")
        assert incident.error is error
        assert "secret" not in repr(outcome)
        assert isinstance(await app.outcome("a"), Created)
        assert log[2:5] == ["created 1", "created 2", "destroyed 1"]


async def test_a_failure_of_modify_document_runs_the_hooks_of_all_who_accepted(step, run_app, autojump_clock):
    log = []
    handlers = [step(log, "1", modify=raising(PermissionError("no refusal here"))), step(log, "2")]
    async with run_app(handlers, expect_failures=True) as app:
        assert isinstance(await app.outcome("a"), Failed)
        assert app.recorder.failed_parts == ["modify_document"]
        assert app.actor.find("a") is None
    assert log[2:] == ["created 1", "created 2", "modify 1", "destroyed 2", "destroyed 1", "unload 2", "unload 1"]
    assert [event[0] for event in app.recorder.events] == ["loaded", "unloaded"]


async def test_modify_document_that_destroys_refuses(step, run_app, autojump_clock):
    async with run_app([step([], modify=lambda doc: doc.session_context.destroy(reason="not today"))]) as app:
        assert await app.outcome("a") == Refused("not today")


@pytest.mark.parametrize(
    ("hook", "after"), [("created", 10), ("modify", 60)], ids=["on_session_created", "modify_document"]
)
async def test_a_hook_that_is_late_is_cancelled_and_a_failure(step, run_app, autojump_clock, hook, after):
    unwound = []

    async def hang(context):
        try:
            await trio.sleep_forever()
        finally:
            unwound.append(trio.current_time())

    async with run_app([step([], **{hook: hang})], expect_failures=True) as app:
        outcome = await app.outcome("a")
        assert unwound == [after]
        (incident,) = app.recorder.incidents
        assert outcome == Failed(incident.id)
        assert isinstance(incident.error, trio.TooSlowError)
        assert f"took longer than {after} s" in str(incident.error)


async def test_slow_hooks_of_one_session_delay_no_other(step, run_app, autojump_clock):
    def slow_for_one(context):
        return lasting(9)(context) if context.id == "slow" else None

    async with run_app([step([], created=slow_for_one, destroyed=slow_for_one)]) as app:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.outcome, "slow")
            await trio.testing.wait_all_tasks_blocked()
            session = await app.open("quick")
            session.destroy()
            await session.wait_destroyed()
            assert trio.current_time() == 0


async def test_all_who_wait_for_an_id_have_one_result(step, run_app, autojump_clock):
    log, outcomes = [], []

    async with run_app([step(log, created=lasting(1))]) as app:

        async def visit():
            outcomes.append(await app.outcome("a"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(visit)
        assert len({outcome.session for outcome in outcomes}) == 1
        assert log.count("created") == 1
        assert (await app.outcome("a")).session is outcomes[0].session
        assert trio.current_time() == 1


async def test_all_who_wait_for_an_id_have_one_failure(step, run_app, autojump_clock):
    outcomes = []

    async def fail(context):
        await trio.sleep(1)
        raise ValueError("mine")

    async with run_app([step([], created=fail)], expect_failures=True) as app:

        async def visit():
            outcomes.append(await app.outcome("a"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(visit)
        assert outcomes == [Failed(app.recorder.incidents[0].id)] * 5
        assert len(app.recorder.incidents) == 1


async def test_a_visitor_who_leaves_ends_nothing(step, run_app, autojump_clock):
    """The visitor whose request began the creation is cancelled.

    1. A visitor asks for an id; its created hook takes a second; another visitor waits for the same.
    2. The first one leaves: the hook goes on, and the other has the session.
    3. All leave: the session is created all the same.
    """
    async with run_app([step([], created=lasting(1))]) as app:
        outcomes = []

        async def visit(patience):
            with trio.move_on_after(patience):
                outcomes.append(await app.outcome("a"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit, 0.5)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(visit, 5)
        assert len(outcomes) == 1
        with trio.move_on_after(0.5):
            await app.outcome("b")
        await trio.sleep(1)
        assert app.actor.find("b") is not None


async def test_a_session_of_the_same_id_waits_for_the_end_of_its_forerunner(step, run_app, autojump_clock):
    log = []
    async with run_app([step(log, destroyed=lasting(3))]) as app:
        first = await app.open("a")
        assert app.context.destroy_session("a")
        second = await app.open("a")
        assert second is not first
        assert trio.current_time() == 3
        assert log[1:] == ["created", "modify", "destroyed", "created", "modify"]


async def test_but_not_for_longer_than_five_seconds(step, run_app, autojump_clock):
    async with run_app([step([], destroyed=lasting(8))]) as app:
        session = await app.open("a")
        session.destroy()
        assert await app.outcome("a") == Busy(5)
        assert trio.current_time() == 5
        await session.wait_destroyed()


# Destroyed by somebody else while it is created.


async def test_destroy_session_while_the_created_hook_runs_refuses_the_visitor(step, run_app, autojump_clock):
    """Somebody of the app destroys what is being created.

    1. The first handler has accepted, the second one's created hook is in hand, and a visitor waits.
    2. `destroy_session(id)`: the hook is cancelled, the visitor is refused at once.
    3. The first handler's destroyed hook runs, the second's doesn't; the id can be tried again at once.
    """
    log, slow = [], [True]

    async def created(context):
        if slow:
            slow.clear()
            try:
                await trio.sleep_forever()
            finally:
                log.append("cancelled")

    handlers = [step(log, "1", destroyed=lasting(2)), step(log, "2", created=created)]
    async with run_app(handlers) as app:
        async with trio.open_nursery() as nursery:

            async def visit():
                assert await app.outcome("a") == Refused("")
                assert trio.current_time() == 0
                assert isinstance(await app.outcome("a"), Created)
                assert trio.current_time() == 0

            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            assert app.context.destroy_session("a")
            assert app.context.destroy_session("a") is False
        assert log[2:5] == ["created 1", "created 2", "cancelled"]
        assert log.count("destroyed 1") == 1
        assert log.count("destroyed 2") == 0
        assert ("refused", "a", "") in app.recorder.events


async def test_destroy_session_while_the_document_is_built(step, run_app, autojump_clock):
    log = []
    async with run_app([step(log, modify=forever)]) as app:
        async with trio.open_nursery() as nursery:

            async def visit():
                assert await app.outcome("a") == Refused("go away")

            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            (session,) = app.context.sessions
            session.destroy(reason="go away")
            await session.wait_destroyed()
        assert log == ["load", "created", "modify", "destroyed"]


async def test_destroyed_before_its_task_has_begun(step, run_app, autojump_clock):
    """No hook runs: nothing has happened yet that one would have to end."""
    log = []
    async with run_app([step(log)]) as app:
        creation = app.actor._registry._create("a", Request())
        app.context.destroy_session("a")
        assert await creation.wait() == Refused("")
        await trio.testing.wait_all_tasks_blocked()
        assert log == ["load"]
        assert app.actor.statistics().sessions.draining == 0


async def test_a_hook_that_finishes_though_its_session_was_destroyed_has_accepted(step, run_app, autojump_clock):
    """What a created hook got hold of must be given back.

    1. A created hook shields itself while it gets hold of something.
    2. Somebody destroys the session meanwhile; the visitor is refused at once.
    3. The hook returns without a no: so its destroyed hook runs, and no other's created hook.
    """
    log = []

    async def shielded(context):
        with trio.CancelScope(shield=True):
            await trio.sleep(2)

    async with run_app([step(log, "1", created=shielded), step(log, "2")]) as app:
        async with trio.open_nursery() as nursery:

            async def visit():
                assert await app.outcome("a") == Refused("")
                assert trio.current_time() == 1

            nursery.start_soon(visit)
            await trio.sleep(1)
            app.context.destroy_session("a")
        await trio.sleep(5)
        assert log[2:] == ["created 1", "destroyed 1"]


async def test_a_hook_that_raises_while_it_is_cancelled_is_reported_and_ends_nobody_else(step, run_app, autojump_clock):
    async def raise_in_cleanup(context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forever, context)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("mine")

    hooks = {"one": raise_in_cleanup}
    handler = step([], created=lambda context: hooks.get(context.id, lambda context: None)(context))
    async with run_app([handler], expect_failures=True) as app:
        other = await app.open("other")
        async with trio.open_nursery() as nursery:

            async def visit():
                assert await app.outcome("one") == Refused("")

            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            app.context.destroy_session("one")
        await trio.testing.wait_all_tasks_blocked()
        assert [(incident.what, repr(incident.error)) for incident in app.recorder.incidents] == [
            ("on_session_created", "ValueError('mine')")
        ]
        assert not other.destroyed


async def test_a_hook_that_turns_its_cancellation_into_a_failure_of_its_own(step, run_app, autojump_clock):
    async def translate(context):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise ValueError("translated") from None

    async with run_app([step([], created=translate)], expect_failures=True) as app:
        async with trio.open_nursery() as nursery:

            async def visit():
                assert await app.outcome("a") == Refused("")

            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            app.context.destroy_session("a")
        await trio.testing.wait_all_tasks_blocked()
        assert list(map(repr, app.recorder.errors)) == ["ValueError('translated')"]


async def test_a_failure_of_ours_while_a_session_is_created_ends_that_session(step, run_app, autojump_clock):
    async with run_app([step([])], expect_failures=True) as app:

        def fail(**event):
            sys.exit("ours")

        app.actor.runtime.instruments.session_created = fail
        outcome = await app.outcome("a")
        (incident,) = app.recorder.incidents
        assert outcome == Failed(incident.id)
        assert incident.what == "creation of the session"
        assert app.actor.find("a") is None
        await trio.testing.wait_all_tasks_blocked()
        assert app.actor.statistics().sessions.draining == 0


# Limits.


async def test_the_limit_of_sessions(step, run_app, autojump_clock, connect):
    async with run_app([step([])], max_sessions=4, linger=15) as app:
        sessions = []
        for _ in range(4):
            sessions.append(await app.open())
            connect(app, sessions[-1])
        assert await app.outcome() == Busy(15)
        assert app.actor.statistics().sessions.sessions == 4
        sessions[0].destroy()
        await app.open()


async def test_sessions_that_nobody_attached_to_are_a_quarter_at_most_and_the_oldest_goes_first(
    step, run_app, autojump_clock, connect
):
    async with run_app([step([])], max_sessions=8) as app:
        attached = await app.open("attached")
        connection = connect(app, attached)
        connection.cancel()  # it was attached: it lingers, but a crawler's session it is not
        crawlers = [await app.open(f"c{number}") for number in range(2)]
        assert app.actor.statistics().sessions.unattached == 2
        visitor = await app.open("visitor")
        assert [session.destroyed for session in (attached, *crawlers, visitor)] == [False, True, False, False]
        await trio.testing.wait_all_tasks_blocked()
        assert ("destroyed", "c0", "nobody had attached when others needed the room") in app.recorder.events
        for number in range(20):
            await app.open(f"d{number}")
        assert not attached.destroyed
        assert app.actor.statistics().sessions.unattached == 2


async def test_one_that_goes_while_it_is_created_is_told_that_there_was_no_room(step, run_app, autojump_clock):
    def slow_for_one(context):
        return lasting(5)(context) if context.id == "slow" else None

    async with run_app([step([], created=slow_for_one)], max_sessions=4) as app:
        async with trio.open_nursery() as nursery:

            async def visit():
                assert await app.outcome("slow") == Busy(15)
                assert trio.current_time() == 0

            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            await app.open("quick")


async def test_creations_wait_five_seconds_for_their_turn(step, run_app, autojump_clock):
    """One at once: the second waits for the first, the third gives up and was never built."""
    log, outcomes = [], {}
    async with run_app([step(log, created=lasting(4))], max_creating=1) as app:

        async def visit(id):
            outcomes[id] = (await app.outcome(id), trio.current_time())

        async with trio.open_nursery() as nursery:
            for id in "abc":
                nursery.start_soon(visit, id)
                await trio.testing.wait_all_tasks_blocked()
        assert [(type(outcome), at) for outcome, at in outcomes.values()] == [(Created, 4), (Busy, 5), (Created, 8)]
        assert outcomes["c"] == (Busy(5), 5)
        assert log.count("created") == 2
        assert log.count("destroyed") == 0


async def test_a_refused_creation_gives_its_turn_to_the_next(step, run_app, autojump_clock):
    async with run_app([step([], created=destroying())], max_creating=1) as app:
        for _ in range(3):
            assert await app.outcome("a") == Refused("")
        assert app.actor._registry._creating.borrowed_tokens == 0


async def test_the_first_result_counts():
    creation = Creation()
    creation.settle(Refused("first"))
    creation.settle(Busy(1))
    assert await creation.wait() == Refused("first")


async def test_no_session_is_created_before_loading_nor_while_stopping(step, run_app, autojump_clock):
    async with run_app([step([], destroyed=lasting(5))]) as app:
        await app.open()
        app.actor.stop()
        assert await app.outcome() == Busy(15)
        await trio.sleep(1)
        assert await app.outcome() == Busy(15)
        await app.ended.wait()
        assert await app.outcome() == Busy(15)


# Limits of one address, and of documents.


async def test_an_address_has_so_many_sessions_and_one_more_when_one_ends(run_app, autojump_clock):
    async with run_app({}, max_sessions_per_address=2, linger=7) as app:
        first, second = [await app.actor.open_session(id, Request(), counted_as="here") for id in "ab"]
        refused = await app.actor.open_session("c", Request(), counted_as="here")
        assert refused == TooMany("here", 2, 7)
        assert (await app.actor.open_session("a", Request(), counted_as="here")) == first  # it is there already
        for id, counted_as in (("d", "there"), ("e", None), ("f", None), ("g", None)):
            assert isinstance(await app.actor.open_session(id, Request(), counted_as=counted_as), Created)
        second.session.context.destroy()
        assert isinstance(await app.actor.open_session("c", Request(), counted_as="here"), Created)


async def test_a_session_that_could_not_be_made_counts_no_more(run_app, recorder, autojump_clock):
    def on_session_created(session_context):
        raise SessionRefused("no")

    async with run_app({"on_session_created": on_session_created}, max_sessions_per_address=1) as app:
        for id in "abc":
            assert isinstance(await app.actor.open_session(id, Request(), counted_as="here"), Refused)


@pytest.mark.parametrize("hook", ["on_session_created", "modify_document"])
async def test_a_session_whose_document_begins_too_large_is_not_made(run_app, recorder, hook, autojump_clock):
    def fill(context):
        getattr(context, "document", context).data["text"] = "x" * 2000

    async with run_app({hook: fill}, max_document_size=1024, expect_failures=True) as app:
        assert isinstance(await app.outcome("a"), Failed)
    [incident] = recorder.incidents
    assert incident.what == hook
    assert isinstance(incident.error, InvalidValue)

"""A probe has what a session has; what it is sent is recorded, and answered as the test says."""

import inspect

import attrs
import pytest
import trio
import trio.testing

from supervisor.application.handlers import Application, FunctionHandler
from supervisor.errors import Rejected, SessionGone
from supervisor.session.context import SessionContext
from supervisor.session.receivers import receives
from supervisor.testing import Probe, hand_driven


@attrs.frozen
class Price:
    symbol: str


@attrs.frozen
class Unknown:
    pass


@receives(Price)
def on_price(doc, message):
    if message.symbol == "":
        raise Rejected("which?")
    return 12.5


def modify_document(doc):
    doc.data["prices"] = {}


@pytest.fixture
async def session():
    app = Application(FunctionHandler(modify_document, receivers=[on_price]), name="app")
    async with hand_driven(app) as session:
        yield session


@pytest.fixture
def other(session):
    return session.neighbour("b")


def public(cls):
    return {name for name in vars(cls) if not name.startswith("_")}


async def test_it_has_all_that_a_session_context_has(other):
    assert {name for name in public(SessionContext) if not hasattr(type(other), name)} <= vars(other).keys()


@pytest.mark.parametrize(
    "name", sorted(name for name in public(SessionContext) if inspect.isfunction(vars(SessionContext)[name]))
)
def test_its_methods_are_called_alike(name):
    ours, theirs = getattr(Probe, name), getattr(SessionContext, name)
    assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)


async def test_it_records_what_it_is_sent(session, other):
    other.tell_nowait(Price("a"))
    await other.tell(Price("b"))
    other.answer(Price, lambda message: message.symbol)
    assert await other.ask(Price("c")) == "c"
    assert other.received == [Price("a"), Price("b"), Price("c")]
    assert [told.how for told in session.told] == ["tell", "tell", "ask"]
    assert repr(other) == "<Probe b, 3 received>"


async def test_an_async_answer_is_awaited(other):
    async def answer(message):
        await trio.lowlevel.checkpoint()
        return message.symbol

    other.answer(Price, answer)
    assert await other.ask(Price("a")) == "a"


async def test_asked_without_an_answer_it_says_how_to_give_one(other):
    with pytest.raises(LookupError, match=r"neighbour b has no answer to Price.*probe\.answer\(Price, lambda message"):
        await other.ask(Price("a"))
    with pytest.raises(TypeError, match="no handler for Unknown"):
        other.answer(Unknown, lambda message: None)


async def test_an_answer_is_a_function(other):
    with pytest.raises(TypeError, match=r"as in lambda message: 12\.5, not 12\.5$"):
        other.answer(Price, 12.5)


async def test_it_has_no_document_and_runs_nothing(other):
    for use in (
        lambda: other.document,
        lambda: other.locked_document(),
        lambda: other.start_soon(print),
    ):
        with pytest.raises(RuntimeError, match=r"a Probe, which .* has no .*supervise\(\)"):
            use()
    with pytest.raises(RuntimeError, match="has no document"):
        await other.with_locked_document(print)


async def test_both_check_for_cancellation(session, other):
    other.answer(Price, lambda message: None)
    for waiting in (other.tell, other.ask):
        with trio.CancelScope() as scope:
            scope.cancel()
            await waiting(Price("a"))
        assert scope.cancelled_caught
    assert other.received == []
    with trio.testing.assert_checkpoints():
        await other.tell(Price("a"))
    with trio.testing.assert_checkpoints():
        await other.ask(Price("a"))


# The same body for a probe and for a session of a whole server.


@pytest.fixture(params=["probe", "session"])
async def either(request, supervise, session):
    if request.param == "probe":
        probe = session.neighbour("b")
        probe.answer(Price, lambda message: on_price(None, message))
        yield probe
    else:
        app = Application(FunctionHandler(modify_document, receivers=[on_price]), name="app")
        async with supervise(app) as running:
            yield (await running.new_session()).context


async def test_a_probe_and_a_session_are_spoken_to_alike(either):
    assert either.id
    assert not either.destroyed
    either.tell_nowait(Price("a"))
    await either.tell(Price("a"))
    assert await either.ask(Price("a")) == 12.5
    with pytest.raises(Rejected, match="which"):
        await either.ask(Price(""))
    for send in (either.tell, either.ask):
        with pytest.raises(TypeError, match=r"no handler for Unknown; write one and mark it @receives\(Unknown\)"):
            await send(Unknown())
    with pytest.raises(TypeError, match="no handler for Unknown"):
        either.tell_nowait(Unknown())
    assert either.application.name == "app"
    assert either in either.application.sessions
    assert either.restarts == 0
    assert either.last_incident is None
    assert either.connections == ()
    assert either.request.path
    assert either.statistics().counted == 0


async def test_a_probe_and_a_session_are_destroyed_alike(either):
    either.destroy(reason="enough")
    either.destroy(reason="again")
    assert either.destroyed
    await either.wait_destroyed()
    assert either not in either.application.sessions
    either.tell_nowait(Price("a"))
    await either.tell(Price("a"))
    with pytest.raises(SessionGone, match="has ended"):
        await either.ask(Price("a"))
    assert "destroyed" in repr(either)


async def test_what_comes_after_its_end_is_kept_apart(session, other):
    other.destroy(reason="enough")
    other.tell_nowait(Price("a"))
    assert (other.received, other.dead_letters) == ([], [Price("a")])
    assert other.ending.reason == "enough"

"""The same test body by hand and in a whole server, and the plain methods beside the async ones."""

import contextlib
import inspect

import attrs
import pytest
import trio
import trio.testing

from supervisor.actor.restart import FailurePolicy
from supervisor.errors import DeadlockError, Rejected, SendInvalid, SessionGone
from supervisor.testing import hand_driven

from .ticker import Call, Quote, Slowly, Unknown, ticker


class ByHand:
    """A hand-driven session, with the methods that both forms have."""

    def __init__(self, session):
        self.session = session
        self.context = session.context

    @property
    def data(self):
        return self.session.data

    async def ask(self, message):
        return await self.session.receive_async(message)

    async def send(self, name, **fields):
        return await self.session.receive_from_client_async(name, fields)

    async def edit(self, op, path, value=None):
        await self.session.edit_async(op, path, value)

    async def settle(self, seconds=0):
        with contextlib.suppress(SessionGone):
            await self.session.advance_async(seconds)


class InServer:
    """A client of a whole server."""

    def __init__(self, client, session):
        self.client = client
        self.context = session.context

    @property
    def data(self):
        return self.client.data

    async def ask(self, message):
        return await self.context.ask(message)

    async def send(self, name, **fields):
        return await self.client.send(name, **fields)

    async def edit(self, op, path, value=None):
        await {"set": self.client.edit, "insert": self.client.insert}[op](path, value)

    async def settle(self, seconds=0):
        await trio.sleep(seconds)
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture(params=["by hand", "in a server"])
def either(request, supervise):
    @contextlib.asynccontextmanager
    async def either(app):
        if request.param == "by hand":
            async with hand_driven(app) as session:
                yield ByHand(session)
        else:
            async with supervise(app) as running:
                session = await running.new_session()
                yield InServer(await session.connect(), session)
                running.incidents.clear()

    return either


async def test_both_answer_and_roll_back_alike(either):
    async with either(ticker()) as session:
        assert await session.ask(Quote("ACME", 1.0)) == ("ACME", 1)
        assert await session.send("Quote", symbol="ACME", price=2.0) == ["ACME", 1]
        with pytest.raises(ValueError, match="-1"):
            await session.ask(Quote("ACME", -1))
        with pytest.raises(Rejected, match="free"):
            await session.send("Quote", symbol="ACME", price=0.0)
        with pytest.raises(SendInvalid, match="price"):
            await session.send("Quote", symbol="ACME", price="1")
        with pytest.raises(TypeError, match="no handler for Unknown"):
            await session.ask(Unknown())
        await session.settle()
        assert session.data == {"prices": {"ACME": 2.0}}


async def test_both_keep_order(either):
    async def begin(doc):
        for number in range(3):
            doc.session_context.tell_nowait(Call(lambda doc, number=number: doc.data["log"].append(number)))
        doc.add_next_tick_callback(lambda: doc.data["log"].append("tick"))
        doc.on_change(
            "/log", lambda doc, change: doc.data["log"].append("changed") if len(doc.data["log"]) == 5 else None
        )
        doc.data["log"] = ["begun"]

    async with either(ticker()) as session:
        await session.ask(Slowly(begin))
        await session.settle()
        assert session.data["log"] == ["begun", 0, 1, 2, "tick", "changed"]


@pytest.mark.virtual_time("times are compared")
async def test_both_ring_periodic_callbacks_at_the_same_times(either):
    def begin(doc):
        doc.data["times"] = []
        began = trio.current_time()
        doc.add_periodic_callback(lambda: doc.data["times"].append(trio.current_time() - began), seconds=2.0)
        doc.add_timeout_callback(lambda: doc.data["times"].append("timeout"), seconds=5.0)

    async with either(ticker()) as session:
        await session.ask(Call(begin))
        await session.settle(7.0)
        assert session.data["times"] == [2.0, 4.0, "timeout", 6.0]


async def test_both_take_edits_alike(either):
    def begin(doc):
        doc.data["notes"] = []
        doc.allow_edits("/notes/*", lambda doc, edit: attrs.evolve(edit, value=edit.value.upper()))

    async with either(ticker()) as session:
        await session.ask(Call(begin))
        await session.settle()
        await session.edit("insert", "/notes/-", "milk")
        await session.settle()
        await session.edit("set", "/notes/0", "honey")
        with pytest.raises(Rejected):
            await session.edit("set", "/prices/ACME", 1)
        await session.settle()
        assert session.data["notes"] == ["HONEY"]


@pytest.mark.parametrize("directive", ["restart", "stop"])
async def test_both_carry_out_what_the_policy_decides(either, directive):
    async with either(ticker(FailurePolicy(directive=directive))) as session:
        await session.ask(Quote("ACME", 1.0))
        with pytest.raises(ValueError, match="-1"):
            await session.ask(Quote("ACME", -1))
        await session.settle(1.0)
        assert session.context.destroyed == (directive == "stop")
        if directive == "restart":
            assert session.context.restarts == 1
            assert session.data == {"prices": {}}


async def test_both_know_a_circle(either):
    async def ask(doc):
        await doc.session_context.ask(Quote("ACME", 1.0))

    async with either(ticker()) as session:
        with pytest.raises(DeadlockError):
            await session.ask(Slowly(ask))


def test_each_plain_method_has_a_twin_of_the_same_arguments():
    from supervisor.testing import HandDrivenSession

    for name in ("receive", "receive_from_client", "edit", "advance"):
        plain, twin = (getattr(HandDrivenSession, each) for each in (name, f"{name}_async"))
        assert inspect.signature(plain).parameters == inspect.signature(twin).parameters

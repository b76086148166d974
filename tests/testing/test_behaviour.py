"""Behaviours, performed on whole apps: whatever clients do, they end with the server's document."""

from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import receives
from supervisor.application.handlers import NamespaceHandler
from supervisor.testing.behaviour import Close, Connect, Drop, Edit, Pause, Reconnect, Resume, Send, Stall, perform
from supervisor.testing.harness import supervise as open_app
from supervisor.testing.strategies import behaviours

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Add:
    """A message that counts."""

    by: int


def modify_document(doc):
    doc.data = {"n": 0, "title": "", "notes": []}
    doc.allow_edits("/title")
    doc.allow_edits("/notes/*")


@receives(Add, from_client=True)
def on_add(doc, add):
    doc.data["n"] += add.by


counter = NamespaceHandler(globals(), where="counter")


async def test_every_command_is_done_and_everybody_is_brought_back(supervise):
    behaviour = [
        Connect(client=0),
        Connect(client=1),
        Connect(client=2),
        Stall(client=2),
        Drop(client=0),
        Send(client=0, name="Add", fields={"by": 5}),
        Edit(client=0, path="/title", value="from offline"),
        Drop(client=1, code=1001),
        Edit(client=1, path="/notes/-", value="one"),
        Pause(seconds=2.0),
        Reconnect(client=1),
        Stall(client=1),
        Resume(client=1),
        Send(client=2, name="Nothing", fields={}),
    ]
    async with supervise(counter) as app:
        clients = await perform(app, behaviour)
        assert [client.data for client in clients] == [{"n": 5, "title": "from offline", "notes": ["one"]}] * 3
        assert [client.status for client in clients] == ["live"] * 3
        assert len(app.sessions) == 1


async def test_a_client_that_left_is_another_when_it_comes_again(supervise):
    async with supervise(counter) as app:
        session = await app.new_session()
        (client,) = await perform(app, [Connect(client=0), Close(client=0), Connect(client=0)], session=session)
        assert client.status == "live"
        assert session.context.id == session.id


async def test_a_command_for_nobody_is_an_error(supervise):
    async with supervise(counter) as app:
        with pytest.RaisesGroup(KeyError, allow_unwrapped=True):
            await perform(app, [Stall(client=3)])


async def pass_a_minute():
    async with open_app(counter) as app:
        began = trio.current_time()
        await perform(app, [Pause(seconds=60.0)])
        return trio.current_time() - began


def test_a_pause_passes_by_virtual_time_alone():
    assert trio.run(pass_a_minute, clock=trio.testing.MockClock(autojump_threshold=0)) == pytest.approx(60)
    assert trio.run(pass_a_minute) < 30


@settings(max_examples=30)
@given(
    behaviours(
        sends={"Add": {"by": st.integers(-3, 3)}},
        edits={"/title": st.text(max_size=3), "/notes/-": st.integers(0, 9), "/notes/0": st.just("first")},
    )
)
async def test_whatever_clients_do_they_end_with_the_servers_document(supervise, behaviour):
    async with supervise(counter) as app:
        for client in await perform(app, behaviour):
            assert client.status == "live"


NOTE = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "c"]), "text": st.text(max_size=3), "column": st.integers(0, 3)}
)


@pytest.mark.virtual_time("each of its orders takes seconds")
@pytest.mark.schedules(3)
@settings(max_examples=15)
@given(
    behaviours(
        sends={"Vote": {"note": st.sampled_from(["a", "b"])}, "ClearDone": {}},
        edits={"/title": st.text(max_size=3), "/notes/-": NOTE, "/notes/0/column": st.integers(0, 3)},
    )
)
async def test_so_do_those_of_the_board_under_several_orders(supervise, behaviour):
    async with supervise(ROOT / "demos" / "board") as app:
        clients = await perform(app, behaviour)
        for client in clients:
            assert client.data == clients[0].data
            assert client.data["boards"][0]["people"] == len(clients)


@pytest.mark.virtual_time("each of its orders takes seconds")
@pytest.mark.schedules(3)
@settings(max_examples=15)
@given(behaviours(sends={"Watch": {"symbol": st.sampled_from(["ACME", "GLOBEX", "NONE"])}}))
async def test_so_do_those_of_the_ticker_whose_producer_goes_on(supervise, behaviour):
    async with supervise(ROOT / "docs" / "examples" / "ticker") as app:
        await perform(app, behaviour)

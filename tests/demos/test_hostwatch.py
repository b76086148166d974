"""The hostwatch demo: a real server and real psutil, on virtual time if need be."""

import itertools

import psutil
import pytest
import trio

from supervisor.protocol.events import Attached, Patched
from supervisor.testing import SendFailed

INTERVAL = 0.25
HISTORY = 120
AT_FIRST = ["cpu", "cores", "memory", "network"]


@pytest.fixture
async def app(supervise, demos):
    async with supervise(demos / "hostwatch") as app:
        yield app


def last(client, metric="cpu"):
    return client.data["points"][metric][-1]


async def test_values_arrive_in_every_session(app):
    clients = [await (await app.new_session()).connect() for _ in range(3)]
    seen = [await client.until(lambda data: len(data["points"]["cpu"]) >= 8) for client in clients]
    assert seen[0]["points"]["cpu"][:8] == seen[1]["points"]["cpu"][:8] == seen[2]["points"]["cpu"][:8]
    for client in clients:
        began = last(client)[0]
        await client.until(lambda data, began=began: data["points"]["cpu"][-1][0] >= began + 1)


async def test_a_row_has_a_number_for_each_series(app):
    client = await (await app.new_session()).connect()
    await client.send("Choose", metric="disk", shown=True)
    await client.until(lambda data: all(data["points"].values()))
    for name, metric in client.data["metrics"].items():
        assert len(last(client, name)) == 1 + len(metric["series"])
    assert len(client.data["metrics"]["cores"]["series"]) == psutil.cpu_count()
    assert "GB" in client.data["notes"]["memory"]


async def test_choosing_changes_only_ones_own(app):
    first, second = [await (await app.new_session()).connect() for _ in range(2)]
    await first.send("Choose", metric="memory", shown=False)
    await first.send("Choose", metric="disk", shown=True)
    await trio.sleep(1)
    assert first.data["chosen"] == ["cpu", "cores", "disk", "network"]
    assert set(first.data["points"]) == set(first.data["chosen"])
    assert "memory" not in first.data["notes"]
    assert second.data["chosen"] == AT_FIRST


async def test_choosing_twice_changes_nothing(app):
    client = await (await app.new_session()).connect()
    await client.send("Choose", metric="cpu", shown=True)
    await client.send("Choose", metric="disk", shown=False)
    assert client.data["chosen"] == AT_FIRST


async def test_a_metric_chosen_later_has_its_history(app):
    client = await (await app.new_session()).connect()
    await client.until(lambda data: len(data["points"]["cpu"]) >= 8)
    await client.send("Choose", metric="disk", shown=True)
    times = [[point[0] for point in client.data["points"][metric]] for metric in ("cpu", "disk")]
    assert times[0] == times[1]
    assert len(times[0]) >= 8


async def test_an_unknown_metric_is_rejected(app):
    client = await (await app.new_session()).connect()
    with pytest.raises(SendFailed, match=r"no such metric\. There are cpu, cores") as caught:
        await client.send("Choose", metric="weather", shown=True)
    assert caught.value.kind == "rejected"
    assert client.data["chosen"] == AT_FIRST


@pytest.mark.parametrize("fields", [{"metric": 5, "shown": True}, {"metric": "cpu"}, {"metric": "cpu", "shown": 1}])
async def test_wrong_fields_are_invalid(app, fields):
    client = await (await app.new_session()).connect()
    with pytest.raises(SendFailed, match="Choose") as caught:
        await client.send("Choose", **fields)
    assert caught.value.kind == "invalid"


async def test_samples_come_from_the_producer_only(app):
    client = await (await app.new_session()).connect()
    with pytest.raises(SendFailed) as caught:
        await client.send("Sample", time=0, values={}, notes={})
    assert caught.value.kind == "invalid"


@pytest.mark.virtual_time("a history is half a minute long")
async def test_the_history_is_bounded_and_has_no_gap(app):
    client = await (await app.new_session()).connect()
    await trio.sleep(HISTORY * INTERVAL * 2)
    for points in client.data["points"].values():
        assert len(points) == HISTORY
        steps = [round(after[0] - before[0], 2) for before, after in itertools.pairwise(points)]
        assert set(steps) == {INTERVAL}


@pytest.mark.virtual_time("a history is half a minute long")
async def test_a_tick_sends_a_point_and_not_the_history(app):
    client = await (await app.new_session()).connect()
    await trio.sleep(HISTORY * INTERVAL + 1)
    client.received.clear()
    await trio.sleep(2)
    patches = [event for event in client.received if isinstance(event, Patched)]
    assert len(patches) in (7, 8, 9)
    points = [path for patch in patches for path in patch.paths if path.startswith("/points/")]
    assert len(points) == len(patches) * 2 * len(AT_FIRST)
    assert all(path.count("/") == 3 for path in points)


async def test_a_newcomer_sees_what_has_been(app):
    early = await (await app.new_session()).connect()
    await early.until(lambda data: len(data["points"]["cpu"]) >= 8)
    late = await (await app.new_session()).connect()
    assert late.data["points"]["cpu"][:8] == early.data["points"]["cpu"][:8]


async def test_the_address_chooses(app):
    page = await app.get("/hostwatch?show=disk,nonsense,cpu")
    assert page.status == 200
    await trio.sleep(0.5)
    async with app.sessions[0].locked_document() as doc:
        assert doc.data["chosen"] == ["cpu", "disk"]


@pytest.mark.virtual_time("the times between points are compared")
async def test_a_client_that_comes_back_misses_nothing(app):
    client = await (await app.new_session()).connect()
    await trio.sleep(5)
    before = list(client.data["points"]["cpu"])
    await client.drop()
    await trio.sleep(5)
    client.received.clear()
    await client.reconnect()
    await client.until(lambda data: data["points"]["cpu"][-1][0] >= before[-1][0] + 6)
    attached = [event for event in client.received if isinstance(event, Attached)]
    assert [event.resumed for event in attached] == [True]
    points = client.data["points"]["cpu"]
    assert points[: len(before)] == before
    assert {round(after[0] - before[0], 2) for before, after in itertools.pairwise(points)} == {INTERVAL}


async def test_a_failing_read_is_reported_and_the_watch_goes_on(app, monkeypatch):
    client = await (await app.new_session()).connect()
    with monkeypatch.context() as broken:
        broken.setattr(psutil, "virtual_memory", lambda: 1 / 0)
        await trio.sleep(0.6)
    assert [incident.error.__class__ for incident in app.incidents] == [ZeroDivisionError] * len(app.incidents)
    assert app.incidents
    app.incidents.clear()
    missed = last(client)[0]
    await client.until(lambda data: data["points"]["cpu"][-1][0] >= missed + 1)


async def test_a_machine_without_disks_and_networks(supervise, demos, monkeypatch):
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    async with supervise(demos / "hostwatch") as app:
        client = await (await app.new_session()).connect()
        await client.send("Choose", metric="disk", shown=True)
        await client.until(lambda data: len(data["points"]["disk"]) > 3)
        assert last(client, "disk")[1:] == last(client, "network")[1:] == [0, 0]

"""The gatekeeper demo: two servers of it behind a real HAProxy, by HTTP and by websocket; and its hooks in the kit."""

import contextlib

import pytest
import trio

from supervisor.client import connect
from supervisor.errors import ApplicationError
from supervisor.protocol.codes import CloseCode
from supervisor.server_options import ServerOptions
from supervisor.testing import PageRefused
from supervisor.testing import supervise as open_app
from supervisor.testing.http import get

from ..docs.proxies import wait_until
from .gatekeeper_site import KEY, is_up, load_sign, open_site, run_haproxy, set_environment

OPTIONS = ServerOptions(session_ids="any")
DEADLINE = 60.0


@pytest.fixture
def gatekeeper(demos):
    return demos / "gatekeeper"


@pytest.fixture
def place(tmp_path, monkeypatch, gatekeeper):
    """What HAProxy and both servers are told."""
    return set_environment(monkeypatch, tmp_path)


@pytest.fixture
def haproxy(place, gatekeeper):
    with run_haproxy(gatekeeper, place) as haproxy:
        yield haproxy


@pytest.fixture
def sign(gatekeeper):
    sign = load_sign(gatekeeper)
    return lambda name, key=KEY: sign(name, key)


def entries(haproxy):
    """HAProxy's map: a server for each session id, several if it has several."""
    rows = [line.split()[1:] for line in haproxy.ask("show map sessions.map").splitlines() if line.strip()]
    found = {}
    for id, node in rows:
        found.setdefault(id, []).append(node)
    return found


# One server, in the kit.


@pytest.fixture
async def app(gatekeeper, haproxy):
    with trio.fail_after(DEADLINE):
        async with open_app(gatekeeper, options=OPTIONS) as app:
            yield app


async def test_haproxy_is_told_where_a_session_is_and_when_it_is_over(app, haproxy, sign):
    session = await app.new_session(id=sign("tea"))
    assert entries(haproxy) == {sign("tea"): ["n1"]}
    client = await session.connect()
    assert client.data == {"room": "tea", "node": "n1", "knocks": 0}
    context = session.context
    context.destroy()
    await context.wait_destroyed()
    assert (await client.until_ended()).code == CloseCode.DESTROYED
    assert entries(haproxy) == {}


async def test_two_visitors_of_one_session_are_one_entry(app, haproxy, sign):
    one, other = [await app.new_session(id=sign("tea")) for _ in range(2)]
    assert one.id == other.id
    assert entries(haproxy) == {sign("tea"): ["n1"]}


@pytest.mark.parametrize("forge", ["tea", "tea.", ".", "tea.{0}x", "cake.{0}", "tea.{1}", "{0}", ".{0}", "tea..{0}"])
async def test_an_id_that_is_not_signed_is_refused_and_haproxy_hears_nothing(app, haproxy, sign, forge):
    id = forge.format(sign("tea").rpartition(".")[2], sign("tea", "another secret key").rpartition(".")[2])
    with pytest.raises(PageRefused) as refused:
        await app.new_session(id=id)
    assert refused.value.status == 403
    assert "This link is not signed." in refused.value.text
    assert entries(haproxy) == {}


async def test_without_a_link_nobody_comes_in(app, haproxy):
    with pytest.raises(PageRefused) as refused:
        await app.new_session()
    assert refused.value.status == 403
    assert entries(haproxy) == {}


async def test_an_haproxy_that_was_started_anew_is_told_again(app, haproxy, sign):
    ids = [sign(name) for name in ("one", "two")]
    for id in ids:
        await app.new_session(id=id)
    await trio.to_thread.run_sync(haproxy.stop)
    await trio.to_thread.run_sync(haproxy.start)
    expected = {id: ["n1"] for id in ids}
    await trio.to_thread.run_sync(wait_until, lambda: entries(haproxy) == expected, "it knows of both")


async def test_entries_of_an_earlier_life_are_taken_away(gatekeeper, haproxy, sign):
    for id, node in (("gone", "n1"), ("elsewhere", "n2")):
        haproxy.ask(f"add map sessions.map {id} {node}")
    async with open_app(gatekeeper, options=OPTIONS):
        assert entries(haproxy) == {"elsewhere": ["n2"]}


async def test_a_session_that_began_anew_elsewhere_keeps_its_entry(app, haproxy, sign):
    context = (await app.new_session(id=sign("tea"))).context
    haproxy.ask(f"set map sessions.map {context.id} n2")
    context.destroy()
    await context.wait_destroyed()
    assert entries(haproxy) == {context.id: ["n2"]}


async def test_without_haproxy_a_session_fails_and_the_visitor_gets_an_incident(app, haproxy, sign):
    await trio.to_thread.run_sync(haproxy.stop)
    with pytest.raises(PageRefused) as refused:
        await app.new_session(id=sign("tea"))
    assert refused.value.status == 500
    [incident] = app.incidents
    assert isinstance(incident.error, OSError)
    app.incidents.clear()
    await trio.to_thread.run_sync(haproxy.start)
    await app.new_session(id=sign("tea"))
    assert entries(haproxy) == {sign("tea"): ["n1"]}


async def test_a_map_of_another_name_is_said(gatekeeper, haproxy, sign, monkeypatch):
    monkeypatch.setenv("GATEKEEPER_MAP", "other.map")
    async with open_app(gatekeeper, options=OPTIONS) as app:
        with pytest.raises(PageRefused) as refused:
            await app.new_session(id=sign("tea"))
        assert refused.value.status == 500
        [incident] = app.incidents
        assert "HAProxy has no map other.map" in str(incident.error)
        app.incidents.clear()


@pytest.mark.parametrize("missing", ["GATEKEEPER_KEY", "GATEKEEPER_NODE", "GATEKEEPER_SOCKET", "GATEKEEPER_MAP"])
async def test_a_setting_that_is_missing_is_named(gatekeeper, place, monkeypatch, missing):
    monkeypatch.delenv(missing)
    with pytest.raises(ApplicationError, match=f"gatekeeper needs {missing} in the environment: "):
        async with open_app(gatekeeper):
            pytest.fail("it was loaded")


# Two servers behind it.


@pytest.fixture
def site(gatekeeper, place, haproxy, monkeypatch):
    with open_site(gatekeeper, place, monkeypatch, haproxy) as site:
        yield site


async def visit(site, clients, id):
    """A client of the page that HAProxy led us to, by the websocket that it leads us to."""
    return await clients.enter_async_context(connect(f"http://127.0.0.1:{site.port}/gatekeeper", session=id))


async def test_all_who_open_a_link_meet_on_one_server_and_links_spread_over_both(site, haproxy, sign):
    with trio.fail_after(DEADLINE):
        async with contextlib.AsyncExitStack() as stack:
            nodes = {}
            for name in ("one", "two", "three", "four", "five", "six"):
                clients = [await visit(site, stack, sign(name)) for _ in range(2)]
                await clients[0].send("Knock")
                await clients[1].until(lambda data: data["knocks"] == 1)
                nodes[name] = clients[0].data["node"]
                assert clients[1].data == {"room": name, "node": nodes[name], "knocks": 1}
            assert set(nodes.values()) == {"n1", "n2"}
            assert entries(haproxy) == {sign(name): [node] for name, node in nodes.items()}


async def test_what_the_map_says_counts_and_not_the_hash(site, haproxy, sign):
    with trio.fail_after(DEADLINE):
        async with contextlib.AsyncExitStack() as stack:
            for name in ("one", "two", "three", "four", "five", "six"):
                haproxy.ask(f"add map sessions.map {sign(name)} n2")
                assert (await visit(site, stack, sign(name))).data["node"] == "n2"


async def test_an_unsigned_link_is_refused_through_haproxy(site, haproxy):
    stream = await trio.open_tcp_stream("127.0.0.1", site.port)
    page = await get(stream, "/gatekeeper?session=tea")
    assert (page.status, "This link is not signed." in page.text) == (403, True)
    assert entries(haproxy) == {}


async def test_when_a_server_is_killed_its_sessions_begin_anew_on_the_other(site, haproxy, sign):
    with trio.fail_after(2 * DEADLINE):
        async with contextlib.AsyncExitStack() as stack:
            before = await visit(site, stack, sign("tea"))
            node = before.data["node"]
            other = {"n1": "n2", "n2": "n1"}[node]
            await trio.to_thread.run_sync(site.servers[node].kill)
            await trio.to_thread.run_sync(wait_until, lambda: not is_up(haproxy, node), "HAProxy takes it for dead")
            after = await visit(site, stack, sign("tea"))
            assert after.data == {"room": "tea", "node": other, "knocks": 0}
            assert entries(haproxy) == {sign("tea"): [other]}
            # It comes back, and takes nothing away: the session is on the other one.
            await trio.to_thread.run_sync(site.start, node)
            await trio.to_thread.run_sync(wait_until, lambda: is_up(haproxy, node), "HAProxy takes it for healthy")
            again = await visit(site, stack, sign("tea"))
            assert again.data["node"] == other
            assert entries(haproxy) == {sign("tea"): [other]}

"""httpx over a test's own transport."""

import sys

import httpx
import pytest
import trio
import trio.testing

from supervisor.testing.httpx_client import open_client


def modify_document(doc):
    doc.data["n"] = 1


async def test_it_asks_the_apps_own_server(supervise):
    async with supervise(modify_document) as app, app.http(headers={"Accept-Language": "de"}) as http:
        answer = await http.get("/modify_document")
        assert answer.status_code == 200
        assert "supervisor" in answer.text
        [session] = app.sessions
        assert session.request.headers["accept-language"] == "de"
        assert (await http.head("/modify_document")).content == b""
        assert (await http.get("/nothing")).status_code == 404


async def test_another_host_is_asked_for_at_the_same_server(supervise):
    async with supervise(modify_document) as app, app.http() as http:
        assert (await http.get("http://evil.example/modify_document")).status_code in (400, 403, 421)
        with pytest.raises(httpx.ConnectError, match="no TLS: write http://"):
            await http.get("https://localhost/modify_document")


async def test_a_connection_is_kept_and_not_used_again_when_the_server_has_left_it(supervise):
    """By the clock of the test, and over a restart."""
    async with supervise(modify_document) as app:
        opened, connect = [], app.transport.connect

        async def count():
            opened.append(1)
            return await connect()

        async with open_client("localhost", count, server=lambda: app.server) as http:
            for _ in range(3):
                assert (await http.get("/modify_document")).status_code == 200
            assert len(opened) == 1
            await app.restart()
            assert (await http.get("/modify_document")).status_code == 200
            assert len(opened) == 2
            if app.clock.is_virtual:
                await trio.sleep(1_000)
                assert (await http.get("/modify_document")).status_code == 200
                assert len(opened) == 3


async def serve(listener_side, data):
    await listener_side.receive_some()
    await listener_side.send_all(data)


async def test_an_answer_is_read_as_it_comes_and_what_goes_wrong_is_httpxs_own(nursery):
    ours, theirs = trio.testing.memory_stream_pair()

    async def connect():
        return ours

    async with open_client("localhost", connect, server=lambda: None, timeout=0.05) as http:
        nursery.start_soon(serve, theirs, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        async with http.stream("GET", "/") as answer:
            parts = answer.aiter_raw()
            assert await anext(parts) == b"abc"
            with pytest.raises(httpx.ReadTimeout) as raised:
                await anext(parts)
            assert raised.value.request.url.path == "/"


async def test_a_server_that_is_not_there_is_a_connect_error():
    async def refuse():
        raise trio.BrokenResourceError("nobody listens")

    async with open_client("localhost", refuse, server=lambda: None) as http:
        with pytest.raises(httpx.ConnectError, match="nobody listens"):
            await http.get("/")


async def test_without_httpx_the_way_out_is_told(supervise, monkeypatch):
    monkeypatch.delitem(sys.modules, "supervisor.testing.httpx_client")
    monkeypatch.setitem(sys.modules, "httpx", None)
    async with supervise(modify_document) as app:
        with pytest.raises(RuntimeError, match=r"needs httpx .*pip install session-supervisor\[testing\]"):
            app.http()

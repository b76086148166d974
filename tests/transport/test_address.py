"""Where a server listens: ports, Unix sockets, TLS, and what people read when it can't be had."""

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trustme

from supervisor.errors import ApplicationError
from supervisor.transport.address import Address, explain_unix_socket_error, open_unix_listener


@pytest.fixture
async def listen():
    """`await listen(Address(…))`: opened, and closed in the end."""
    opened = []

    async def start(address):
        listeners = await address.listen()
        opened.extend(listeners)
        return listeners

    yield start
    for listener in opened:
        await listener.aclose()


@pytest.fixture
def taken():
    """A port on which somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def certificates():
    """The TLS contexts of a server called localhost and of its client."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def test_it_has_a_url(listen):
    address = Address(port=0)
    listeners = await listen(address)
    port = listeners[0].socket.getsockname()[1]
    assert address.url(listeners) == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("host", [None, "0.0.0.0", "::"])
async def test_a_url_names_this_machine_where_it_listens_everywhere(listen, host):
    address = Address(host=host, port=0)
    assert address.url(await listen(address)).startswith("http://localhost:")


async def test_an_ipv6_address_has_brackets_in_a_url(listen):
    address = Address(host="::1", port=0)
    try:
        listeners = await listen(address)
    except ApplicationError:
        pytest.skip("this machine has no ::1")
    assert address.url(listeners).startswith("http://[::1]:")


@pytest.mark.parametrize(
    ("address", "names"),
    [
        (Address(host="live.example.org"), ("live.example.org",)),
        (Address(host="127.0.0.1"), ()),
        (Address(host="::1"), ()),
        (Address(host=None), ()),
        (Address(host="live.example.org", unix_socket="here"), ()),
    ],
    ids=str,
)
def test_a_name_in_the_url_must_be_answered_to(address, names):
    assert address.allowed_names == names


async def test_a_port_that_is_taken_is_one_sentence(taken):
    with pytest.raises(ApplicationError) as raised:
        await Address(port=taken).listen()
    assert str(raised.value) == (
        f"Another program listens on port {taken} of 127.0.0.1; stop it, or choose another port with the argument port."
    )


async def test_a_host_that_is_not_known_is_one_sentence():
    with pytest.raises(ApplicationError, match=r"^The host 'a\.\.b' is not known here; give the argument host a name"):
        await Address(host="a..b").listen()


async def test_with_a_context_it_speaks_tls(listen, nursery, certificates):
    ours, theirs = certificates
    address = Address(port=0, ssl_context=ours)
    [listener] = await listen(address)
    assert address.url([listener]).startswith("https://127.0.0.1:")

    @nursery.start_soon
    async def serve():
        async with await listener.accept() as stream:
            await stream.send_all(b"hello")

    port = listener.transport_listener.socket.getsockname()[1]
    stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=theirs, https_compatible=True)
    async with stream:
        assert await stream.receive_some() == b"hello"


# Unix sockets.


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A short path: systems take about a hundred characters, and the folders of tests have long names."""
    monkeypatch.chdir(tmp_path)
    return Path("socket")


async def test_a_unix_socket_has_no_url_and_takes_its_file_away(path):
    address = Address(unix_socket=path)
    [listener] = await address.listen()
    assert address.url([listener]) is None
    async with await trio.open_unix_socket(path) as client, await listener.accept() as server:
        await server.send_all(b"hello")
        assert await client.receive_some() == b"hello"
    await listener.aclose()
    await listener.aclose()
    assert not path.exists()


async def test_what_a_server_left_behind_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.is_socket()
    async with await open_unix_listener(path), await trio.open_unix_socket(path):
        pass
    assert not path.exists()


async def test_another_servers_socket_is_left_alone(path):
    async with await open_unix_listener(path):
        with pytest.raises(ApplicationError) as raised:
            await Address(unix_socket=path).listen()
        assert str(raised.value) == (
            "Another program listens on the Unix socket socket; stop it, or choose another path."
        )
        async with await trio.open_unix_socket(path):
            pass


async def test_a_file_that_took_its_place_is_left_alone(path):
    async with await open_unix_listener(path):
        path.unlink()
        path.write_text("kept")
    assert path.read_text() == "kept"


async def test_a_file_that_vanished_is_not_missed(path):
    async with await open_unix_listener(path):
        path.unlink()


async def test_a_folder_that_nobody_can_look_into_any_more_is_no_reason_to_stay_open(path):
    folder = path.absolute().parent / "folder"
    folder.mkdir()
    listener = await open_unix_listener(folder / "socket")
    folder.rename(folder.with_name("another"))
    folder.write_text("a file")
    await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_a_file_in_the_way_is_kept_and_named(path):
    path.write_text("kept")
    with pytest.raises(ApplicationError, match=r"^There is a file at socket that is not a socket; choose another"):
        await Address(unix_socket=path).listen()
    assert path.read_text() == "kept"


async def test_a_folder_that_is_missing_is_named(path):
    with pytest.raises(ApplicationError, match=r"^The folder of the Unix socket nowhere/socket is not there; make it"):
        await Address(unix_socket=Path("nowhere") / path).listen()


async def test_a_path_that_is_too_long_is_named():
    with pytest.raises(ApplicationError, match=r"^The path of the Unix socket x+ is too long"):
        await Address(unix_socket="x" * 200).listen()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "no"), "You may not make the Unix socket here; choose a path in a folder that you may"),
        (OSError(5, "strange"), "Can't listen on the Unix socket here (strange); choose another path."),
    ],
)
def test_other_errors_are_sentences_too(error, sentence):
    assert explain_unix_socket_error(error, path="here").startswith(sentence)

"""What is printed, and where it leads."""

import re
import socket

from .apps import assert_served


def test_the_app_is_one_line_on_stdout_with_its_url(one):
    (url,) = one.until_served()
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*/counter", url)
    (line,) = one.stdout.splitlines()
    assert re.search(rf"{re.escape(url)}( |$)", line)
    assert line.isascii()
    assert line.isprintable()


def test_the_url_answers_at_once_without_a_redirect(one, fetch):
    (url,) = one.until_served()
    assert_served(fetch, url)


def test_one_app_alone_is_found_at_the_root(one, fetch):
    (url,) = one.until_served()
    answer = fetch(url.removesuffix("counter"))
    assert answer.status in (302, 303, 307)
    assert answer.headers["location"] == "/counter"


def test_each_of_several_apps_is_one_line_in_their_order(three, fetch):
    urls = three.until_served(3)
    assert [url.rpartition("/")[2] for url in urls] == ["counter", "shop", "make"]
    for url in urls:
        assert re.fullmatch(r"http://localhost:[1-9]\d*/tools/live/\w+", url)
        assert_served(fetch, url)


def test_several_apps_have_an_index(three, fetch):
    urls = three.until_served(3)
    answer = fetch(urls[0].removesuffix("counter"))
    assert answer.status == 200
    for name in ("counter", "shop", "make"):
        assert f'"/tools/live/{name}"' in answer.text


def test_nothing_is_served_beside_the_prefix(three, fetch):
    urls = three.until_served(3)
    assert fetch(urls[0].replace("/tools/live", "")).status == 404


def test_the_browser_client_is_served_behind_the_prefix(three, fetch):
    urls = three.until_served(3)
    answer = fetch(urls[0].replace("/counter", "/-/client/supervisor.js"))
    assert answer.status == 200
    assert "javascript" in answer.headers["content-type"]


def addresses_of(host):
    return {info[4][0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}


def has_address(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def test_port_0_is_one_port_on_all_addresses_of_a_name(three, fetch):
    url = three.until_served(3)[0]
    addresses = [address for address in addresses_of("localhost") if has_address(address)]
    assert addresses
    for address in addresses:
        shown = f"[{address}]" if ":" in address else address
        assert fetch(url.replace("localhost", shown)).status == 200


def test_a_misspelt_hook_is_warned_of(three):
    three.until_served(3)
    (line,) = [line for line in three.stderr.splitlines() if "on_sesion_created" in line]
    assert "warning" in line
    assert "did you mean on_session_created?" in line
    assert "application=shop" in line


def test_an_ipv6_address_stands_in_brackets(start, folder, fetch):
    server = start("serve", "counter.py", "--port", 0, "--host", "::1", cwd=folder)
    if not has_address("::1"):
        assert server.end() == 1
        assert "Error: '::1' is not an address of this machine" in server.stderr
        return
    (url,) = server.until_served()
    assert re.fullmatch(r"http://\[::1\]:[1-9]\d*/counter", url)
    assert_served(fetch, url)


def test_lines_are_printed_when_connections_are_accepted_and_not_before(start, write_files, tmp_path, fetch):
    """The load hook waits for a file that the test makes once it has seen that nothing was printed."""
    write_files(
        tmp_path / "slow",
        {
            "main.py": """
                import trio
                from pathlib import Path

                async def on_application_load(app_context):
                    print("the hook waits", flush=True)
                    while not Path("go").exists():
                        await trio.sleep(0.01)

                def modify_document(doc): ...
            """
        },
    )
    server = start("serve", "slow", "--port", 0, cwd=tmp_path)
    server.until_printed("the hook waits\n")
    assert "http://" not in server.stdout
    (tmp_path / "go").touch()
    server.until_printed("/slow \n")
    assert_served(fetch, re.search(r"http://\S+", server.stdout)[0])

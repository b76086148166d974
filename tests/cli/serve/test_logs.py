"""What a server logs."""

import re
from concurrent.futures import ThreadPoolExecutor

from supervisor.testing import supervise_process

from .apps import assert_structured, read_page


async def test_logs_show_eight_characters_of_an_id_and_no_token_or_key(folder):
    async with supervise_process(folder / "counter.py", "--log-level", "debug") as server:
        session = await server.new_session()
        client = await session.connect()
        resume_key = client._record.protocol._key
        assert await client.send("Add", number=2) == 2
        await client.close()
        await server.until_logged("connection detached")
    log = re.sub(r"^counter is served at \S+ \n", "", server.log, flags=re.MULTILINE)  # which is on stdout
    assert_structured(log)
    for event in ("session created", "connection attached", "connection detached", "session destroyed"):
        (line,) = [line for line in log.splitlines() if f"] {event} " in line]
        assert f"application=counter session={session.id[:8]}" in line
    token = read_page(session.page)["token"]
    for secret in (session.id[:9], token, resume_key, token.rpartition(".")[2]):
        assert secret
        assert secret not in log


def test_a_producer_that_fails_is_logged_and_goes_on(start, app, tmp_path):
    app("""
        attempts = 0

        def on_application_load(app_context):
            app_context.add_callback(produce)

        def produce():
            global attempts
            attempts += 1
            raise RuntimeError(f"attempt {attempts}\\nof many")
    """)
    server = start("serve", "app.py", "--port", 0, cwd=tmp_path)
    server.until_served()
    server.until_logged("RuntimeError: attempt 2\n")  # the last line but one of the second traceback
    assert server.stop() == 0
    assert_structured(server.stderr)
    assert "Traceback (most recent call last):" in server.stderr
    assert re.search(r"\] .*produce.* failed application=app session=- incident=[0-9a-f]{8} ", server.stderr)
    assert re.search(r"^application=app session=- incident=[0-9a-f]{8} \| of many$", server.stderr, re.MULTILINE)


def test_code_that_blocks_the_server_is_logged_while_it_does(start, tmp_path, fetch):
    (tmp_path / "app.py").write_text(
        "import pathlib, time\n"
        "def modify_document(doc):\n"
        "    while not pathlib.Path('go_on').exists():\n"
        "        time.sleep(0.01)\n"
    )
    server = start("serve", "app.py", "--port", 0, "--stall-limit", 0.2, cwd=tmp_path)
    (url,) = server.until_served()
    with ThreadPoolExecutor() as pool:
        page = pool.submit(fetch, url)
        server.until_log_matches("what=modify_document reason='.*thread=True.*' where='modify_document, line ")
        (tmp_path / "go_on").touch()
        assert page.result().status == 200
    server.until_logged("the loop turns again application=app session=")
    assert server.stop() == 0
    assert_structured(server.stderr)
    assert re.search(
        r"\[warning .*\] the loop is blocked application=app session=\S{8} seconds=0\.[2-9]", server.stderr
    )

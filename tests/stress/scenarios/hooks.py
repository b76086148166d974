"""Hooks that raise, hang, are late, start tasks, or destroy: each event is told once, and only that session suffers."""

from __future__ import annotations

from pathlib import Path

import trio

from ..scenario import scenario
from ..server import OPTIONS, Server
from ..sockets import PageRefused, open_page
from ..stage import Stage

HARMLESS = ("late", "spawn")
FAILING = ("raise", "exit", "group", "hang", "stubborn")


async def visit(stage: Stage, session: str) -> int:
    try:
        await open_page(stage.port, "work", session)
    except PageRefused as refused:
        return refused.status
    return 200


@scenario()
async def created_hooks(stage: Stage) -> None:
    """A created hook that fails or hangs costs its visitor a 500 with an incident, and nobody else anything."""
    stage.expect_exactly(r"on_session_created", stage.scale(1, 20) * len(FAILING))
    neighbour_session = stage.new_session()
    neighbour = await stage.client(neighbour_session)
    for _ in range(stage.scale(1, 20)):
        async with trio.open_nursery() as nursery:
            for kind in (*HARMLESS, *FAILING, "destroy"):
                nursery.start_soon(_created, stage, kind)
            for number in range(20):
                with trio.fail_after(5):
                    await neighbour.ask("Add", label=f"{stage.rng.random()}-{number}", who="neighbour")
    stage.refused = ""
    stage.checks_hooks = False  # below, since some of these sessions were refused
    counts = await stage.order("Hooks")
    for session, hooks in counts.items():
        kind = session.split("~")[1] if session.startswith("created~") else ""
        due = 0 if kind in (*FAILING, "destroy") else hooks["created"]
        built = hooks.get("built", 0)
        stage.require(hooks["created"] == 1, f"{session} was created {hooks['created']} times")
        stage.require(built == due, f"{session} was built {built} times")
    await stage.check([neighbour], neighbour_session)


async def _created(stage: Stage, kind: str) -> None:
    session = stage.new_session(f"created~{kind}~")
    status = await visit(stage, session)
    wanted = 200 if kind in HARMLESS else 403 if kind == "destroy" else 500
    stage.require(status == wanted, f"{session} was answered {status}")


@scenario()
async def building_fails(stage: Stage) -> None:
    """A `modify_document` that fails costs its visitor a 500; the session's destroyed hook runs."""
    kinds = ("raise", "exit", "group")
    stage.expect_exactly(r"modify_document", len(kinds))
    for kind in kinds:
        session = stage.new_session(f"built~{kind}~")
        stage.require(await visit(stage, session) == 500, f"{session} was not answered 500")
    late = stage.new_session("built~late~")
    client = await stage.client(late)
    await stage.check([client], late)


@scenario()
async def hanging_builds(stage: Stage) -> None:
    """Sessions whose `modify_document` hangs hold up nobody else, and to destroy them ends them at once."""
    names = [stage.new_session("built~hang~") for _ in range(stage.scale(10, 100))]
    answers: list[int] = []

    async def come(name: str) -> None:
        answers.append(await visit(stage, name))

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(come, name)
        await trio.sleep(0.3)
        await stage.is_well()
        for name in names:
            await stage.order("DestroySession", session=name)
    stage.require(len(answers) == len(names) and set(answers) <= {403, 404, 500}, f"visitors were answered {answers}")


@scenario()
async def opened_hooks(stage: Stage) -> None:
    """An opened hook that fails lets nobody in, and lets in nobody else's place; its session goes on."""
    stage.expect(r"on_connection_opened", len(FAILING))
    stage.checks_hooks = False  # below: a closed hook is due only for those that were let in
    for kind in (*HARMLESS, *FAILING, "destroy"):
        session = stage.new_session(f"opened~{kind}~")
        client = await stage.client(session, live=False)
        if kind in HARMLESS:
            await client.until_live()
            await client.ask("Add", label="well", who="client")
            await stage.check([client], session)
        else:
            await client.until(lambda client=client: client.codes)
            wanted = 4410 if kind == "destroy" else 1011
            stage.require(client.codes[0] == wanted, f"{session} was told {client.codes}")
            stage.require(not client.is_live, f"{session} let somebody in")
        client.leave()
        await client.wait_over()
    await stage.is_well()
    await stage.order("DestroyAll")
    for session, hooks in (await stage.order("Hooks")).items():
        kind = session.split("~")[1] if session.startswith("opened~") else ""
        opened, closed = hooks.get("opened", 0), hooks.get("closed", 0)
        due = 0 if kind in FAILING else opened
        stage.require(closed == due, f"{session}: opened {opened} times, closed {closed} times, {due} were due")
        stage.require(hooks["destroyed"] == hooks["created"] == 1, f"{session}: {hooks}")


async def ends_well(stage: Stage, hook: str, pattern: str) -> None:
    """Sessions whose hook at the end misbehaves, all at once: each end is over within the hook's deadline."""
    stage.expect_exactly(pattern, len(FAILING))
    names = {kind: stage.new_session(f"{hook}~{kind}~") for kind in (*HARMLESS, *FAILING, "destroy")}
    clients = [await stage.client(name) for name in names.values()]
    for each in clients:
        await each.ask("Add", label="well", who="client")
    began = trio.current_time()
    await stage.order("DestroyAll")
    took = trio.current_time() - began
    for each in clients:
        await each.wait_over()
        stage.require(each.codes == [4410], f"{each.name} was told {each.codes}")
    stage.require(took < 5, f"the ends took {took:.1f} s")
    stage.note(f"all ends took {took:.1f} s")
    await stage.is_well()


@scenario()
async def closed_hooks(stage: Stage) -> None:
    """Closed hooks that raise, hang or are late, all at once: each runs once, and every end is over in time."""
    await ends_well(stage, "closed", r"on_connection_closed")


@scenario()
async def destroyed_hooks(stage: Stage) -> None:
    """Destroyed hooks that raise, hang or are late, all at once: each runs once, and every end is over in time."""
    await ends_well(stage, "destroyed", r"on_session_destroyed")


LOAD = {
    "raises": "def on_application_load(app_context):\n    raise ValueError('the load hook was to raise')\n",
    "exits": "def on_application_load(app_context):\n    raise SystemExit(0)\n",
    "doesn't compile": "def on_application_load(app_context:\n",
}
UNLOAD = {
    "raises": "def on_application_unload(app_context):\n    raise ValueError('the unload hook was to raise')\n",
    "hangs": "import trio\nasync def on_application_unload(app_context):\n    await trio.sleep_forever()\n",
    "exits": "def on_application_unload(app_context):\n    raise SystemExit(3)\n",
}


def _app(folder: Path, name: str, hooks: str) -> Path:
    app = folder / name
    app.mkdir(parents=True, exist_ok=True)
    (app / "lifecycle.py").write_text(hooks)
    (app / "main.py").write_text("def modify_document(doc):\n    doc.data['ready'] = True\n")
    return app


@scenario(own_server=True)
async def load_hooks(stage: Stage) -> None:
    """An app whose load hook fails isn't served, and the process says so with exit code 1."""
    async with trio.open_nursery() as nursery:
        for number, what in enumerate(LOAD):
            nursery.start_soon(_load, stage, number, what)


async def _load(stage: Stage, number: int, what: str) -> None:
    server = Server(stage.folder, options=OPTIONS, apps=[_app(stage.folder, f"load{number}", LOAD[what])])
    try:
        await server.start()
        code = await server.wait_ended()
    finally:
        server.kill()
    stage.require(code == 1, f"a load hook that {what} led to exit code {code}")
    stage.require(server.log_path.read_text().strip(), f"a load hook that {what} left no word in the log")


@scenario(own_server=True)
async def unload_hooks(stage: Stage) -> None:
    """An app whose unload hook fails or hangs ends in time, with exit code 0 and the failure in the log."""
    async with trio.open_nursery() as nursery:
        for number, what in enumerate(UNLOAD):
            nursery.start_soon(_unload, stage, number, what)


async def _unload(stage: Stage, number: int, what: str) -> None:
    app = _app(stage.folder, f"unload{number}", UNLOAD[what])
    server = Server(stage.folder, options=OPTIONS, apps=[app])
    try:
        await server.start()
        await open_page(server.port, app.name)
        began = trio.current_time()
        code = await server.stop()
    finally:
        server.kill()
    stage.require(code == 0, f"an unload hook that {what} led to exit code {code}")
    stage.require(trio.current_time() - began < 6, f"an unload hook that {what} held the end up")
    server.read_log()
    incidents = [line for line in server.account.lines if line.level == "error"]
    stage.require(len(incidents) == 1, f"an unload hook that {what} is in the log {len(incidents)} times")
    stage.require("on_application_unload" in incidents[0].text, f"the log has {incidents[0].text!r}")

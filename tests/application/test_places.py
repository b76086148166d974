"""Code of an app that holds the server's thread is named: application, session and piece of work."""

import threading

import pytest
import trio

from supervisor.actor.stalls import StackReader
from supervisor.application.hooks import call_author
from supervisor.application.places import PLACES
from supervisor.application.source import is_own
from supervisor.session.receivers import receives
from supervisor.session.request import Request

FOUND = []
STACKS = StackReader(PLACES, is_own)


def look():
    """What another thread sees of this one, just now."""
    here = threading.get_ident()
    thread = threading.Thread(target=lambda: FOUND.append(STACKS.read(here)))
    thread.start()
    thread.join()


@pytest.fixture(autouse=True)
def nothing_found():
    FOUND.clear()


def told():
    (found,) = FOUND
    assert found.where.startswith("look, line ")
    return found.application, found.session, found.what


class Plain:
    pass


class Long:
    pass


@receives(Plain)
def on_plain(doc, message):
    look()


@receives(Long)
async def on_long(doc, message):
    await trio.lowlevel.checkpoint()
    look()


APP = {"on_plain": on_plain, "on_long": on_long}


@pytest.mark.parametrize("message", [Plain(), Long()])
async def test_a_handler(run_app, message):
    async with run_app(APP) as app:
        await (await app.open()).ask(message)
    application, session, what = told()
    assert application != "-"
    assert session != "-"
    assert what == f"message {type(message).__name__}"


async def test_a_document_s_callback(run_app):
    async with run_app(APP) as app:
        session = await app.open()
        session.document.add_callback(look)
        await session.ask(Long())
    assert "-" not in {each.session for each in FOUND}
    assert FOUND[0].what == "next tick callback look"


async def test_hooks_and_the_building_of_the_document(run_app):
    hooks = {
        name: lambda context: look()
        for name in ("on_application_load", "on_session_created", "modify_document", "on_session_destroyed")
    }
    async with run_app(hooks) as app:
        await app.open()
    assert [each.what.rpartition(".")[2] for each in FOUND] == list(hooks)
    assert [each.session != "-" for each in FOUND] == [False, True, True, True]
    assert "-" not in {each.application for each in FOUND}


async def test_a_producer_a_callback_and_a_background_task(run_app):
    async with run_app(APP) as app:
        session = await app.open()
        app.context.add_callback(look)
        await trio.testing.wait_all_tasks_blocked()
        app.context.add_next_tick_callback(look)
        await trio.testing.wait_all_tasks_blocked()
        session.start_soon(look)
        await trio.testing.wait_all_tasks_blocked()
        app.context.add_callback(trio.sleep_forever)
    assert [each.what for each in FOUND] == ["producer look", "next tick callback look", "background task look"]
    assert [each.session != "-" for each in FOUND] == [False, False, True]
    assert "-" not in {each.application for each in FOUND}


async def test_a_call_from_a_thread(run_app):
    async with run_app(APP) as app:
        await trio.to_thread.run_sync(app.context.call_from_thread, look)
    application, _, what = told()
    assert application != "-"
    assert what == "call_from_thread(look)"


async def test_the_naming_of_a_connection(run_app):
    async with run_app({"name_connection": lambda request: look()}) as app:
        app.actor.name_connection(Request())
    application, session, what = told()
    assert application != "-"
    assert (session, what) == ("-", "name_connection")


class Unspeakable:
    """A hook without a name, whose text must not be asked for: another thread changes what is in it."""

    def __call__(self, context):
        look()

    def __repr__(self):
        raise RuntimeError("dictionary changed size during iteration")


async def test_a_hook_without_a_name_is_told_by_its_type(run_app):
    async with run_app({}):
        await call_author(Unspeakable(), None, timeout=1)
    assert told() == ("-", "-", "Unspeakable")


async def test_code_of_nobody_s_names_its_task(run_app):
    async with run_app(APP):
        look()
    (found,) = FOUND
    assert found.application == "-"
    assert found.what.startswith("task ")

"""One session without a server: which hooks run, what never does, and the sentence for what goes wrong."""

import pytest
import trio

from supervisor.application.export import export_document
from supervisor.application.handlers import Application, Handler, NamespaceHandler
from supervisor.errors import ApplicationError, SessionRefused
from supervisor.session.receivers import receives
from supervisor.session.request import Request


def app_of(**namespace):
    return Application(NamespaceHandler(namespace, where="app"), name="app")


async def export(application, **request):
    with trio.fail_after(1_000):  # virtual: what never ends fails
        return await export_document(application, session_id="board", request=Request(**request))


async def test_all_hooks_run_in_order_and_see_the_request(autojump_clock):
    story = []

    class Noting(Handler):
        def __init__(self, name):
            self.name = name

        async def on_application_load(self, app_context):
            await trio.sleep(1)
            story.append(f"{self.name} load")

        async def on_application_unload(self, app_context):
            story.append(f"{self.name} unload")

        async def on_session_created(self, session_context):
            story.append(f"{self.name} created {session_context.id} {session_context.request.path}")
            session_context.document.data["created"] = True

        async def modify_document(self, doc):
            await trio.sleep(1)
            story.append(f"{self.name} modify")
            doc.data[self.name] = list(doc.data)

        async def on_session_destroyed(self, session_context):
            story.append(f"{self.name} destroyed {len(session_context.document.data)}")

    document = await export(Application([Noting("a"), Noting("b")], name="app"), path="/app")
    assert story == [
        *("a load", "b load", "a created board /app", "b created board /app", "a modify", "b modify"),
        *("b destroyed 3", "a destroyed 3", "b unload", "a unload"),
    ]
    assert document.application == "app"
    assert document.data == b'{"created":true,"a":["created"],"b":["created","a"]}'


class Message:
    pass


async def test_nothing_that_hooks_add_ever_runs(autojump_clock):
    """Though each hook gives it all the time it could want."""
    ran = []

    async def producer():
        ran.append("producer")

    async def on_application_load(app_context):
        app_context.add_callback(producer)
        app_context.add_next_tick_callback(ran.append, "application's next tick")
        app_context.add_periodic_callback(ran.append, "application's period", seconds=0.1)
        await trio.sleep(1)

    async def on_session_created(session_context):
        session_context.application.add_callback(producer)
        session_context.start_soon(ran.append, "background task")
        session_context.tell_nowait(Message())
        session_context.document.add_timeout_callback(ran.append, "timeout", seconds=0.1)
        await trio.sleep(1)

    async def modify_document(doc):
        doc.add_next_tick_callback(ran.append, "next tick")
        doc.add_periodic_callback(ran.append, "period", seconds=0.1)
        await trio.sleep(1)
        doc.data["built"] = True

    async def on_session_destroyed(session_context):
        await trio.sleep(1)

    @receives(Message)
    def on_message(doc, message):
        ran.append("message")

    namespace = {name: value for name, value in locals().items() if callable(value)}
    namespace |= {"on_application_unload": on_session_destroyed}
    assert (await export(app_of(**namespace))).data == b'{"built":true}'
    assert ran == []


async def test_what_destroyed_hooks_do_to_the_document_is_not_exported(autojump_clock):
    def on_session_destroyed(session_context):
        session_context.document.data["late"] = True

    assert (await export(app_of(on_session_destroyed=on_session_destroyed))).data == b"{}"


async def test_an_end_takes_no_time(autojump_clock):
    began = trio.current_time()
    await export(app_of())
    assert trio.current_time() == began


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SessionRefused("not today"), "application 'app' refused the session: not today"),
        (PermissionError("who knows"), "application 'app' refused the session, without a reason"),
    ],
)
async def test_a_refused_session_is_one_sentence_and_the_application_is_unloaded(error, sentence, autojump_clock):
    unloaded = []

    def on_session_created(session_context):
        raise error

    with pytest.raises(ApplicationError) as raised:
        await export(app_of(on_session_created=on_session_created, on_application_unload=unloaded.append))
    assert str(raised.value) == sentence
    assert len(unloaded) == 1


async def test_a_hook_may_refuse_by_destroying(autojump_clock):
    def on_session_created(session_context):
        session_context.destroy(reason="full")

    with pytest.raises(ApplicationError, match="refused the session: full"):
        await export(app_of(on_session_created=on_session_created))


@pytest.mark.parametrize(
    "hook",
    ["on_application_load", "on_session_created", "modify_document", "on_session_destroyed", "on_application_unload"],
)
async def test_a_hook_that_fails_is_named_with_its_place(hook, autojump_clock):
    def fail(_):
        raise KeyError("ACME")

    with pytest.raises(ApplicationError) as raised:
        await export(app_of(**{hook: fail}))
    assert str(raised.value).startswith(f"application 'app' can't be exported: its {hook} raised KeyError: 'ACME' (")
    assert f"{__file__}, line " in str(raised.value)
    assert isinstance(raised.value.__cause__, KeyError)


async def test_a_hook_that_is_late_is_told(autojump_clock):
    async def on_session_created(session_context):
        await trio.sleep_forever()

    with pytest.raises(ApplicationError, match=r"its on_session_created raised TooSlowError: .* longer than 10 s"):
        await export(app_of(on_session_created=on_session_created))


async def test_an_error_that_cannot_be_shown_is_told_by_its_type(autojump_clock):
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError

    def modify_document(doc):
        raise Silent

    with pytest.raises(ApplicationError, match="its modify_document raised Silent: "):
        await export(app_of(modify_document=modify_document))


async def test_a_bug_of_ours_is_no_sentence(monkeypatch, autojump_clock):
    async def broken(*_, **__):
        raise AssertionError("ours")

    monkeypatch.setattr("supervisor.application.actor.ApplicationActor.open_session", broken)
    with pytest.raises(AssertionError, match="ours"):
        await export(app_of())

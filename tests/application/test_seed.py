"""The four samples of the wiki page that this project began with, as near to the letter as `async` allows."""

import trio

from supervisor.session.receivers import receives


class Feed:
    """A remote source that is asked again and again."""

    def __init__(self):
        self.send, self.receive = trio.open_memory_channel(10)

    async def fetch_data_from_remote_source(self):
        return await self.receive.receive()


def modify_document(doc):
    doc.data["foo"] = []


async def test_first_sample_a_producer_locks_each_session_document(run_app, autojump_clock):
    feed = Feed()

    async def listen_for_changes(app_context):
        while True:
            new_data = await feed.fetch_data_from_remote_source()
            for session_context in app_context.sessions:
                async with session_context.locked_document() as doc:
                    doc.data["foo"].append(new_data)

    def on_application_load(app_context):
        app_context.add_callback(lambda: listen_for_changes(app_context))

    async with run_app(locals() | {"modify_document": modify_document}) as app:
        sessions = [await app.open() for _ in range(3)]
        await feed.send.send("change")
        await feed.send.send("another")
        await trio.testing.wait_all_tasks_blocked()
        for session in sessions:
            async with session.locked_document() as doc:
                assert doc.data["foo"] == ["change", "another"]


async def test_second_sample_a_document_callback_runs_with_the_document_held(run_app, autojump_clock):
    feed = Feed()

    def apply_changes(doc, new_data):
        doc.data["foo"].append(new_data)

    async def listen_for_changes(app_context):
        new_data = await feed.fetch_data_from_remote_source()
        for session_context in app_context.sessions:
            session_context.document.add_callback(apply_changes, session_context.document, new_data)

    def on_application_load(app_context):
        app_context.add_callback(lambda: listen_for_changes(app_context))

    async with run_app(locals() | {"modify_document": modify_document}) as app:
        sessions = [await app.open() for _ in range(2)]
        await feed.send.send(7)
        await trio.testing.wait_all_tasks_blocked()
        for session in sessions:
            async with session.locked_document() as doc:
                assert doc.data["foo"] == [7]


async def test_third_sample_a_created_hook_tells_the_load_balancer(run_app, autojump_clock):
    told = []

    async def notify_my_load_balancer(session_id):
        await trio.sleep(1)
        told.append(session_id)

    async def on_session_created(session_context):
        await notify_my_load_balancer(session_context.id)

    async with run_app(locals() | {"modify_document": modify_document}) as app:
        session = await app.open()
        assert told == [session.id]


async def test_fourth_sample_a_created_hook_destroys_the_session(run_app, autojump_clock):
    built = []

    def check_signature(session_id):
        return session_id == "signed"

    def on_session_created(session_context):
        if not check_signature(session_context.id):
            session_context.destroy()

    def modify_document(doc):
        built.append(doc.session_context.id)

    async with run_app(locals()) as app:
        outcome = await app.outcome("forged")
        assert type(outcome).__name__ == "Refused"
        assert outcome.reason == ""
        await app.open("signed")
        assert built == ["signed"]


async def test_the_loop_of_the_seed_never_fails_while_visitors_come_and_leave(run_app, autojump_clock):
    rounds = 0

    async def listen_for_changes(app_context):
        nonlocal rounds
        while True:
            for session_context in app_context.sessions:
                async with session_context.locked_document() as doc:
                    doc.data["foo"].append(rounds)
                    await trio.sleep(0.03)
            rounds += 1
            await trio.sleep(0.01)

    def on_application_load(app_context):
        app_context.add_callback(listen_for_changes, app_context)

    async with run_app(locals() | {"modify_document": modify_document}) as app:

        async def visit(number):
            await trio.sleep(number * 0.017)
            session = await app.open()
            await trio.sleep(0.05 + (number % 7) * 0.02)
            session.destroy()
            await session.wait_destroyed()

        async with trio.open_nursery() as visitors:
            for number in range(60):
                visitors.start_soon(visit, number)
        assert rounds > 3
        assert len(app.context.sessions) == 0


async def test_a_hook_asks_a_session_and_uses_the_answer(run_app, autojump_clock):
    class HowMany:
        pass

    @receives(HowMany)
    def on_how_many(doc, message):
        return len(doc.data["foo"])

    answers = []
    application = []

    def on_application_load(app_context):
        application.append(app_context)

    async def on_session_created(session_context):
        answers.extend([await other.ask(HowMany()) for other in application[0].sessions])

    async with run_app(locals() | {"modify_document": modify_document}) as app:
        await app.open()
        await app.open()
        assert answers == [0]

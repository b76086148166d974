"""An app whose handler calls what it is told to: for apps that leave something behind."""

import attrs
import trio

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.session.receivers import receives


@attrs.frozen
class Do:
    """Have the session's handler call this function."""

    func: object


@receives(Do)
def on_do(doc, message):
    return message.func(doc)


def modify_document(doc):
    doc.data["n"] = 0


def make_app(**hooks):
    return Application(
        [NamespaceHandler({"modify_document": modify_document, "on_do": on_do, **hooks}, where="shop")], name="shop"
    )


async def do(app, func):
    session = await app.new_session()
    await session.context.ask(Do(func))
    return session


async def sleep_long():
    await trio.sleep_forever()


def add_system_task(doc):
    trio.lowlevel.spawn_system_task(sleep_long)


def line_of(func):
    return func.__code__.co_firstlineno + 1

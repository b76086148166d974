"""Apps whose pages are asked for, and the servers that serve them."""

import contextlib

import trio

from supervisor.application.handlers import Application, NamespaceHandler
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.testing.http import get
from supervisor.testing.memory import MemoryListener


def app_of(directory=None, name="app", **namespace):
    return Application(NamespaceHandler(namespace, where=name, directory=directory), name=name)


@contextlib.asynccontextmanager
async def serving(*applications, **options):
    """A server of several applications; gives a function that asks it for a page."""
    server, listener = Server(applications, options=ServerOptions(**options)), MemoryListener()

    async def ask(target, **headers):
        return await get(await listener.connect(), target, headers=list(headers.items()))

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        yield ask
        server.stop()


def template(directory, text):
    (directory / "templates").mkdir()
    (directory / "templates" / "index.html").write_text(text)
    return directory

"""A whole server in memory, which most tests here need."""

import socket
from types import SimpleNamespace

import trio

from supervisor.application.handlers import Application, Handler, NamespaceHandler
from supervisor.testing.app import RunningApp
from supervisor.testing.http import get
from supervisor.testing.incidents import Incidents
from supervisor.testing.kit import Kit

MACHINE = socket.gethostname()


def app_of(name="app", **namespace):
    return Application(NamespaceHandler(namespace, where=name), name=name)


class Log(Incidents):
    """Everything that was reported, in order."""

    def __init__(self):
        super().__init__()
        self.events = []
        self.refusals = []
        self.failed_applications = []

    def application_failed(self, *, application, reason, incident):
        self.failed_applications.append((application, reason, incident))

    def application_loaded(self, *, application):
        self.events.append(f"{application} loaded")

    def application_unloaded(self, *, application):
        self.events.append(f"{application} unloaded")

    def session_destroyed(self, *, application, session, reason):
        self.events.append(f"session destroyed: {reason}")

    def connection_attached(self, *, application, session, connection, resumed):
        self.events.append("attached")

    def connection_detached(self, *, application, session, connection, code):
        self.events.append(f"detached {code}")

    def connection_refused(self, *, application, reason):
        self.refusals.append(reason)


class Run:
    """A server that runs over memory streams in a task of its own."""

    def __init__(self, server, listener, log):
        self.server, self.listener, self.log = server, listener, log
        self.scope = trio.CancelScope()
        self.outcome = None
        self.ended_at = None

    async def run(self, task_status=trio.TASK_STATUS_IGNORED):
        try:
            with self.scope:
                await self.server.serve([self.listener], task_status=task_status)
        finally:
            self.ended_at = trio.current_time()

    async def get(self, target="/app", **headers):
        return await get(await self.listener.connect(), target, headers=list(headers.items()))

    async def ask(self, *lines, target="/app"):
        """The answer's status to a raw head."""
        stream = await self.listener.connect()
        await stream.send_all(b"\r\n".join([b"GET %s HTTP/1.1" % target.encode(), *lines]) + b"\r\n\r\n")
        data = await stream.receive_some()
        await stream.aclose()
        return int(data.split()[1])

    def clients(self, nursery, name="app"):
        """The testing kit's view of one application."""
        return RunningApp(
            SimpleNamespace(server=self.server, actor=self.server.applications[name], transport=self.listener),
            nursery,
            Kit(seen=self.log),
        )


UPGRADE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
SOCKET = "/app/-/websocket"


class Recording(Handler):
    """A handler whose hooks are recorded with their time; each takes as long as it is told."""

    def __init__(self, log, name="", **seconds):
        self._log, self._name, self._seconds = log, name, seconds

    async def _call(self, hook):
        self._log.append((f"{self._name}{hook} begins", trio.current_time()))
        await trio.sleep(self._seconds.get(hook, 0))
        self._log.append((f"{self._name}{hook} ends", trio.current_time()))

    async def on_application_load(self, app_context):
        app_context.add_callback(self._produce)
        await self._call("load")

    async def on_application_unload(self, app_context):
        assert len(app_context.sessions) == 0
        await self._call("unload")

    async def on_session_created(self, session_context):
        await self._call("created")

    async def on_session_destroyed(self, session_context):
        await self._call("destroyed")

    async def _produce(self):
        try:
            await trio.sleep_forever()
        finally:
            self._log.append(("producer ends", trio.current_time()))

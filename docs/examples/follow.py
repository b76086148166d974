"""A client of the wire in asyncio, with the package websockets: it follows a document, and sends messages.

python follow.py http://localhost:5006/ticker
"""

import asyncio
import html
import json
import random
import re
import sys
import urllib.request
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

STAYS_AWAY = {1000, 1009, 4400, 4403, 4410}
LOADS_ANEW = {4401, 4404}
SAYS_WHEN = {1012, 1013, 4429}


class Ended(Exception):
    """The server wants no more of this client: `args` are the close code and the reason."""


class SendFailed(Exception):
    """A message was not done, or can't be known to be: `args` are the kind and the text."""


class Follower:
    """A client of one session. Run `run()` in a task; `data` is the mirror, and `on_change(data)` hears of changes."""

    def __init__(self, url, *, on_change=lambda data: None, headers=None, ssl=None):
        self.url, self.on_change, self.headers, self.ssl = url, on_change, headers or {}, ssl
        self.data, self.revision = None, -1
        self.attached = None  # the last message of this type: who we are, and what admits us
        self.confirmed = 0  # all answers up to this number have come
        self.socket = None  # while we are attached
        self.turn = asyncio.Lock()  # one message at a time, so the window of 64 is never full
        self.pending = self.outcome = None  # the message that has no answer yet, and its future

    async def send(self, name, **fields):
        """Send a message, and wait for the answer; it is sent again, and done once, if the connection is lost."""
        async with self.turn:
            self.pending = {"type": "send", "name": name, "fields": fields}
            self.outcome = asyncio.get_running_loop().create_future()
            await self._write_pending()
            return await self.outcome

    async def run(self):
        """Stay connected until the server ends it; raises `Ended` then."""
        attempt, went_live = 0, False
        meta = await asyncio.to_thread(self._read_page)
        while True:
            closing = await self._talk(meta)
            code = closing.get("code")
            if self.revision >= 0:
                attempt, went_live = 0, True
            if code in STAYS_AWAY or (code in LOADS_ANEW and not went_live):
                raise Ended(code, closing["reason"])
            if code in LOADS_ANEW:
                meta = await asyncio.to_thread(self._read_page)
                self.attached, self.revision, went_live = None, -1, False
            elif code in SAYS_WHEN and closing["retry_after"] is not None:
                await asyncio.sleep(closing["retry_after"])
            else:
                await asyncio.sleep(random.uniform(0.5, 1) * min(30, 0.5 * 2**attempt))
                attempt += 1

    async def _talk(self, meta):
        """Have one connection, to its end; returns the server's message `closing`, as far as there was one."""
        closing = {}
        try:
            async with connect(self._address(meta["websocket"]), ssl=self.ssl, max_size=None) as socket:
                try:
                    await socket.send(json.dumps(self._first_frame(meta["token"])))
                    async for frame in socket:
                        message = json.loads(frame)
                        if message["type"] == "closing":
                            closing = message
                        else:
                            await self._receive(message, socket)
                except ConnectionClosed:
                    pass  # the same, with a code that says why
                except (LookupError, TypeError, ValueError):  # one of us is wrong: begin anew with a snapshot
                    self.revision = -1
                    await socket.close(4400)
                    return closing
                return closing or {"code": socket.close_code, "reason": socket.close_reason, "retry_after": None}
        except (OSError, WebSocketException):
            return closing  # the server was not reached
        finally:
            self.socket = None

    def _read_page(self):
        """What the page tells its own client: session, token, and the path of the websocket."""
        request = urllib.request.Request(self.url, headers=self.headers)
        with urllib.request.urlopen(request, context=self.ssl, timeout=30) as page:
            found = re.search(r'<meta name="supervisor" content="([^"]*)">', page.read().decode())
        return json.loads(html.unescape(found[1]))

    def _address(self, path):
        parts = urlsplit(self.url)
        return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"

    def _first_frame(self, token):
        if self.attached is None:
            return {"type": "attach", "token": token}
        known = {name: self.attached[name] for name in ("session", "key", "client", "epoch")}
        return {"type": "resume", **known, "revision": self.revision, "confirmed": self.confirmed}

    async def _receive(self, message, socket):
        match message["type"]:
            case "attached":
                await self._join(message, socket)
            case "snapshot":
                self.attached["epoch"] = message["epoch"]  # another one: the session was restarted
                self.data, self.revision = message["data"], message["revision"]
                self.on_change(self.data)
            case "patch":
                if message["from"] != self.revision:
                    raise ValueError("a patch for another revision")
                self.data, self.revision = apply(self.data, message["operations"]), message["to"]
                self.on_change(self.data)
            case "answer" | "error" if self.pending and message["number"] == self.pending.get("number"):
                self.confirmed, self.pending = message["number"], None
                if message["type"] == "answer":
                    self.outcome.set_result(message["value"])
                else:
                    self.outcome.set_exception(SendFailed(message["kind"], message["text"]))

    async def _join(self, message, socket):
        before, self.attached, self.socket = self.attached, message, socket
        if not message["resumed"]:
            self.revision = -1
        if before is None or (before["client"], before["epoch"]) != (message["client"], message["epoch"]):
            self.confirmed = 0
            if self.pending and "number" in self.pending:
                self.pending = None
                self.outcome.set_exception(SendFailed("unknown", "it may have been done or not"))
        if self.pending and self.pending.get("number", message["received"] + 1) > message["received"]:
            await self._write_pending()

    async def _write_pending(self):
        if self.socket is not None:
            self.pending.setdefault("number", self.confirmed + 1)  # given when a message is first written
            await self.socket.send(json.dumps({**self.pending, "confirmed": self.confirmed}))


def apply(data, operations):
    """Apply a JSON Patch; raises LookupError, TypeError or ValueError if it doesn't fit."""
    for operation in operations:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]]
        if not steps:
            data = operation["value"]
            continue
        place = data
        for step in steps[:-1]:
            place = place[int(step) if isinstance(place, list) else step]
        last = steps[-1]
        if isinstance(place, list):
            last = len(place) if last == "-" else int(last)
        if operation["op"] == "remove":
            del place[last]
        elif operation["op"] == "add" and isinstance(place, list):
            place.insert(last, operation["value"])
        else:
            place[last] = operation["value"]
    return data


if __name__ == "__main__":
    asyncio.run(Follower(sys.argv[1], on_change=lambda data: print(json.dumps(data), flush=True)).run())

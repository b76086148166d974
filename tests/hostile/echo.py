"""A server whose websocket sends back what it is sent: the real server, with another conversation.

Autobahn's cases need an echo, and our wire is none. So only what is said over a connection is another one here: the
port, the heads, the admission, the websocket with its outbox and its options are the server's own.

Run as a program it takes any port of 127.0.0.1, prints its websocket's address, and serves until its input ends.
"""

import sys
from unittest import mock

import trio

from supervisor.application.handlers import Application, FunctionHandler
from supervisor.protocol.server import ServerConnection
from supervisor.server import Server
from supervisor.server_options import ServerOptions
from supervisor.transport import websocket
from supervisor.transport.frames import text_frame
from supervisor.transport.websocket_options import WebSocketOptions

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of Autobahn's largest messages, in the cases 9.1.6 and 9.2.6."""
_BINARY = 0x82


class Echo:
    """In place of `transport.conversation.Conversation`: no first frame, no session."""

    wire = None
    is_at_the_door = False

    def __init__(self, speaker, door, intake, *, on_first_frame, **limits):
        self.protocol = ServerConnection()
        self._speaker = speaker
        self._on_first_frame = on_first_frame

    async def hold(self, receive):
        while True:
            message = await receive()
            self._on_first_frame()
            if isinstance(message, str):
                frame = text_frame(message.encode())
            else:
                frame = text_frame(message)
                frame = bytes([_BINARY]) + frame[1:]
            self._speaker.announce(frame)

    def be_absent(self):
        pass

    def drained(self):
        pass

    def leave(self, code):
        pass


async def main():
    application = Application([FunctionHandler(lambda doc: None)], name="echo")
    # Messages of that size hold the loop up for longer than ours may, and that would be reported.
    options = ServerOptions(websocket=WebSocketOptions(max_message_size=MAX_MESSAGE), stall_limit=0)
    with mock.patch.object(websocket, "Conversation", Echo):
        async with Server(application, port=0, options=options) as server:
            print(server.urls["echo"].replace("http:", "ws:") + "/-/websocket", flush=True)
            await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run(main)

"""Links that keep order and can break at any moment, and what both ends of them are in each model of delivery."""

from __future__ import annotations

from collections import deque

import attrs
from hypothesis.stateful import RuleBasedStateMachine

from supervisor.protocol import events
from supervisor.protocol.client import ClientConnection
from supervisor.protocol.feed import Feed
from supervisor.protocol.messages import Attach
from supervisor.protocol.server import ServerConnection

LINGER = 10.0


class Shown(str):
    """A snapshot that a restart shows to those who are there: a backlog is dropped with it, as with patches."""


@attrs.define(eq=False)
class Link:
    """One websocket: two queues of frames, and the server's end."""

    up: deque[str] = attrs.Factory(deque)
    down: deque[str] = attrs.Factory(deque)
    server: ServerConnection = attrs.Factory(ServerConnection)
    client_id: str | None = None


class LinkedServer:
    """The end of a session. A model adds a `feed`, and the document, of which `state` tells."""

    feed: Feed

    def __init__(self):
        self.now = 0.0
        self.links: list[Link] = []

    def state(self):
        """What a snapshot is made of: `{"revision": …, "data": …}`, the data as JSON."""
        raise NotImplementedError

    def attach(self, link, message):
        """The first frame of a link has come: answer it, with all that its client missed."""
        given = {"revision": self.state()["revision"], "now": self.now}
        if isinstance(message, Attach):
            attachment = self.feed.attach(**given)
        else:
            assert self.feed.admits(message.key)
            attachment = self.feed.resume(message, **given)
            for older in [one for one in self.links if one.client_id == attachment.client]:
                self.lose(older)
        link.client_id = attachment.client
        state = attachment.missed
        if state is None:
            state = (self.feed.snapshot(**self.state()),)
        link.down.extend(each.decode() for each in (*attachment.before, *state, *attachment.after))

    def broadcast(self, message):
        for link in self.links:
            if link.client_id is not None:
                link.down.append(message.decode())

    def show(self):
        """As a session does that was restarted: those who are there get the other document at once."""
        frame = self.feed.snapshot(**self.state()).decode()
        for link in self.links:
            if link.client_id is not None:
                link.down.append(Shown(frame))

    def answer(self, client_id, number, message, *, edited=False):
        if self.feed.answered(client_id, number, message, edited=edited):
            for link in self.links:
                if link.client_id == client_id:
                    link.down.append(message.decode())

    def lose(self, link):
        if link in self.links:
            self.links.remove(link)
            if link.client_id is not None:
                self.feed.detach(link.client_id, self.now)


class LinkedPage:
    """The end of one client. A model adds what the client does, and `receive`."""

    def __init__(self, name, server):
        self.name = name
        self.server = server
        self.client = ClientConnection(token="t")
        self.link: Link | None = None
        # The ids that it was given, one after the other.
        self.ids: set[str] = set()

    def connect(self):
        self.link = Link()
        self.server.links.append(self.link)
        self.link.up.append(self.client.opened())

    def lose(self):
        self.link = None
        assert isinstance(self.client.closed(1006, random=0.5), events.Reconnect)


class Linked(RuleBasedStateMachine):
    """A model: a `server`, and `pages`. It makes rules of these methods."""

    server: LinkedServer
    pages: list[LinkedPage]

    def connect(self, page):
        if self.pages[page].link is None:
            self.pages[page].connect()

    def carry_up(self, page, count):
        link = self.pages[page].link
        while link is not None and link in self.server.links and link.up and count:
            self.server.receive(link, link.up.popleft())
            count -= 1

    def carry_down(self, page, count):
        link = self.pages[page].link
        while link is not None and link.down and count:
            self.pages[page].receive()
            count -= 1

    def break_link(self, page, noticed):
        """Frames on their way are lost; the server may notice only when the client takes over, or never."""
        link = self.pages[page].link
        if link is not None:
            self.pages[page].lose()
            if noticed:
                self.server.lose(link)

    def reconnect(self, page):
        """Have a link that the server knows."""
        one = self.pages[page]
        if one.link is not None and one.link not in self.server.links:
            one.lose()
        self.connect(page)

    def begin_another_epoch(self, again):
        """Rarely, because it ends all that was going on."""
        if again == 0:
            for page in self.pages:
                if page.link is not None:
                    page.lose()
            self.server.begin_epoch()

"""HAProxy, as it is told at run time: a map from session ids to the servers that have them.

The commands are those of HAProxy's management guide, "9.3. Unix Socket commands": a line, answered by some lines, and
then HAProxy closes the connection.
"""

from __future__ import annotations

import trio

TIMEOUT = 2.0
"""Seconds that HAProxy may take to answer; it needs less than a thousandth of one."""


class BalancerError(Exception):
    """HAProxy did not do what it was told."""


class Balancer:
    """One map of one HAProxy, and what this server has entered into it."""

    def __init__(self, *, socket: str, map: str, node: str) -> None:
        self._socket, self._map, self._node = socket, map, node
        # The sessions that are here, whatever HAProxy says.
        self._here: set[str] = set()

    async def enter(self, id: str) -> None:
        """From now on, HAProxy leads who asks for this session to us.

        Raises:
            OSError, trio.TooSlowError, BalancerError: it can't be told.
        """
        self._here.add(id)
        try:
            await self._write(id)
        except BaseException:
            self._here.discard(id)
            raise

    async def leave(self, id: str) -> None:
        """The session is over. If it began anew elsewhere meanwhile, that is another's entry and stays."""
        self._here.discard(id)
        if (await self.read()).get(id) == self._node:
            await self._ask(f"del map {self._map} {id}")

    async def repair(self) -> None:
        """Make the map say what is the case: HAProxy, started anew, knows nothing; and we may have been killed."""
        known = await self.read()
        for id in [id for id in self._here if known.get(id) != self._node]:
            await self._write(id)
        for id in [id for id, node in known.items() if node == self._node and id not in self._here]:
            await self._ask(f"del map {self._map} {id}")

    async def read(self) -> dict[str, str]:
        """All sessions that HAProxy knows of, and their servers."""
        answer = await self._ask(f"show map {self._map}")
        rows = [line.split() for line in answer.splitlines() if line.startswith("0x")]  # address, key, value
        return {id: node for _, id, node in rows}

    async def _write(self, id: str) -> None:
        # `set` changes an entry and `add` makes one, a second one if there is one.
        if "not found" in await self._ask(f"set map {self._map} {id} {self._node}"):
            answer = await self._ask(f"add map {self._map} {id} {self._node}")
            if answer.strip():
                raise BalancerError(f"HAProxy can't lead anybody to session {id}: {answer.strip()}")

    async def _ask(self, command: str) -> str:
        """A session id has no character that would mean anything in a command: the server takes no other ids."""
        answer = b""
        with trio.fail_after(TIMEOUT):
            async with await trio.open_unix_socket(self._socket) as stream:
                await stream.send_all(command.encode() + b"\n")
                async for data in stream:
                    answer += data
        if b"Unknown map" in answer:
            raise BalancerError(f"HAProxy has no map {self._map}: its configuration must name it the same")
        return answer.decode()

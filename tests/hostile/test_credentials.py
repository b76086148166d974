"""Tokens and keys that are replayed, expired, forged, of another place or of a rotated key, shown to a whole server."""

import json

import attrs
import pytest
import trio

from supervisor.identity import KeyRing

from .arena import HANDSHAKE, KEYS, NOW, attack, judge_frames, send, text_frame

OLD, NEW = b"k" * 32, b"n" * 32


@attrs.frozen
class Outcome:
    messages: list
    codes: list

    @property
    def attached(self):
        return next((message for message in self.messages if message["type"] == "attached"), None)


async def show(arena, **first):
    """Open a websocket with that first frame, and leave after a second."""
    stream = await arena.connect()
    await send(stream, [HANDSHAKE, text_frame(json.dumps(first).encode())])
    received = b""
    with trio.move_on_after(1):
        while more := await stream.receive_some():
            received += more
    await stream.aclose()
    received = received.partition(b"\r\n\r\n")[2]
    decoder, messages = json.JSONDecoder(), []
    text = received.decode("latin-1")
    while (at := text.find('{"type"')) >= 0:
        message, end = decoder.raw_decode(text, at)
        messages.append(message)
        text = text[end:]
    return Outcome(messages, judge_frames(received))


def test_a_token_that_is_used_again_leads_to_its_own_session_until_it_expires():
    """It is what stands in a page: a second tab that was made of the first one has it too."""

    async def attacker(arena):
        page = await arena.page()
        for _ in range(2):
            assert (await show(arena, type="attach", token=page["token"])).attached["session"] == page["session"]
        await trio.sleep(301)
        outcome = await show(arena, type="attach", token=page["token"])
        assert (outcome.attached, outcome.codes) == (None, [4401])

    attack(attacker)


def test_a_token_of_a_session_that_is_gone_is_4404():
    async def attacker(arena):
        page = await arena.page()
        await trio.sleep(30)
        outcome = await show(arena, type="attach", token=page["token"])
        assert (outcome.attached, outcome.codes) == (None, [4404])

    attack(attacker)


@pytest.mark.parametrize(
    ("ring", "admitted"),
    [(KeyRing((OLD, NEW)), True), (KeyRing((NEW, OLD)), True), (KeyRing((NEW,)), False)],
    ids=["a newer one was added", "it is the newest", "it was taken away"],
)
def test_a_token_of_a_rotated_key(ring, admitted, monkeypatch):
    async def attacker(arena):
        page = await arena.page()
        assert KEYS.keys == (OLD,)
        arena.app.server._credentials._keys = ring
        outcome = await show(arena, type="attach", token=page["token"])
        assert outcome.codes == ([] if admitted else [4401])
        assert (outcome.attached is not None) == admitted

    attack(attacker)


@pytest.mark.parametrize("changed", ["session", "key", "epoch", "client", "revision", "confirmed"])
def test_a_resume_needs_the_session_and_its_key(changed):
    """The rest says how far the client is: what is wrong there costs it a snapshot, or its own connection."""

    async def attacker(arena):
        mine = (await show(arena, type="attach", token=(await arena.page())["token"])).attached
        [witness] = [session for session in arena.app.sessions if session.id != mine["session"]]
        resume = {name: mine[name] for name in ("session", "key", "client", "epoch")}
        resume |= {"type": "resume", "revision": 1, "confirmed": 0}
        outcome = await show(arena, **resume)
        assert outcome.attached["session"] == mine["session"]
        other = {"session": witness.id, "key": "x" * 22, "epoch": "x", "client": "x", "revision": 99, "confirmed": 99}
        outcome = await show(arena, **resume | {changed: other[changed]})
        if changed in ("session", "key"):
            assert (outcome.attached, outcome.codes) == (None, [4404])
        elif outcome.attached is not None:
            assert outcome.attached["session"] == mine["session"]
        else:
            assert outcome.codes == [4400]

    attack(attacker)


def test_a_key_that_is_replayed_after_the_end_is_4404():
    async def attacker(arena):
        mine = (await show(arena, type="attach", token=(await arena.page())["token"])).attached
        resume = {name: mine[name] for name in ("session", "key", "client", "epoch")}
        await trio.sleep(30)
        assert trio.current_time() > NOW
        outcome = await show(arena, **resume, type="resume", revision=1, confirmed=0)
        assert (outcome.attached, outcome.codes) == (None, [4404])

    attack(attacker)

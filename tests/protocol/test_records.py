from __future__ import annotations

import msgspec
import pytest

from supervisor.errors import ProtocolError
from supervisor.protocol.messages import Edit, Send
from supervisor.protocol.records import ClientRecord, New, Repeated


def send(number, confirmed=0):
    return Send(number=number, name="Watch", fields=msgspec.Raw(b"{}"), confirmed=confirmed)


def record(received, answered=()):
    client = ClientRecord("c", "p")
    for number in range(1, received + 1):
        assert client.accept(send(number)) == New()
    for number in answered:
        client.keep(number, b"%d" % number)
    return client


def test_numbers_rise_by_one():
    client = record(2)
    with pytest.raises(ProtocolError, match="send 4 follows send 2: a number was left out"):
        client.accept(send(4))
    assert client.accept(send(3)) == New()
    assert client.received == 3


def test_a_repeat_gets_its_answer_again_if_there_is_one():
    client = record(2, answered=[2])
    assert client.accept(send(1)) == Repeated(())
    assert client.accept(send(2)) == Repeated((b"2",))
    assert client.received == 2


def test_a_repeat_of_what_was_confirmed_gets_nothing():
    client = record(2, answered=[1, 2])
    assert client.accept(send(3, confirmed=2)) == New()
    assert client.accept(send(1)) == Repeated(())


def test_answers_are_kept_by_number_until_confirmed():
    client = record(3, answered=[3, 1, 2])
    assert client.kept() == (b"1", b"2", b"3")
    client.accept(send(4, confirmed=2))
    assert client.kept() == (b"3",)
    client.confirm(3)
    assert client.kept() == ()


def test_an_older_confirmation_changes_nothing():
    client = record(3, answered=[1, 2, 3])
    client.confirm(3)
    client.confirm(1)
    assert client.confirmed == 3


@pytest.mark.parametrize("confirmed", [2, 3, 9])
def test_what_was_not_answered_cannot_be_confirmed(confirmed):
    client = record(3, answered=[1, 3])
    with pytest.raises(ProtocolError, match="but answer 2 was not given yet"):
        client.confirm(confirmed)
    assert client.kept() == (b"1", b"3")


def test_what_was_not_received_cannot_be_confirmed():
    with pytest.raises(ProtocolError, match="answer 4 was confirmed, but answer 4 was not given yet"):
        record(3, answered=[1, 2, 3]).confirm(4)


def test_a_send_cannot_confirm_itself():
    with pytest.raises(ProtocolError, match="send 1 confirms answer 1, which it can't have"):
        record(0).accept(send(1, confirmed=1))


def test_the_window_is_64():
    client = record(64, answered=range(1, 64))
    with pytest.raises(ProtocolError, match="send 65 is more than 64 ahead of the last confirmed answer, 0"):
        client.accept(send(65))
    assert client.accept(send(65, confirmed=1)) == New()
    with pytest.raises(ProtocolError):
        client.accept(send(66, confirmed=1))
    assert len(client.kept()) == 62


def test_the_highest_answer_that_was_let_go_is_known_whatever_is_let_go_later():
    client = record(3, answered=[2, 3])
    client.let_go()
    client.keep(1, b"1")
    client.let_go()
    client.let_go()
    assert (client.lost, client.size, client.kept()) == (3, 0, ())


@pytest.mark.parametrize("number", [0, 2, 4])
def test_an_answer_to_what_does_not_wait_for_one_is_a_mistake(number):
    with pytest.raises(ValueError, match=f"send {number} of client 'c' isn't waiting for an answer"):
        record(3, answered=[2]).keep(number, b"x")


def test_another_epoch_begins_with_another_bridge_and_all_else_stays():
    record = ClientRecord("c-1", "p-1")
    record.accept(Edit(number=1, base=7, op="remove", path=("a",), confirmed=0))
    bridge = record.bridge
    record.begin_epoch()
    assert record.bridge is not bridge
    assert (record.bridge.base, record.received) == (7, 1)

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import ProtocolError
from supervisor.protocol import messages
from supervisor.protocol.messages import decode_client_message, decode_server_message, encode

ATTACH = {"type": "attach", "token": "t"}
RESUME = {
    "type": "resume",
    "session": "s",
    "key": "k",
    "client": "c",
    "epoch": "e",
    "revision": 17,
    "confirmed": 3,
}
SEND = {"type": "send", "number": 4, "name": "Watch", "fields": {"a": [1]}, "confirmed": 3}


def refusal(frame, decode=decode_client_message):
    with pytest.raises(ProtocolError) as caught:
        decode(frame)
    assert caught.value.code == 4400
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize("message", [ATTACH, RESUME, SEND, {**RESUME, "revision": -1, "epoch": ""}])
def test_client_messages_go_round(message):
    decoded = decode_client_message(json.dumps(message))
    assert json.loads(encode(decoded)) == message


@pytest.mark.parametrize(
    "message",
    [
        messages.Attached(
            session="s", client="c", peer="p", key="k", epoch="e", revision=17, resumed=True, received=5, editable=()
        ),
        messages.Snapshot(epoch="e", revision=17, data={"a": None}),
        messages.Patch(
            base=16,
            revision=18,
            operations=[
                messages.Add(path="/a", value=None),
                messages.Replace(path="/b", value=1),
                messages.Remove(path="/c"),
            ],
        ),
        messages.Answer(number=4, value=None),
        messages.Error(number=4, kind="failed", text="x", incident="ab12cd34"),
        messages.Restarting(after=1.5),
        messages.Alive(),
        messages.Closing(code=1012, reason="restarting", retry_after=1.5),
    ],
)
def test_server_messages_go_round(message):
    assert decode_server_message(encode(message).decode()) == message


def test_a_patch_has_the_names_of_the_wire():
    frame = '{"type":"patch","from":1,"to":2,"operations":[{"op":"remove","path":"/a"}]}'
    assert encode(decode_server_message(frame)).decode() == frame


@pytest.mark.parametrize("message", [ATTACH, RESUME, SEND])
def test_every_field_is_needed_and_no_other_is_taken(message):
    for name in message:
        refusal(json.dumps({key: value for key, value in message.items() if key != name}))
    assert "`extra`" in refusal(json.dumps({**message, "extra": 1}))


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"number": "4"},
        {"number": 4.5},
        {"number": True},
        {"number": 2**53},
        {"name": ""},
        {"name": "x" * 257},
        {"name": None},
        {"fields": []},
        {"fields": "x"},
        {"fields": None},
        {"confirmed": -1},
        {"type": "attached"},
        {"type": "x" * 2000},
        {"type": 1},
    ],
)
def test_wrong_fields_of_a_send_are_refused(change):
    assert refusal(json.dumps({**SEND, **change})).startswith("not a message of this wire: ")


@pytest.mark.parametrize(
    "change",
    [{key: "x" * 257} for key in ("session", "key", "client", "epoch")]
    + [{"revision": -2}, {"revision": 2**53}, {"confirmed": -1}, {"session": ""}],
)
def test_wrong_fields_of_a_resume_are_refused(change):
    refusal(json.dumps({**RESUME, **change}))


def test_a_token_has_a_bound():
    refusal(json.dumps({**ATTACH, "token": "x" * 4097}))
    refusal(json.dumps({**ATTACH, "token": ""}))


@pytest.mark.parametrize("decode", [decode_client_message, decode_server_message])
@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "null",
        "[]",
        '"attach"',
        "{}",
        "NaN",
        "\ud800",
        '"\\ud800x"',
        "[" * 100_000,
        '{"type":"send","number":1,"name":"x","confirmed":0,"fields":' + '{"a":' * 100_000,
        '{"type":"answer","number":1,"value":' + "[" * 100_000,
        '{"type":"answer","number":1,"value":1e999}',
    ],
)
def test_no_text_breaks_the_decoders(frame, decode):
    refusal(frame, decode)


@pytest.mark.parametrize("decode", [decode_client_message, decode_server_message])
def test_binary_frames_are_refused(decode):
    assert "binary" in refusal(json.dumps(ATTACH).encode(), decode)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_decoded_or_refused(frame):
    refusal(frame)
    refusal(frame, decode_server_message)


@pytest.mark.parametrize("frame", ['{"type":"hello"}', '{"a":[1],"type":"attach"}', '{"type":""}'])
def test_what_a_later_server_may_say_is_told_from_what_none_may(frame):
    assert decode_server_message(frame) is None
    refusal(frame.replace('"type"', '"kind"'), decode_server_message)


@pytest.mark.parametrize(("base", "revision"), [(3, 3), (3, 2)])
def test_a_patch_leads_forward(base, revision):
    frame = json.dumps({"type": "patch", "from": base, "to": revision, "operations": []})
    assert f"a patch from {base} to {revision}" in refusal(frame, decode_server_message)


def test_secrets_are_in_no_repr():
    attach = decode_client_message(json.dumps({**ATTACH, "token": "secret"}))
    resume = decode_client_message(json.dumps({**RESUME, "key": "secret", "session": "hidden"}))
    attached = messages.Attached(
        session="hidden",
        client="c",
        peer="p",
        key="secret",
        epoch="e",
        revision=1,
        resumed=True,
        received=0,
        editable=(),
    )
    for message in (attach, resume, attached):
        assert "secret" not in repr(message)
        assert "hidden" not in repr(message)


def test_answers_errors_and_closings_are_encoded():
    assert messages.encode_answer(4, {"a": None}) == b'{"type":"answer","number":4,"value":{"a":null}}'
    assert json.loads(messages.encode_error(4, "failed", "sorry", "ab12cd34")) == {
        "type": "error",
        "number": 4,
        "kind": "failed",
        "text": "sorry",
        "incident": "ab12cd34",
    }
    assert json.loads(messages.encode_closing(1012, "restarting", 1.75)) == {
        "type": "closing",
        "code": 1012,
        "reason": "restarting",
        "retry_after": 1.75,
    }


def test_an_answer_that_json_cannot_carry_is_refused():
    with pytest.raises(ValueError, match="the answer can't be sent as JSON: NaN"):
        messages.encode_answer(1, float("nan"))
    with pytest.raises(TypeError, match="the answer can't be sent as JSON"):
        messages.encode_answer(1, object())


def test_texts_that_repeat_a_peer_are_cut():
    assert messages.shorten("x" * 500) == "x" * 500
    assert messages.shorten("x" * 501) == "x" * 499 + "…"

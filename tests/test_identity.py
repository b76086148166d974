"""Session ids and tokens."""

import base64
import hmac
import math
import re
import secrets

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.identity import MAX_ID, IdRefused, KeyRing, TokenRefused, is_well_formed, new_id

OLD, NEW, OTHER = b"old key, 16 byte", b"new key, 16 byte", b"other key, 16 by"
NOW = 1_700_000_000.0
WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCXYZ0189._~-", min_size=1, max_size=MAX_ID)


def sign(*keys, id="s1", purpose="attach to app", now=NOW):
    return KeyRing(keys).sign(id, purpose=purpose, now=now)


def check(token, *keys, purpose="attach to app", now=NOW, max_age=300):
    return KeyRing(keys).check(token, purpose=purpose, now=now, max_age=max_age)


# Ids.


def test_an_id_has_128_bits_of_the_entropy_it_is_given():
    asked = []

    def entropy(size):
        asked.append(size)
        return bytes(range(size))

    assert new_id(entropy) == "AAECAwQFBgcICQoLDA0ODw"
    assert asked == [16]


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=2, max_size=2, unique=True))
def test_other_entropy_gives_another_id(entropies):
    first, second = (new_id(lambda _, drawn=drawn: drawn) for drawn in entropies)
    assert first != second
    assert len(first) == 22
    assert is_well_formed(first)


def test_ids_of_the_system_differ():
    assert len({new_id(secrets.token_bytes) for _ in range(1000)}) == 1000


@given(WORDS)
def test_plain_words_are_well_formed(id):
    assert is_well_formed(id)


@pytest.mark.parametrize(
    "id", ["", "a" * 129, "a b", "a/b", "a?b", "a%20b", "ä", "a\n", "\na", "a\x00", "a+b", "a=b", "①"]
)
def test_what_would_need_escaping_is_not_well_formed(id):
    assert not is_well_formed(id)


# Tokens.


@given(id=WORDS, purpose=WORDS, now=st.floats(0, 4e9), age=st.floats(0, 298))
def test_a_token_gives_back_the_id_that_was_signed(id, purpose, now, age):
    token = sign(NEW, id=id, purpose=purpose, now=now)
    assert check(token, NEW, purpose=purpose, now=now + age) == id


def test_a_token_is_plain_text_that_needs_no_escaping():
    assert sign(NEW, id="a~b").isascii()
    assert is_well_formed(sign(NEW, id="a~b"))


@pytest.mark.parametrize(("age", "accepted"), [(0, True), (299, True), (300, True), (301.5, False), (1e9, False)])
def test_a_token_expires(age, accepted):
    token = sign(NEW)
    if accepted:
        assert check(token, NEW, now=NOW + age) == "s1"
    else:
        with pytest.raises(TokenRefused, match="expired"):
            check(token, NEW, now=NOW + age)


def test_a_token_may_live_for_ever():
    assert check(sign(NEW), NEW, now=NOW + 1e9, max_age=math.inf) == "s1"


@pytest.mark.parametrize("ahead", [0.5, 10, 300])
def test_a_token_of_the_near_future_is_as_good_as_new(ahead):
    """The wall clock was set back after the page was served, or another server that has our key is ahead."""
    assert check(sign(NEW, now=NOW + ahead), NEW, now=NOW) == "s1"


def test_a_token_of_the_far_future_is_refused():
    """The wall clock was set back by more than NTP ever does, or somebody else has our key."""
    with pytest.raises(TokenRefused, match="dated in the future"):
        check(sign(NEW, now=NOW + 302), NEW, now=NOW)
    assert check(sign(NEW, now=NOW + 302), NEW, now=NOW, max_age=math.inf) == "s1"


def test_a_token_of_another_use_is_refused():
    with pytest.raises(TokenRefused, match="not one of ours"):
        check(sign(NEW, purpose="attach to other"), NEW)


def test_a_token_of_another_key_is_refused():
    with pytest.raises(TokenRefused, match="not one of ours"):
        check(sign(OTHER), NEW)


@given(st.data())
def test_a_token_that_was_changed_is_refused(data):
    token = sign(NEW)
    place = data.draw(st.integers(0, len(token) - 2))  # the last digit carries bits that mean nothing
    digit = data.draw(st.characters(codec="utf-8").filter(lambda digit: digit != token[place]))
    with pytest.raises(TokenRefused):
        check(token[:place] + digit + token[place + 1 :], NEW)


@given(st.text(max_size=400))
def test_no_text_breaks_the_check(text):
    with pytest.raises(TokenRefused):
        check(text, NEW)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "\ud800", "é.é.é", "." * 4000, f".{sign(NEW)}"])
def test_damaged_tokens_are_refused(text):
    with pytest.raises(TokenRefused):
        check(text, NEW)


def test_what_was_signed_by_us_but_is_no_id_is_refused():
    """A key that another program signs with too."""
    ring = KeyRing((NEW,))
    token = ring._serializer("attach to app", NOW).dumps(["no", "id"])
    with pytest.raises(TokenRefused, match="not one of ours"):
        ring.check(token, purpose="attach to app", now=NOW, max_age=300)


def test_a_refusal_says_nothing_of_the_token():
    token = sign(OTHER, id="secret-id")
    with pytest.raises(TokenRefused) as refused:
        check(token, NEW)
    assert "secret-id" not in str(refused.value)
    assert token not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


# Keys.


def test_keys_can_be_changed_in_turn():
    """1. old 2. old and new: the new one signs, both are accepted 3. new: what the old one signed is refused."""
    of_old, of_both = sign(OLD), sign(OLD, NEW)
    assert of_both == sign(NEW)
    assert check(of_old, OLD, NEW) == check(of_both, OLD, NEW) == check(of_both, NEW) == "s1"
    with pytest.raises(TokenRefused):
        check(of_old, NEW)
    with pytest.raises(TokenRefused):
        check(of_both, OLD)


@pytest.mark.parametrize("keys", [(), (b"",), (b"fifteen bytes..",), (NEW, b"short")])
def test_a_ring_without_keys_or_with_short_ones_is_refused(keys):
    with pytest.raises(ValueError, match="at least 16 bytes") as refused:
        KeyRing(keys)
    assert "short" not in str(refused.value)


def test_a_ring_does_not_show_its_keys():
    ring = KeyRing((OLD, NEW))
    for shown in (repr(ring), str(ring), f"{ring}"):
        assert shown == "<KeyRing of 2>"


def test_a_ring_cannot_be_changed():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        KeyRing((NEW,)).keys = (OLD,)
    with pytest.raises(AttributeError):
        KeyRing((NEW,)).keys.append(OLD)


# Signed ids, as they stand in links.


def read(signed, *keys, now=NOW):
    return KeyRing(keys).read_id(signed, now=now)


@given(id=WORDS, expires=st.none() | st.floats(NOW + 1, 4e9))
def test_a_signed_id_gives_back_the_id_and_needs_no_escaping(id, expires):
    signed = KeyRing((NEW,)).sign_id(id, expires=expires)
    assert read(signed, NEW) == id
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", signed)
    assert signed.startswith(f"{id}.")


def test_a_signed_id_expires_at_its_time():
    signed = KeyRing((NEW,)).sign_id("board", expires=NOW + 60)
    assert read(signed, NEW, now=NOW + 59.9) == "board"
    with pytest.raises(IdRefused, match="expired"):
        read(signed, NEW, now=NOW + 60)


def test_other_programs_can_sign():
    """As the docs tell them to, in any language that has HMAC."""
    key = hmac.digest(NEW, b"session id", "sha256")
    text = f"board.{int(NOW) + 60}"
    signature = base64.urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")).rstrip(b"=").decode()
    assert f"{text}.{signature}" == KeyRing((NEW,)).sign_id("board", expires=NOW + 60)


def test_ids_are_signed_by_the_newest_key_and_accepted_by_all():
    of_both = KeyRing((OLD, NEW)).sign_id("board", expires=None)
    assert of_both == KeyRing((NEW,)).sign_id("board", expires=None)
    assert read(KeyRing((OLD,)).sign_id("board", expires=None), OLD, NEW) == "board"
    with pytest.raises(IdRefused):
        read(of_both, OLD)


@given(st.data())
def test_a_signed_id_that_was_changed_is_refused(data):
    signed = KeyRing((NEW,)).sign_id("board", expires=NOW + 60)
    place = data.draw(st.integers(0, len(signed) - 2))  # the last digit carries bits that mean nothing
    digit = data.draw(st.characters(codec="utf-8").filter(lambda digit: digit != signed[place]))
    with pytest.raises(IdRefused):
        read(signed[:place] + digit + signed[place + 1 :], NEW)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_an_id(text):
    with pytest.raises(IdRefused):
        read(text, NEW)


def test_what_was_signed_with_the_key_but_is_no_id_is_refused():
    signer = KeyRing((NEW,))._id_signer()
    for text in ("board", "board.soon", ".never", "a b.never", "board.-1", "board.٣"):
        with pytest.raises(IdRefused, match="not complete"):
            read(signer.sign(text).decode(), NEW)


def test_a_token_is_no_signed_id_and_a_signed_id_is_no_token():
    with pytest.raises(IdRefused):
        read(sign(NEW, id="board"), NEW)
    with pytest.raises(TokenRefused):
        check(KeyRing((NEW,)).sign_id("board", expires=None), NEW)


@pytest.mark.parametrize("id", ["", "a b", "a" * 129])
def test_what_is_no_id_is_not_signed(id):
    with pytest.raises(ValueError, match="is not a session id"):
        KeyRing((NEW,)).sign_id(id, expires=None)

"""Whatever is sent, at most that connection ends, with the right code, and nothing leaks. See `arena`."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .arena import attack, frames, http, messages, token
from .generators import FRAMES, KNOWN_TEXTS, REQUESTS, TEXTS, TOKENS, VALID_REQUESTS

few = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
"""Examples of some attackers each: a server is started for every one. The long run goes on from here, by `fuzz`."""


def several(strategy):
    return st.lists(strategy, min_size=1, max_size=6)


@few
@given(several(REQUESTS))
def test_the_port_takes_any_bytes(attacks):
    attack(*[http(pieces) for pieces in attacks])


@few
@given(several(FRAMES), st.booleans())
def test_a_websocket_takes_any_bytes(attacks, attached):
    attack(*[frames(pieces, attached=attached) for pieces in attacks])


@few
@given(several(TEXTS), st.booleans())
def test_a_session_takes_any_message(attacks, attached):
    attack(*[messages(texts, attached=attached) for texts in attacks])


@few
@given(several(TOKENS))
def test_no_token_but_ours_opens_anything(attacks):
    attack(*[token(text) for text in attacks])


@pytest.mark.parametrize("request_", VALID_REQUESTS)
def test_a_request_may_be_cut_anywhere(request_):
    attack(*[http([request_[:at], request_[at:]]) for at in range(0, len(request_), 7)])


@pytest.mark.parametrize("attached", [True, False])
def test_what_has_broken_decoders_before_breaks_none(attached):
    """Without hypothesis, which allows deeper recursion than a server does."""
    attack(*[messages([text], attached=attached) for text in KNOWN_TEXTS])

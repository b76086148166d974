"""What can be set for a server."""

import pytest

from supervisor.application.options import ApplicationOptions
from supervisor.server import Server
from supervisor.server_options import ServerOptions, options_or_default


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"allow_origins": "example.org"}, r"allow_origins must be a tuple: write \('example.org',\)"),
        ({"trusted_proxies": "10.0.0.1"}, "trusted_proxies must be a tuple"),
        ({"trusted_proxies": (1,)}, "trusted_proxies must be a tuple of strings"),
        ({"http": {"max_body": 1}}, "^http must be an HttpLimits, not dict$"),
        ({"allow_embedding": "https://a.example"}, "allow_embedding must be a tuple"),
        ({"keys": b"a secret key of bytes"}, "^keys must be a KeyRing, as in KeyRing.*, not bytes$"),
        ({"stall_limit": float("nan")}, "stall_limit must be a finite number of seconds, at least 0, not nan"),
        ({"stall_limit": -0.1}, "stall_limit must be a finite number of seconds, at least 0"),
        ({"shutdown_timeout": -1}, "^shutdown_timeout must be a finite number of seconds, at least 0, not -1$"),
        ({"token_max_age": float("nan")}, "^token_max_age must be a number of seconds"),
    ],
)
def test_what_cannot_be_is_refused_when_options_are_made(wrong, says):
    with pytest.raises((TypeError, ValueError), match=says):
        ServerOptions(**wrong)


def test_other_options_are_not_a_servers():
    assert options_or_default(None) == ServerOptions()
    with pytest.raises(TypeError, match=r"as in ServerOptions\(application=…\), not ApplicationOptions$"):
        Server([], options=ApplicationOptions())
    with pytest.raises(TypeError, match=r'as in ServerOptions\(session_ids="any"\), not dict$'):
        options_or_default({})


@pytest.mark.parametrize("prefix", ["live", "/live/", "/", "/a b", "/live?x", "//live"])
def test_a_prefix_that_cannot_be_is_refused(prefix):
    with pytest.raises(ValueError, match="a prefix must be empty, or a path such as /tools/live, not "):
        ServerOptions(prefix=prefix)


@pytest.mark.parametrize("word", ["external_signed", "signed", "", None])
def test_an_unknown_word_does_not_let_any_id_in(word):
    with pytest.raises(ValueError, match="session_ids must be one of generated, any, external-signed, not "):
        ServerOptions(session_ids=word)

"""What texts stand for, and which are refused; usage errors as people see them are in test_main.py."""

import click
import pytest

from supervisor.cli import parameters
from supervisor.cli.parameters import Count, Seconds


def read(reader, value):
    return reader(None, None, value)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("1.5", 1.5), ("1e3", 1000)])
def test_seconds_are_numbers(text, value):
    assert Seconds(zero=True).convert(text, None, None) == value


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-1"])
def test_what_is_no_number_of_seconds_is_refused(text):
    with pytest.raises(click.BadParameter):
        Seconds(zero=True).convert(text, None, None)


def test_zero_seconds_are_refused_where_they_make_no_sense():
    with pytest.raises(click.BadParameter, match="more than 0"):
        Seconds(zero=False).convert("0", None, None)


@pytest.mark.parametrize(
    ("text", "host"), [("[::1]", "::1"), ("Example.ORG.", "example.org"), ("10.0.0.1", "10.0.0.1")]
)
def test_a_host_may_be_written_as_in_a_url(text, host):
    assert read(parameters.read_host, text) == host


@pytest.mark.parametrize(("text", "prefix"), [("", ""), ("/", ""), ("tools/live/", "/tools/live"), ("//a", "/a")])
def test_a_prefix_begins_with_a_slash_and_ends_without(text, prefix):
    assert read(parameters.read_prefix, text) == prefix


@pytest.mark.parametrize(("text", "mode"), [("600", 0o600), ("0660", 0o660)])
def test_a_mode_is_octal(text, mode):
    assert read(parameters.read_mode, text) == mode


@pytest.mark.parametrize("text", ["", "6", "888", "rw", "0o600", "12345"])
def test_what_is_no_mode_is_refused(text):
    with pytest.raises(click.BadParameter, match="such as 600 or 660"):
        read(parameters.read_mode, text)


def test_proxies_are_addresses_networks_or_the_word_unix():
    given = ("10.0.0.0/8", "::1", "unix")
    assert read(parameters.read_proxies, given) == given
    with pytest.raises(click.BadParameter, match=r"'proxy\.example' is not the address of a proxy"):
        read(parameters.read_proxies, ("::1", "proxy.example"))


def test_headers_have_lower_case_names():
    given = ("Cookie: user=ann", "X-Empty:", "A:b:c", "B: ä")
    assert read(parameters.read_headers, given) == [
        (b"cookie", b"user=ann"),
        (b"x-empty", b""),
        (b"a", b"b:c"),
        (b"b", "ä".encode()),
    ]


@pytest.mark.parametrize("text", ["", "Cookie", ": a", "a b: c", "a: b\r\nc: d", "a: \x00", "a: \ud800"])
def test_what_is_no_header_is_refused(text):
    with pytest.raises(click.BadParameter, match="write a name, a colon and a value"):
        read(parameters.read_headers, (text,))


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("65535", 65535), (7, 7)])
def test_a_count_is_a_whole_number(text, value):
    assert Count(1, 65535).convert(text, None, None) == value


@pytest.mark.parametrize("text", ["x", "", "1.5", "nan", "-1", "0"])
def test_what_is_no_count_is_refused_in_words(text):
    with pytest.raises(click.BadParameter, match=f"^'{text}' is not a whole number, at least 1.$"):
        Count(1).convert(text, None, None)


def test_a_count_has_an_upper_bound_where_there_is_one():
    with pytest.raises(click.BadParameter, match=r"^'65536' is not a whole number from 0 to 65535.$"):
        Count(0, 65535).convert("65536", None, None)

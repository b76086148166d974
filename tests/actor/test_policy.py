import pytest

from supervisor.actor.policy import NO_KEY, MailboxPolicy


class Quote:
    symbol = "ACME"


def test_the_default_is_to_wait_and_to_conflate_nothing():
    policy = MailboxPolicy()
    assert (policy.when_full, policy.conflate) == ("wait", None)
    assert policy.key_of(Quote()) is NO_KEY


def test_two_types_with_equal_policies_have_two():
    assert MailboxPolicy() != MailboxPolicy()


def test_the_key_is_what_the_function_says():
    assert MailboxPolicy(conflate=lambda quote: quote.symbol).key_of(Quote()) == "ACME"
    assert MailboxPolicy(conflate=lambda quote: None).key_of(Quote()) is None


def test_what_the_function_raises_passes():
    with pytest.raises(ZeroDivisionError):
        MailboxPolicy(conflate=lambda quote: 1 / 0).key_of(Quote())


def test_a_key_that_cannot_be_hashed_is_a_type_error_that_names_the_message():
    with pytest.raises(TypeError, match=r"the key by which a Quote is conflated must be hashable, .* not list"):
        MailboxPolicy(conflate=lambda quote: []).key_of(Quote())


@pytest.mark.parametrize("wrong", ["drop", "", None, True])
def test_there_are_three_policies_for_a_full_mailbox(wrong):
    with pytest.raises(ValueError, match='when_full must be "wait", "refuse" or "drop_oldest", not '):
        MailboxPolicy(when_full=wrong)


def test_what_gives_the_key_must_be_a_function():
    with pytest.raises(
        TypeError, match=r"conflate takes a function .* conflate=lambda quote: quote.symbol, not 'symbol'"
    ):
        MailboxPolicy(conflate="symbol")


@pytest.mark.parametrize("wrong", [lambda: "ACME", lambda doc, quote: quote.symbol])
def test_what_gives_the_key_takes_a_message_alone(wrong):
    with pytest.raises(TypeError, match=r"lambda> can't be called with one argument, the message$"):
        MailboxPolicy(conflate=wrong)


def test_what_gives_the_key_is_not_async():
    async def symbol(quote):
        return quote.symbol

    with pytest.raises(TypeError, match=r"symbol is async, and nothing would await its key$"):
        MailboxPolicy(conflate=symbol)


def test_a_key_is_not_awaited():
    async def symbol(quote):
        return quote.symbol

    with pytest.raises(TypeError, match=r"a Quote is conflated is needed at once, and nothing awaits a corout"):
        MailboxPolicy(conflate=lambda quote: symbol(quote)).key_of(Quote())


def test_a_callable_that_cannot_be_inspected_may_give_the_key():
    assert MailboxPolicy(conflate=type).key_of(5) is int

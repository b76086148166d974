import functools
from unittest import mock

import pytest

from supervisor.errors import ApplicationError
from supervisor.session.receivers import Receivers, receivers_in, receives


class Quote:
    pass


class Watch:
    pass


def test_a_marked_function_is_found_in_its_namespace_and_stays_what_it_was():
    def on_quote(doc, message):
        return "answer"

    assert receives(Quote)(on_quote) is on_quote
    (receiver,) = receivers_in({"on_quote": on_quote, "other": 5, "Quote": Quote})
    assert (receiver.type, receiver.func, receiver.from_client) == (Quote, on_quote, False)


def test_a_function_may_receive_several_types():
    @receives(Watch, from_client=True)
    @receives(Quote)
    def on_any(doc, message): ...

    receivers = Receivers(receivers_in({"on_any": on_any}))
    assert receivers.by_type == {Quote: on_any, Watch: on_any}
    assert receivers.from_client == {"Watch": Watch}


def test_a_function_under_two_names_counts_once():
    @receives(Quote)
    def on_quote(doc, message): ...

    assert len(receivers_in({"on_quote": on_quote, "alias": on_quote})) == 1


def test_objects_that_answer_to_every_name_are_no_receivers():
    assert receivers_in({"anything": mock.MagicMock(), "call": mock.call}) == []


@pytest.mark.parametrize("wrong", [None, "Quote", Quote()])
def test_receives_takes_a_class(wrong):
    with pytest.raises(TypeError, match=r"@receives takes a class, as in @receives\(Quote\)"):
        receives(wrong)


def test_two_functions_for_one_type_are_an_error_that_names_both():
    @receives(Quote)
    def first(doc, message): ...

    @receives(Quote)
    def second(doc, message): ...

    with pytest.raises(ApplicationError, match=r"two functions receive Quote: .*first \(line .*second \(line"):
        Receivers(receivers_in({"first": first, "second": second}))


def test_the_error_names_callables_without_code_too():
    class OnQuote:
        def __call__(self, doc, message): ...

    first, second = receives(Quote)(OnQuote()), receives(Quote)(functools.partial(print))
    with pytest.raises(ApplicationError, match=r"two functions receive Quote: .*OnQuote object"):
        Receivers(receivers_in({"first": first, "second": second}))


def test_a_browser_may_not_send_two_types_of_one_name():
    other = type("Quote", (), {})

    @receives(Quote, from_client=True)
    @receives(other, from_client=True)
    def on_any(doc, message): ...

    with pytest.raises(ApplicationError, match="a browser may send two types named Quote"):
        Receivers(receivers_in({"on_any": on_any}))


def test_types_of_one_name_are_allowed_inside_the_server():
    other = type("Quote", (), {})

    @receives(Quote)
    @receives(other, from_client=True)
    def on_any(doc, message): ...

    assert Receivers(receivers_in({"on_any": on_any})).from_client == {"Quote": other}


def test_a_policy_is_kept_for_types_that_do_not_just_wait():
    def key(quote):
        return 1

    @receives(Watch)
    @receives(Quote, when_full="refuse", conflate=key)
    def on_any(doc, message): ...

    receivers = Receivers([on_any])
    assert list(receivers.policies) == [Quote]
    assert (receivers.policies[Quote].when_full, receivers.policies[Quote].conflate) == ("refuse", key)


def test_a_wrong_policy_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="when_full must be"):
        receives(Quote, when_full="drop")
    with pytest.raises(TypeError, match="conflate takes a function"):
        receives(Quote, conflate="symbol")


@pytest.mark.parametrize("name", ["from_client", "thread"])
@pytest.mark.parametrize("wrong", ["no", 1, None])
def test_what_is_true_or_false_is_neither_a_word_nor_a_number(name, wrong):
    """A handler that "no" opens to clients is one that anybody can call."""
    with pytest.raises(TypeError, match=f"^{name} must be True or False, not {wrong!r}$"):
        receives(Quote, **{name: wrong})


def test_two_handlers_of_which_one_is_for_a_thread_are_named_by_their_own_lines():
    @receives(Quote, thread=True)
    def first(doc, message): ...

    @receives(Quote)
    def second(doc, message): ...

    with pytest.raises(
        ApplicationError, match=r"two functions receive Quote: .*first \(line \d+ of .*test_receivers.py"
    ):
        Receivers([first, second])


def test_a_type_of_message_may_have_a_directive_of_its_own():
    @receives(Quote, on_failure="restart")
    @receives(Watch)
    def on_any(doc, message): ...

    assert Receivers([on_any]).on_failure == {Quote: "restart"}
    with pytest.raises(ValueError, match="resume, restart, stop or escalate, not 'restrat'"):
        receives(Quote, on_failure="restrat")

import pytest

from supervisor.actor.entry import Entry, Stop, Tell


class Quote:
    pass


class Doer:
    def receive(self, message):
        return ("received", message)


def test_an_entry_counts_and_ignores_its_fate_unless_it_says_otherwise():
    entry = Entry()
    assert entry.counted
    assert entry.check(7) == 7
    entry.succeeded(7)
    entry.failed(ValueError(), None)
    entry.cancelled()
    entry.dropped()
    for incomplete in (lambda: entry.start(Doer()), entry.describe):
        with pytest.raises(NotImplementedError):
            incomplete()


def test_a_tell_gives_its_message_to_the_actor_and_keeps_no_result():
    quote = Quote()
    tell = Tell(quote)
    assert tell.start(Doer()) == ("received", quote)
    assert tell.check("a result that nobody gets") is None
    assert tell.describe() == "message Quote"


def test_a_stop_takes_no_room():
    assert not Stop().counted
    assert Stop().describe() == "stop"

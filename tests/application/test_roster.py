import pytest

from supervisor.application.producer_life import ProducerLife
from supervisor.application.producers import Producer
from supervisor.application.roster import REMEMBERED, SHOWN, Roster
from supervisor.instruments import Incident


def add_producer(roster, name, func=int):
    def report(what, error, decision):
        return Incident(id="1", application="app", session="-", what=what, error=error)

    life = ProducerLife(restart="temporary")
    producer = Producer(func, (), life=life, chance=lambda: 0.5, report=report, name=name, on_over=roster.over)
    roster.add(producer)
    return producer


def fail():
    raise ValueError("mine")


async def test_those_that_are_done_are_forgotten_and_those_that_failed_come_first():
    roster = Roster()
    waiting, done, failed = add_producer(roster, "a"), add_producer(roster, "b"), add_producer(roster, "c", fail)
    assert list(roster) == [waiting, done, failed]
    await done.run()
    await failed.run()
    assert (roster.live, roster.failed, list(roster)) == (1, 1, [waiting])
    assert [shown.name for shown in roster.statistics()] == ["c", "a"]
    assert repr(roster) == "<Roster live=1 failed=1>"
    roster.end()
    assert (roster.live, roster.failed, waiting.state) == (0, 1, "removed")
    roster.remove(failed)
    assert (roster.failed, failed.state) == (0, "removed")
    for producer in (waiting, done, failed):
        with pytest.raises(ValueError, match="was already removed, has finished, or belongs to another application"):
            roster.remove(producer)


async def test_an_app_that_adds_producers_without_end_finds_the_last_hundred_that_failed():
    roster = Roster()
    for number in range(REMEMBERED + 50):
        await add_producer(roster, str(number), fail).run()
    assert (roster.live, roster.failed) == (0, REMEMBERED)
    assert [shown.name for shown in roster.statistics()] == [str(number) for number in range(50, 150)]
    for number in range(SHOWN):
        add_producer(roster, f"waiting {number}")
    assert (roster.live, len(roster.statistics())) == (SHOWN, SHOWN)

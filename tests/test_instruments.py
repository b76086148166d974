from supervisor.instruments import GuardedInstruments, Incident, Instruments


class FullDisk(Instruments):
    def failed(self, incident):
        raise OSError("no space left on device")


def test_instruments_that_raise_end_nothing_and_are_counted():
    guarded = GuardedInstruments(FullDisk())
    guarded.failed(Incident(id="1", application="-", session="-", what="w", error=ValueError()))
    guarded.application_loaded(application="app")
    assert guarded.failures == 1
    assert isinstance(guarded.last_failure, OSError)


def test_every_event_is_handed_on_with_its_own_name_and_words():
    seen = []

    class Seeing(Instruments):
        def session_created(self, *, application, session):
            seen.append((application, session))

    GuardedInstruments(Seeing()).session_created(application="a", session="s")
    assert seen == [("a", "s")]
    for name, method in vars(Instruments).items():
        if not name.startswith("_"):
            assert getattr(GuardedInstruments, name) is not method

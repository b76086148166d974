from supervisor.instruments import MAX_SHOWN, GuardedInstruments, Incident, Instruments, shown


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


def test_an_incident_has_a_path_in_words():
    error = KeyError("ACME")
    incident = Incident(id="1", application="ticker", session="1a2b3c4d", what="message Quote", error=error)
    assert incident.path == "application ticker → session 1a2b3c4d → message Quote → KeyError: 'ACME'"
    incident = Incident(id="1", application="-", session="-", what="websocket", error=ValueError("x" * 1000))
    assert incident.path.startswith("websocket → ValueError: xxx")
    assert len(incident.path) < 250


def test_what_is_shown_of_an_apps_values_is_short_and_raises_nothing():
    class Nasty(Exception):
        def __repr__(self):
            raise RuntimeError

        __str__ = __repr__

    assert shown("a") == "'a'"
    assert len(shown("a" * 1000)) == MAX_SHOWN
    assert shown(Nasty()).endswith("Nasty whose repr() raised RuntimeError>")
    incident = Incident(id="1", application="-", session="-", what="w", error=Nasty())
    assert incident.path.endswith("Nasty: (its str() raised)")

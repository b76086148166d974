from supervisor.application.failed_application import because_escalated, because_not_loaded, ending_of_failed
from supervisor.instruments import Incident


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError


def test_operators_read_what_raised_what_and_clients_the_incident_alone():
    for error, text in (
        (ValueError("no data"), "ValueError: no data"),
        (Wordless(), "Wordless: (its str() raised"),
    ):
        incident = Incident(id="1a2b3c4d", application="chat", session="-", what="producer feed", error=error)
        told = f"producer feed raised {text}"
        end = "(incident 1a2b3c4d, the log has the traceback)"
        said = because_not_loaded("chat", incident)
        assert said.startswith(f"application 'chat' can't be served: its {told}")
        assert said.endswith(end)
        said = because_escalated("chat", incident)
        assert said.startswith(f"application 'chat' has failed, and its sessions end: {told}")
        assert said.endswith(end)
        ending = ending_of_failed(incident)
        assert (ending.kind, ending.reason) == ("destroyed", "The application has failed (incident 1a2b3c4d).")

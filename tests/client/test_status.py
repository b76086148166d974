"""The sentence for each way in which a connection ends."""

import pytest

from supervisor.client.status import ClientStatus, sentence
from supervisor.protocol.codes import CloseCode


@pytest.mark.parametrize("code", list(CloseCode))
def test_each_code_has_a_sentence(code):
    said = sentence(code, "")
    assert said.endswith(".")
    assert said != "The connection was lost." or code == CloseCode.NO_FIRST_FRAME


def test_a_reason_that_was_written_for_people_is_told():
    assert sentence(CloseCode.DESTROYED, "Good night!") == "Good night!"
    assert sentence(CloseCode.REFUSED, "Ask Ada to let you in.") == "Ask Ada to let you in."
    assert sentence(CloseCode.RESTARTING, "restarting") == "The server is restarting."


def test_any_other_end_is_a_lost_connection_with_what_is_known_of_it():
    assert sentence(1006, "") == "The connection was lost."
    assert sentence(1006, "", "nobody is there") == "nobody is there."
    assert sentence(CloseCode.PROTOCOL_ERROR, "", "they speak rubbish") == "they speak rubbish."


def test_a_client_begins_by_connecting():
    assert ClientStatus() == ClientStatus(state="connecting", reason="", code=None, retry_at=None, sessions=1)

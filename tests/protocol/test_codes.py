from __future__ import annotations

import pytest

from supervisor.protocol.codes import CloseCode, Reaction, reaction_to


@pytest.mark.parametrize(
    ("code", "reaction"),
    [
        (1000, Reaction.STAY_AWAY),
        (1009, Reaction.STAY_AWAY),
        (1012, Reaction.COME_BACK),
        (1013, Reaction.COME_BACK),
        (4400, Reaction.STAY_AWAY),
        (4401, Reaction.RELOAD),
        (4403, Reaction.STAY_AWAY),
        (4404, Reaction.RELOAD),
        (4408, Reaction.COME_BACK),
        (4410, Reaction.STAY_AWAY),
        (4429, Reaction.COME_BACK),
    ],
)
def test_each_of_our_codes_has_its_reaction(code, reaction):
    assert reaction_to(CloseCode(code)) is reaction_to(code) is reaction


@pytest.mark.parametrize("code", [1001, 1006, 1011, 3000, 4499, 0])
def test_any_other_code_is_a_lost_connection(code):
    assert reaction_to(code) is Reaction.COME_BACK
    assert code not in set(CloseCode)

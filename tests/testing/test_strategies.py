"""The strategies: what they make is valid, and shrinks to little."""

import json
import subprocess
import sys

import jsonpatch
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from supervisor.document.json_document import JsonDocument
from supervisor.document.patch import apply, equal
from supervisor.testing.behaviour import Close, Connect, Drop, Pause, Reconnect, Resume, Send, Stall
from supervisor.testing.strategies import behaviours, documents, json_values, patches, sensible


@given(json_values())
def test_a_document_can_hold_every_value(value):
    document = JsonDocument()
    document.root["value"] = value
    assert equal(json.loads(json.dumps(value)), value)
    assert equal(document.root["value"], value)


@given(st.data(), documents())
def test_a_patch_fits_its_document(data, document):
    before = json.dumps(document)
    operations = data.draw(patches(document))
    assert {operation["op"] for operation in operations} <= {"add", "replace", "remove"}
    assert equal(apply(document, operations), jsonpatch.apply_patch(document, operations))
    assert json.dumps(document) == before, "it is not changed"


@pytest.mark.parametrize("op", ["add", "replace", "remove"])
def test_all_operations_come_up(op):
    operations = find(patches({"a": [1]}), lambda operations: any(each["op"] == op for each in operations))
    assert op in {each["op"] for each in operations}


def test_a_value_shrinks_to_little():
    assert find(json_values(), lambda value: True) is None
    assert find(documents(), lambda document: True) == {}


SENDS = {"Watch": {"symbol": st.sampled_from(["ACME", "GLOBEX"])}}


def test_a_behaviour_reads_as_a_story():
    found = find(
        behaviours(sends=SENDS, edits={"/title": st.text()}),
        lambda behaviour: any(isinstance(command, Send) for command in behaviour),
    )
    sent = next(command for command in found if isinstance(command, Send))
    assert Connect(client=sent.client) in found, "who sends has come before"
    assert repr(sent) == f"Send(client={sent.client}, name='Watch', fields={sent.fields})"


@given(behaviours(sends=SENDS, clients=2))
def test_every_command_makes_sense(behaviour):
    assert sensible(behaviour) == behaviour
    assert all(isinstance(command, Pause) or command.client in (0, 1) for command in behaviour)


def test_what_makes_no_sense_is_left_out():
    connect, drop, stall, resume, back = (kind(client=0) for kind in (Connect, Drop, Stall, Resume, Reconnect))
    assert sensible(
        [drop, connect, connect, resume, stall, stall, resume, drop, stall, drop, back, Close(client=1)]
    ) == [
        connect,
        stall,
        resume,
        drop,
        back,
    ]
    assert sensible([connect, Close(client=0), drop, connect]) == [connect, Close(client=0), connect]


def test_without_hypothesis_the_error_says_what_to_install():
    program = "import sys; sys.modules['hypothesis'] = None; import supervisor.testing.strategies"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert "ImportError: supervisor.testing.strategies needs hypothesis: pip install hypothesis" in done.stderr

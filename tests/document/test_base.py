import pytest

from supervisor.document.base import Patch, StoredDocument
from supervisor.document.json_document import JsonDocument


def test_a_patch_is_a_frozen_value():
    patch = Patch(base=0, revision=1, encoded=b"[]")
    assert patch == Patch(base=0, revision=1, encoded=b"[]")
    with pytest.raises(AttributeError):
        patch.revision = 2


def test_a_json_document_is_a_stored_document():
    document: StoredDocument = JsonDocument()
    members = {name for name in vars(StoredDocument) if not name.startswith("_")}
    assert members == {"revision", "commit", "check_size", "roll_back", "snapshot"}
    assert all(hasattr(document, name) for name in members)

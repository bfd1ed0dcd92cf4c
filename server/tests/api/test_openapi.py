"""The committed OpenAPI document is what the routes say."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from muniment_server.api import doors

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "reference" / "openapi.json"


def test_the_committed_document_is_the_generated_one() -> None:
    if os.environ.get("MUNIMENT_UPDATE"):
        COMMITTED.write_bytes(doors.document())
    assert COMMITTED.read_bytes() == doors.document(), "run the tests with MUNIMENT_UPDATE=1 if the change is meant"


def test_every_reference_resolves() -> None:
    document = msgspec.json.decode(doors.document())
    names = set(document["components"]["schemas"])
    text = doors.document().decode()
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= names

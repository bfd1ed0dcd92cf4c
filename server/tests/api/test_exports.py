"""What others read is read by others: the packages of PROV, Graphviz and Croissant take our documents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import prov.model
import pydot
import pytest
from api.conftest import BASE, Door
from api.test_questions import SCHEMA, World


@pytest.fixture
def world(door: Door) -> World:
    return World(door)


def text_of(door: Door, target: str) -> str:
    answer = door.transport.request("GET", f"{BASE}/{target}", {}, b"")
    assert answer.status == 200, answer.body
    return answer.body.decode()


def test_lineage_is_prov(world: World) -> None:
    text = text_of(world.door, "lineage/model:risk@1/prov")
    document = prov.model.ProvDocument.deserialize(content=text, format="json")
    kinds = [record.get_type().localpart for record in document.get_records()]
    assert sorted(kinds) == ["Activity", "Activity", "Entity", "Entity", "Entity",
                             "Generation", "Generation", "Usage", "Usage"]  # fmt: skip
    labels = {str(next(iter(record.get_attribute("prov:label")), "")) for record in document.get_records()}
    assert {"risk@1", "first", "customers@1", "clean", "raw@1"} <= labels
    assert "training" in text


@pytest.mark.filterwarnings("ignore:.*deprecated - use:DeprecationWarning")  # pydot's own, of its parser
def test_lineage_is_a_picture_whatever_names_hold(world: World) -> None:
    name = 'a "quoted" \\ name\u2028 -> } x'
    world.door("PATCH", f"{BASE}/runs/{world.runs['first']}", {"name": name})
    text = text_of(world.door, "lineage/model:risk@1/graphviz")
    graphs = pydot.graph_from_dot_data(text)
    assert graphs is not None
    assert len(graphs[0].get_edges()) == 4
    assert len([node for node in graphs[0].get_nodes() if len(node.get_name()) == 34]) == 5
    assert 'a \\"quoted\\" \\\\ name' in text


def test_a_dataset_version_is_croissant(world: World, tmp_path: Path) -> None:
    sources = [{"uri": "https://example.org/customers.csv", "format": "csv"}]
    digest = f"sha256:{'a' * 64}"
    world.version("customers", version="3", digest=digest, schema=SCHEMA, sources=sources, license="CC-BY-4.0")
    document = checked(world, "datasets/customers/versions/3/croissant", tmp_path)
    assert [field["name"] for field in document["recordSet"][0]["field"]] == ["age", "spend", "city"]
    assert document["distribution"][0]["sha256"] == "a" * 64
    other = checked(world, "datasets/leads/versions/1/croissant", tmp_path)
    assert (other["variableMeasured"], "distribution" in other) == (["age", "spend"], False)


def checked(world: World, target: str, folder: Path) -> Any:
    """A Croissant document in which its own validator finds nothing."""
    path = folder / "croissant.json"
    path.write_text(text_of(world.door, target))
    found = subprocess.run(
        [sys.executable, "-m", "mlcroissant.scripts.validate", "--jsonld", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "error" not in found.stderr.lower(), found.stderr
    return json.loads(path.read_text())


def test_a_model_card_says_what_is_recorded_and_what_is_not(world: World) -> None:
    world.evaluate(1, 0.85, "test")
    card = text_of(world.door, "models/risk/versions/1/card")
    assert card.startswith("# risk@1\n")
    assert "| test | 0.85 | none |" in card
    assert "- training: customers@1, rows not recorded" in card
    assert "code: no commit is recorded" in card
    world.door("PATCH", f"{BASE}/models/risk/versions/1", {"description": "<script>alert(1)</script> | # x"})
    card = text_of(world.door, "models/risk/versions/1/card")
    assert "<script>" not in card
    assert "\\<script\\>" in card

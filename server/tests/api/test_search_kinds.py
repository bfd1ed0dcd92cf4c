"""Search over every kind, with conditions over related records, now and as of the past."""

from __future__ import annotations

from typing import Any

import pytest
from api.conftest import BASE, Door
from api.test_questions import World


@pytest.fixture
def world(door: Door) -> World:
    return World(door)


def found(world: World, kind: str, where: str, **more: Any) -> list[Any]:
    body = {"kind": kind, "where": where, "order_by": ["position"], "count": True, **more}
    page = world.door.made("search", body)
    records: list[Any] = page[f"{kind}s"]
    assert page["total"] == len(records)
    return records


def names(world: World, where: str, **more: Any) -> list[str]:
    return [item["run"]["name"] for item in found(world, "run", where, **more)]


def test_runs_by_the_data_they_used(world: World) -> None:
    assert names(world, "dataset.name = 'customers'") == ["first", "second", "newer"]
    assert names(world, "dataset.name = 'customers' AND metrics.auc > 0.85") == ["second", "newer"]
    assert names(world, "dataset.version = '2'") == ["newer"]
    assert names(world, "dataset.name IN ('leads', 'images')") == ["leads", "images"]
    assert names(world, "dataset.name LIKE 'cust%' AND dataset.version != '2'") == ["first", "second"]
    assert names(world, "dataset.name IS NOT NULL AND NOT dataset.name = 'raw'") == [
        "first", "second", "newer", "leads", "images"
    ]  # fmt: skip
    assert names(world, "dataset.namespace = 'elsewhere'") == []
    before = world.door.head()
    world.link("dataset:leads@1", world.runs["first"])
    assert names(world, "dataset.name = 'leads'") == ["first", "leads"]
    assert names(world, "dataset.name = 'leads'", as_of=before) == ["leads"]


def test_versions_by_their_owner_alias_and_tags(world: World) -> None:
    door = world.door
    assert len(found(world, "model_version", "model.name = 'risk'")) == 5
    door("PUT", f"{BASE}/models/risk/aliases/champion", {"version": 2})
    before = door.head()
    door("PUT", f"{BASE}/models/risk/aliases/champion", {"version": 3})
    assert [item["version"] for item in found(world, "model_version", "model.alias = 'champion'")] == [3]
    assert [item["version"] for item in found(world, "model_version", "model.alias = 'champion'", as_of=before)] == [2]
    assert [item["version"] for item in found(world, "model_version", "version BETWEEN 2 AND 3")] == [2, 3]
    gone = door.head()
    door("PATCH", f"{BASE}/models/risk", {"lifecycle": "deleted"})
    assert found(world, "model_version", "model.lifecycle = 'active' AND model.name = 'risk'") == []
    assert len(found(world, "model_version", "model.lifecycle = 'deleted'")) == 5
    assert len(found(world, "model_version", "model.lifecycle = 'active' AND model.name = 'risk'", as_of=gone)) == 5
    door("PATCH", f"{BASE}/models/risk", {"lifecycle": "active"})
    run = world.runs["leads"]
    assert [item["version"] for item in found(world, "model_version", f"run = '{run}'")] == [4]
    versions = found(world, "dataset_version", "dataset.name = 'customers' AND digest IS NOT NULL")
    assert [item["version"] for item in versions] == ["1", "2"]
    assert [item["name"] for item in found(world, "dataset", "dataset.name LIKE '%s'")] == [
        "customers", "leads", "images"
    ]  # fmt: skip
    newest = found(world, "dataset", "", order_by=["name DESC"])
    assert [item["name"] for item in newest] == ["raw", "leads", "images", "customers"]


def test_evaluations_by_what_they_judge(world: World) -> None:
    world.evaluate(1, 0.8, "test")
    world.evaluate(2, 0.9, "train")
    assert len(found(world, "evaluation", "model.name = 'risk' AND dataset.name = 'customers'")) == 2
    assert [item["slice"] for item in found(world, "evaluation", "slice = 'test'")] == ["test"]
    assert [item["slice"] for item in found(world, "evaluation", "model.version = 2")] == ["train"]
    assert found(world, "evaluation", "dataset.version = '2'") == []


def test_pages_of_other_kinds_go_on(world: World) -> None:
    body: dict[str, Any] = {"kind": "model_version", "where": "", "order_by": ["version DESC"], "limit": 2}
    seen = []
    while True:
        page = world.door.made("search", body)
        seen += [item["version"] for item in page["model_versions"]]
        if page["next"] is None:
            break
        body["page"] = page["next"]
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("kind", "where", "order"),
    [
        ("model", "metrics.auc > 1", []),
        ("run", "dataset.license = 'x'", []),
        ("model_version", "version = '3'", []),
        ("run", "", ["dataset.name"]),
        ("dataset", "model.name = 'x'", []),
        ("evaluation", "model.version LIKE '1%'", []),
    ],
)
def test_what_a_kind_does_not_have_is_said(world: World, kind: str, where: str, order: list[str]) -> None:
    world.door.refused("POST", "search", {"kind": kind, "where": where, "order_by": order})

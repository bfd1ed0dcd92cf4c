"""Records of several projects: links between them, lineage over them, search in all of them."""

from __future__ import annotations

from typing import Any

import pytest
from api.conftest import Door

from muniment_server.policy.access import Scope
from muniment_server.services import across, lineage
from muniment_server.services.workspace import Workspace


class Two:
    """A data platform's project and the project of a model, with a chain through both."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.made("/v1/projects", {"slug": "platform"})
        self.made("/v1/projects/platform/experiments", {"name": "etl"})
        self.made("/v1/projects/platform/datasets", {"name": "customers"})
        self.etl = self.made("/v1/projects/platform/runs", {"experiment": "etl", "kind": "ingestion"})["id"]
        self.data = self.made("/v1/projects/platform/datasets/customers/versions", {"version": "3", "run": self.etl})[
            "id"
        ]
        self.run = self.made("/v1/projects/default/runs", {"experiment": "churn"})["id"]
        self.made("/v1/projects/default/models", {"name": "risk"})
        self.model = self.made("/v1/projects/default/models/risk/versions", {"run": self.run})["id"]
        self.urn = "urn:muniment:platform:dataset:customers@3"
        self.link = {"upstream": self.urn, "downstream": self.run, "type": "used", "role": "training"}

    def made(self, target: str, body: Any) -> Any:
        status, answer = self.door("POST", target, body)
        assert status in {200, 201}, answer
        return answer

    def joined(self) -> Any:
        return self.made("/v1/projects/default/links", {"links": [self.link]})

    def lineage(self, target: str) -> Any:
        status, answer = self.door("GET", target)
        assert status == 200, answer
        return answer


@pytest.fixture
def two(door: Door) -> Two:
    return Two(door)


def heads(two: Two) -> list[int]:
    return [two.door("GET", f"/v1/projects/{slug}/changes?limit=1")[1]["position"] for slug in ("default", "platform")]


def test_a_link_is_written_in_both_projects_and_once(two: Two) -> None:
    assert two.joined()["changed"] == 1
    before = heads(two)
    assert two.joined()["changed"] == 0
    assert heads(two) == before
    here = two.lineage(f"/v1/projects/default/lineage/{two.run}")
    assert [(node["kind"], node["depth"]) for node in here["nodes"]] == [("run", 0), ("foreign", 1)]
    assert here["nodes"][1]["name"] == f"urn:muniment:platform:dataset_version:{two.data}"
    there = two.lineage(f"/v1/projects/platform/lineage/{two.data}?direction=downstream")
    assert [(node["kind"], node["name"]) for node in there["nodes"][1:]] == [
        ("foreign", f"urn:muniment:default:run:{two.run}")
    ]
    for slug in ("default", "platform"):
        assert two.door("POST", f"/v1/projects/{slug}/verify")[1]["ok"]


def test_lineage_goes_over_projects_both_ways(two: Two) -> None:
    two.joined()
    found = two.lineage("/v1/lineage?record=urn:muniment:default:model:risk@1")
    assert [(node["project"], node["kind"], node["id"], node["depth"]) for node in found["nodes"]] == [
        ("default", "model_version", two.model, 0),
        ("default", "run", two.run, 1),
        ("platform", "dataset_version", two.data, 2),
        ("platform", "run", two.etl, 3),
    ]
    assert {(link["upstream"], link["downstream"]) for link in found["links"]} == {
        (two.run, two.model), (two.data, two.run), (two.etl, two.data),
    }  # fmt: skip
    assert set(found["positions"]) == {"default", "platform"}
    down = two.lineage(f"/v1/lineage?record=urn:muniment:platform:run:{two.etl}&direction=downstream")
    assert [node["id"] for node in down["nodes"]] == [two.etl, two.data, two.run, two.model]
    short = two.lineage("/v1/lineage?record=urn:muniment:default:model:risk@1&depth=2")
    assert [node["id"] for node in short["nodes"]] == [two.model, two.run, two.data]
    status, refused = two.door("GET", "/v1/lineage?record=urn:muniment:default:model:risk@1&as_of=4")
    assert (status, refused["field"]) == (400, "as_of")


def test_who_may_not_read_a_project_sees_an_opaque_node(two: Two) -> None:
    two.joined()
    workspace: Workspace = two.door.transport._workspace
    own = workspace.project(workspace.owner_scope, "default", workspace.owner_scope.permission).no
    blind = Scope(workspace.owner, projects=frozenset((own,)))
    graph = lineage.lineage(workspace, blind, "default", two.run, direction="upstream", depth=9, limit=9)
    assert [node.name for node in graph.nodes[1:]] == ["a record of another project"]
    query = across.WorkspaceLineageQuery(record=f"urn:muniment:default:run:{two.run}")
    over = across.lineage_of(workspace, blind, query)
    assert [(node.kind, node.name) for node in over.nodes[1:]] == [("foreign", "a record of another project")]
    assert set(over.positions) == {"default"}


def test_what_is_not_there_is_refused_in_both(two: Two) -> None:
    before = heads(two)
    for urn in ("urn:muniment:nowhere:dataset:customers@3", "urn:muniment:platform:dataset:customers@4", "urn:x:y:z:v",
                "urn:muniment:a%00b:dataset:customers@3"):  # fmt: skip
        link = {**two.link, "upstream": urn}
        status, refused = two.door("POST", "/v1/projects/default/links", {"links": [link]})
        assert status in {400, 404}, refused
        assert "\n" not in refused["detail"]
    assert heads(two) == before


def test_search_asks_every_project(two: Two) -> None:
    status, found = two.door("POST", "/v1/search", {"kind": "run", "order_by": ["created_at"]})
    assert status == 200, found
    assert {slug: [item["run"]["id"] for item in page["runs"]] for slug, page in found["pages"].items()} == {
        "default": [two.run], "platform": [two.etl],
    }  # fmt: skip
    only = two.door("POST", "/v1/search", {"kind": "dataset", "projects": ["platform"]})[1]["pages"]
    assert [item["name"] for item in only["platform"]["datasets"]] == ["customers"]
    assert two.door("POST", "/v1/search", {"kind": "run", "projects": ["nowhere"]})[0] == 404
    assert two.door("POST", "/v1/search", {"kind": "run", "as_of": 3})[0] == 400
    for odd in ("a\x00b", "x" * 100, "", "A"):
        assert two.door("POST", "/v1/search", {"kind": "run", "projects": [odd]})[0] == 400


def test_what_a_job_reads_and_writes_is_rolled_up_from_its_runs(door: Door) -> None:
    door.made("jobs", {"name": "train", "namespace": "airflow"})
    for name in ("raw", "clean"):
        door.made("datasets", {"name": name})
        for version in ("1", "2"):
            door.made(f"datasets/{name}/versions", {"version": version})
    positions = []
    for number in range(3):
        run = door.made("runs", {"experiment": "churn", "job": "airflow/train"})["id"]
        used = {"upstream": f"dataset:raw@{1 + number % 2}", "downstream": run, "type": "used"}
        made = {"upstream": run, "downstream": "dataset:clean@1", "type": "generated"}
        positions.append(door.made("links", {"links": [used, made] if number == 2 else [used]})["position"])
    other = door.made("runs", {"experiment": "churn"})["id"]
    door.made("links", {"links": [{"upstream": "dataset:clean@2", "downstream": other, "type": "used"}]})
    status, found = door("GET", "/v1/projects/default/jobs/airflow%2Ftrain/data")
    assert status == 200, found
    assert (found["runs"], found["truncated"]) == (3, False)
    assert [(item["name"], item["runs"], item["position"]) for item in found["inputs"]] == [("raw", 3, positions[2])]
    assert [(item["name"], item["runs"]) for item in found["outputs"]] == [("clean", 1)]
    past = door("GET", f"/v1/projects/default/jobs/airflow%2Ftrain/data?as_of={positions[1]}")[1]
    assert (past["runs"], [item["runs"] for item in past["inputs"]], past["outputs"]) == (2, [2], [])

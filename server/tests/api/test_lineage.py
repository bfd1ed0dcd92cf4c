"""Links and the lineage they make: recorded once, walked both ways, asked of the past, never a circle."""

from __future__ import annotations

from typing import Any

import pytest
from api.conftest import BASE, Door
from api.test_records import run_of, verified


class Graph:
    """Raw data, cleaned by one run, trained on by another, which made a model that was evaluated."""

    def __init__(self, door: Door) -> None:
        self.door = door
        for name in ("raw", "clean"):
            door.made("datasets", {"name": name})
        self.cleaning, self.training = run_of(door), run_of(door)
        self.raw = door.made("datasets/raw/versions", {"version": "1"})["id"]
        self.clean = door.made("datasets/clean/versions", {"version": "1", "run": self.cleaning})["id"]
        door.made("models", {"name": "risk"})
        self.model = door.made("models/risk/versions", {"run": self.training})["id"]
        self.link("dataset:raw@1", self.cleaning)
        self.link("dataset:clean@1", self.training, role="training")
        self.evaluation = door.made(
            "evaluations", {"model_version": "risk@1", "dataset_version": "clean@1", "metrics": {"auc": 0.9}}
        )["id"]

    def link(self, upstream: str, downstream: str, type_: str = "used", **more: Any) -> Any:
        body = {"links": [{"upstream": upstream, "downstream": downstream, "type": type_, **more}]}
        return self.door.made("links", body)

    def nodes(self, record: str, **query: Any) -> dict[str, int]:
        return {node["id"]: node["depth"] for node in self.lineage(record, **query)["nodes"]}

    def lineage(self, record: str, **query: Any) -> Any:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        status, answer = self.door("GET", f"{BASE}/lineage/{record}?{asked}")
        assert status == 200, answer
        return answer


@pytest.fixture
def graph(door: Door) -> Graph:
    return Graph(door)


def test_upstream_and_downstream_of_everything(graph: Graph) -> None:
    assert graph.nodes("model:risk@1") == {
        graph.model: 0, graph.training: 1, graph.clean: 2, graph.cleaning: 3, graph.raw: 4
    }  # fmt: skip
    assert graph.nodes("dataset:raw@1", direction="downstream") == {
        graph.raw: 0, graph.cleaning: 1, graph.clean: 2, graph.training: 3, graph.evaluation: 3, graph.model: 4
    }  # fmt: skip
    found = graph.lineage("model:risk@1")
    assert [(node["kind"], node["name"]) for node in found["nodes"] if node["kind"] != "run"] == [
        ("model_version", "risk@1"), ("dataset_version", "clean@1"), ("dataset_version", "raw@1")
    ]  # fmt: skip
    assert {(link["upstream"], link["downstream"], link["type"], link["role"]) for link in found["links"]} == {
        (graph.training, graph.model, "generated", ""),
        (graph.clean, graph.training, "used", "training"),
        (graph.cleaning, graph.clean, "generated", ""),
        (graph.raw, graph.cleaning, "used", ""),
    }
    assert not found["truncated"]
    verified(graph.door)


def test_a_record_goes_by_its_urn(graph: Graph) -> None:
    door = graph.door
    expected = graph.nodes("model:risk@1")
    for urn in ("urn:muniment:default:model:risk@1", f"urn:muniment:default:run:{graph.training}"):
        status, found = door("GET", f"{BASE}/lineage/{urn}")
        assert status == 200, found
        assert {node["id"] for node in found["nodes"]} <= set(expected)
    assert "project 'other'" in door.refused("GET", "lineage/urn:muniment:other:model:risk@1")["detail"]


def test_a_walk_ends_where_it_is_told_and_says_that_there_is_more(graph: Graph) -> None:
    near = graph.lineage("model:risk@1", depth=2)
    assert [node["depth"] for node in near["nodes"]] == [0, 1, 2]
    assert near["truncated"]
    assert not graph.lineage("model:risk@1", depth=4)["truncated"]
    few = graph.lineage("model:risk@1", limit=3)
    assert (len(few["nodes"]), few["truncated"]) == (3, True)
    data = graph.lineage("model:risk@1", kinds="dataset_version")
    assert [node["name"] for node in data["nodes"]] == ["clean@1", "raw@1"]


def test_a_link_is_recorded_once_and_ended_for_the_future_only(graph: Graph) -> None:
    door = graph.door
    head = door.head()
    assert graph.link("dataset:raw@1", graph.cleaning) == {"changed": 0, "position": head}
    assert graph.link("dataset:raw@1", graph.cleaning, role="reference")["changed"] == 1, "another role is another link"
    ended = {"links": [{"upstream": "dataset:clean@1", "downstream": graph.training, "type": "used",
                        "role": "training"}]}  # fmt: skip
    assert door.made("links/remove", ended)["changed"] == 1
    now = door.head()
    assert door.made("links/remove", ended) == {"changed": 0, "position": now}
    assert set(graph.nodes("model:risk@1")) == {graph.model, graph.training}
    assert len(graph.nodes("model:risk@1", as_of=head)) == 5
    assert graph.link("dataset:clean@1", graph.training, role="training")["changed"] == 1
    assert len(graph.nodes("model:risk@1")) == 5
    assert set(graph.nodes("model:risk@1", as_of=now)) == {graph.model, graph.training}
    verified(door)


def test_what_cannot_be_is_refused_whole(graph: Graph) -> None:
    door = graph.door
    good = {"upstream": "dataset:raw@1", "downstream": graph.training, "type": "used"}
    for bad, code in (
        ({"upstream": graph.model, "downstream": graph.cleaning, "type": "used"}, "invalid_input"),
        ({"upstream": graph.model, "downstream": "model:risk@1", "type": "derived_from"}, "invalid_input"),
        ({"upstream": "dataset:raw@9", "downstream": graph.training, "type": "used"}, "not_found"),
        ({"upstream": "dataset:none", "downstream": graph.training, "type": "used"}, "not_found"),
        ({"upstream": "f" * 32, "downstream": graph.training, "type": "used"}, "not_found"),
        ({"upstream": "nonsense", "downstream": graph.training, "type": "used"}, "invalid_input"),
        ({"upstream": "urn:muniment:other:dataset:raw@1", "downstream": graph.cleaning, "type": "used"}, None),
        ({"upstream": "urn:muniment:default:dataset:a/b/c@1", "downstream": graph.training, "type": "used"}, None),
        ({"upstream": "urn:muniment:default:thing:raw", "downstream": graph.training, "type": "used"}, None),
        ({"upstream": f"run:{graph.training}", "downstream": graph.training, "type": "used"}, "invalid_input"),
        ({"upstream": graph.raw, "downstream": graph.training, "type": "eats"}, "invalid_input"),
        ({"upstream": graph.raw, "downstream": graph.training, "type": "used", "role": "x" * 251}, None),
    ):
        refused = door.refused("POST", "links", {"links": [good, bad]})
        assert code is None or refused["code"] == code, refused
    assert graph.raw not in {link["upstream"] for link in graph.lineage(graph.training, depth=1)["links"]}, (
        "the good one of a refused request is not recorded either"
    )
    # a circle within one request
    first, second = run_of(door), run_of(door)
    circle = [{"upstream": first, "downstream": second, "type": "used"},
              {"upstream": second, "downstream": first, "type": "used"}]  # fmt: skip
    assert "descends from" in door.refused("POST", "links", {"links": circle})["detail"]


def test_an_erased_run_keeps_its_place_in_what_came_of_it(graph: Graph) -> None:
    assert graph.door("POST", f"{BASE}/runs/{graph.training}/erase", {"reason": "asked for"})[0] == 200
    assert graph.nodes("model:risk@1") == {graph.model: 0, graph.training: 1}
    verified(graph.door)

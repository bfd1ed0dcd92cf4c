"""The questions of a metadata store, each one call, over a small world whose answers are known."""

from __future__ import annotations

from typing import Any

import pytest
from api.conftest import BASE, Door
from api.test_records import verified

SCHEMA = [{"name": "age", "type": "int64"}, {"name": "spend", "type": "float64"}, {"name": "city", "type": "string"}]
OTHER = [{"name": "pixel", "type": "uint8"}]


class World:
    """Three training runs on versions of customers, one on leads, which look alike, and one on images, which do not."""

    def __init__(self, door: Door) -> None:
        self.door = door
        for name in ("raw", "customers", "leads", "images"):
            door.made("datasets", {"name": name})
        self.version("raw", version="1")
        slices = [{"name": "train"}, {"name": "test", "filter": "month = 12"}]
        self.version("customers", digest="sha256:a", schema=SCHEMA, slices=slices)
        self.version("customers", digest="sha256:b", schema=SCHEMA)
        self.version("leads", digest="sha256:c", schema=SCHEMA[:2])
        self.version("images", digest="sha256:d", schema=OTHER)
        cleaning = self.run("clean")
        self.link("dataset:raw@1", cleaning)
        self.link(cleaning, "dataset:images@1", "generated")
        self.link(cleaning, "dataset:customers@1", "generated")
        door.made("models", {"name": "risk"})
        self.runs = {}
        for name, data, auc in (
            ("first", "customers@1", 0.80), ("second", "customers@1", 0.90), ("newer", "customers@2", 0.95),
            ("leads", "leads@1", 0.70), ("images", "images@1", 0.99),
        ):  # fmt: skip
            run = self.runs[name] = self.run(name)
            self.link(f"dataset:{data}", run, role="training")
            door.made(f"runs/{run}/points", {"series": ["auc"], "value": [auc], "step": [0]})
            door.made("models/risk/versions", {"run": run})

    def version(self, dataset: str, **fields: Any) -> None:
        self.door.made(f"datasets/{dataset}/versions", fields)

    def run(self, name: str, **fields: Any) -> str:
        return str(self.door.made("runs", {"experiment": "churn", "name": name, **fields})["id"])

    def link(self, upstream: str, downstream: str, type_: str = "used", **more: Any) -> None:
        self.door.made("links", {"links": [{"upstream": upstream, "downstream": downstream, "type": type_, **more}]})

    def ask(self, target: str) -> Any:
        status, answer = self.door("GET", f"{BASE}/{target}")
        assert status == 200, answer
        return answer

    def evaluate(self, version: int, auc: float, part: str) -> str:
        body = {
            "model_version": f"risk@{version}",
            "dataset_version": "customers@1",
            "slice": part,
            "metrics": {"auc": auc},
        }
        return str(self.door.made("evaluations", body)["id"])


@pytest.fixture
def world(door: Door) -> World:
    return World(door)


def test_which_run_scored_best_on_this_data(world: World) -> None:
    whole = world.ask("best?metric=auc&dataset=customers@1")
    assert [(score["run"]["name"], score["value"]) for score in whole["scores"]] == [("second", 0.9), ("first", 0.8)]
    assert all(score["evaluation"] is None for score in whole["scores"])
    head = world.door.head()
    evaluation = world.evaluate(1, 0.85, "test")
    world.evaluate(2, 0.75, "test")
    world.evaluate(2, 0.99, "train")
    test = world.ask("best?metric=auc&dataset=customers@1&slice=test")
    assert [(score["run"]["name"], score["value"]) for score in test["scores"]] == [("first", 0.85), ("second", 0.75)]
    assert test["scores"][0]["evaluation"] == evaluation
    least = world.ask("best?metric=auc&dataset=customers@1&slice=test&order=least&limit=1")
    assert [score["value"] for score in least["scores"]] == [0.75]
    assert world.ask(f"best?metric=auc&dataset=customers@1&slice=test&as_of={head}")["scores"] == []
    assert world.ask("best?metric=f1&dataset=customers@1")["scores"] == []
    assert world.door.refused("GET", "best?metric=auc&dataset=customers@7")["field"] == "dataset"
    assert world.door.refused("GET", "best?metric=auc&dataset=customers")["field"] == "dataset"


def test_which_runs_used_similar_data_and_why(world: World) -> None:
    found = world.ask(f"runs/{world.runs['first']}/similar")["similar"]
    reasons = {hit["run"]["name"]: [why["reason"] for why in hit["reasons"]] for hit in found}
    assert reasons == {
        "second": ["same version"], "newer": ["same dataset"], "images": ["shared ancestor"],
        "leads": ["similar schema"],
    }  # fmt: skip
    assert [hit["run"]["name"] for hit in found] == ["second", "newer", "images", "leads"]
    assert found[2]["reasons"][0] == {
        "reason": "shared ancestor", "mine": "customers@1", "theirs": "images@1", "detail": "raw@1"
    }  # fmt: skip
    assert found[3]["reasons"][0]["detail"] == "0.67"
    world.version("leads", version="sliced", schema=OTHER, slices=[{"name": "test", "filter": "month = 12"}])
    late = world.run("late")
    world.link("dataset:leads@sliced", late)
    again = world.ask(f"runs/{world.runs['first']}/similar?limit=3")
    assert [(hit["run"]["name"], hit["reasons"][0]["reason"]) for hit in again["similar"]][2] == (
        "late", "overlapping slice"
    )  # fmt: skip
    assert again["truncated"]


def test_what_made_a_model_version_and_what_is_missing(world: World) -> None:
    report = world.ask("models/risk/versions/1/reproducibility")
    assert (report["name"], report["run"]["name"]) == ("risk@1", "first")
    assert [(item["name"], item["role"]) for item in report["inputs"]] == [("customers@1", "training")]
    assert [node["name"] for node in report["ancestors"]] == ["first", "customers@1", "clean", "raw@1"]
    assert [line.partition(":")[0] for line in report["missing"]] == ["code", "code", "environment", "seed", "model"]
    run = world.run(
        "complete",
        code={"commit": "0123abc", "entry_point": "train.py"},
        environment={"packages_digest": "aa"},
        seeds={"numpy": 7},
        params={"lr": 0.1},
    )
    world.link("dataset:customers@1", run)
    made = world.door.made("models/risk/versions", {"run": run, "digest": "sha256:m"})
    complete = world.ask(f"models/risk/versions/{made['version']}/reproducibility")
    assert (complete["missing"], complete["params"]) == ([], {"lr": "0.1"})
    door = world.door
    model = door("GET", f"{BASE}/models/risk")[1]["model"]["id"]
    door("PUT", f"{BASE}/models/risk/aliases/best@home", {"version": 1})
    for path in (f"models/{model}/versions/1", "models/risk/versions/best@home"):
        again = world.ask(f"{path}/reproducibility")
        assert again["model_version"] == report["model_version"], "a model goes by its id too, an alias by what it is"
        assert door.transport.request("GET", f"{BASE}/{path}/card", {}, b"").status == 200
    nobody = world.door.made("models/risk/versions", {})
    assert "which run" in world.ask(f"models/risk/versions/{nobody['version']}/reproducibility")["missing"][0]


def test_uncommitted_changes_are_missing_unless_they_are_kept(world: World) -> None:
    door, run = world.door, world.runs["newer"]
    door("PATCH", f"{BASE}/runs/{run}", {"code": {"commit": "abc", "entry_point": "train.py", "diff_digest": "d" * 64}})
    door.made("models/risk/versions", {"run": run, "digest": "sha256:z", "aliases": ["changed"]})

    def lines() -> list[str]:
        missing = world.ask("models/risk/versions/changed/reproducibility")["missing"]
        return [line for line in missing if line.startswith("code")]

    assert len(lines()) == 1
    assert "uncommitted" in lines()[0]
    answer = door.raw("PUT", f"records/{run}/artifacts/code/changes.diff", b"+ a line", Content_Type="text/x-diff")
    assert answer.status in {200, 201}, answer
    assert lines() == []
    door("PATCH", f"{BASE}/runs/{run}", {"code": {"command": ["python", "train.py"]}})
    assert "no commit" in lines()[0]
    door.raw("PUT", f"records/{run}/artifacts/code/program.py", b"print()", Content_Type="text/plain")
    assert lines() == [], "a program in no repository is kept whole"


def test_only_what_tells_records_apart(world: World) -> None:
    door = world.door
    door.made(f"runs/{world.runs['first']}/params", {"params": {"lr": 0.1, "deep": True}})
    door.made(f"runs/{world.runs['second']}/params", {"params": {"lr": 0.2, "deep": True}})
    body = {"records": [world.runs["first"], world.runs["second"]]}
    found = door.made("compare", body)
    assert [node["name"] for node in found["records"]] == ["first", "second"]
    different = {name: values for name, values in found["different"].items() if name != "started_at"}
    assert different == {"name": ["first", "second"], "params.lr": ["0.1", "0.2"], "metrics.auc": [0.8, 0.9]}
    assert found["same"] > 5
    versions = door.made("compare", {"records": ["dataset:customers@1", "dataset:customers@2", "dataset:leads@1"]})
    assert versions["different"]["digest"] == ["sha256:a", "sha256:b", "sha256:c"]
    assert versions["different"]["schema"][0] == SCHEMA
    assert "license" not in versions["different"]
    assert door.refused("POST", "compare", {"records": ["dataset:customers@1", "model:risk@1"]})["field"] == "records"
    assert door.refused("POST", "compare", {"records": ["dataset:customers@1"]})["field"] == "records"


def test_everything_that_happened_to_a_record(world: World) -> None:
    door, run = world.door, world.runs["first"]
    door.made(f"runs/{run}/tags", {"tags": {"team": "risk"}})
    door.made(f"runs/{run}/tags", {"tags": {"team": None}})
    door("PATCH", f"{BASE}/runs/{run}", {"state": "finished", "description": "done"})
    history = world.ask(f"records/{run}/changes")
    steps = [(step["action"], {change["field"]: (change["before"], change["after"]) for change in step["changes"]})
             for step in history["steps"]]  # fmt: skip
    assert [action for action, _ in steps] == ["run.create", "link.add", "run.tags", "run.tags", "run.update"]
    assert steps[0][1]["state"] == (None, "running")
    assert steps[2][1] == {"tags.team": (None, "risk")}
    assert steps[3][1] == {"tags.team": ("risk", None)}
    assert steps[4][1]["state"] == ("running", "finished")
    assert steps[4][1]["description"] == (None, "done")
    part = world.ask(f"records/{run}/changes?limit=2")
    assert (len(part["steps"]), part["next"]) == (2, history["steps"][1]["position"])
    rest = world.ask(f"records/{run}/changes?after={part['next']}")
    assert [*part["steps"], *rest["steps"]] == history["steps"]
    door("PUT", f"{BASE}/models/risk/aliases/champion", {"version": 2})
    model = world.ask("records/model:risk/changes")["steps"][-1]
    assert (model["action"], model["changes"][0]["field"]) == ("model.alias", "aliases.champion")


def test_how_data_came_from_here_to_there(world: World) -> None:
    path = world.ask("lineage/dataset:raw@1/path/model:risk@1")
    assert [node["name"] for node in path["nodes"]] == ["raw@1", "clean", "customers@1", "first", "risk@1"]
    assert [link["type"] for link in path["links"]] == ["used", "generated", "used", "generated"]
    assert world.ask("lineage/dataset:leads@1/path/model:risk@1")["nodes"] == []
    found = world.ask("lineage/model:risk@1/difference/model:risk@4")
    assert {node["name"] for node in found["only_first"]} == {"risk@1", "first", "customers@1", "clean", "raw@1"}
    assert {node["name"] for node in found["only_second"]} == {"risk@4", "leads", "leads@1"}
    assert found["common"] == 0
    assert world.ask("lineage/model:risk@1/difference/model:risk@2")["common"] == 3
    verified(world.door)

"""Facets and tags that are the door's own belong to records like others: whatever they are, the door answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mlflow_door.asking import Asking, asking
from muniment_server.api.mlflow.routes import homes, numbers

NONE = "0123456789abcdef0123456789abcdef"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
WRONG: tuple[Any, ...] = (None, 2**63 - 1, "x", [1], {"x": 1}, NONE)
DATASET = {"name": "d", "digest": "1", "source_type": "local", "source": "s", "schema": "{}", "profile": "{}"}


class Made:
    """A store with a record of each kind that the door keeps facets of."""

    def __init__(self, ask: Asking) -> None:
        self.ask = ask
        self.experiment = ask.experiment()
        self.run = ask.run(self.experiment)
        begun = {"experiment_id": self.experiment, "name": "logged", "source_run_id": self.run, "params": [
            {"key": "p", "value": "1"}
        ]}  # fmt: skip
        self.model = ask("POST", "logged-models", begun)["model"]["info"]["model_id"]
        tags = [{"key": "mlflow.data.context", "value": "training"}, {"key": "t", "value": "1"}]
        used = {"datasets": [{"dataset": DATASET, "tags": tags}], "models": [{"model_id": self.model}]}
        ask("POST", "runs/outputs", {"run_id": self.run, "models": [{"model_id": self.model, "step": 3}]})
        ask("POST", "runs/log-inputs", {"run_id": self.run, **used})
        point = {"key": "acc", "value": 0.5, "timestamp": 1, "step": 1, "model_id": self.model}
        ask("POST", "runs/log-batch", {"run_id": self.run, "metrics": [
            {**point, "dataset_name": "d", "dataset_digest": "1"}, {**point, "key": "inf", "value": "Infinity"},
        ]})  # fmt: skip
        ask.model("r")
        ask.version("r", f"models:/{self.model}", model_id=self.model, run_link="l")
        self.version = ask.found("model_version", "model.name = 'r'")[0]["id"]
        self.dataset = ask.found("dataset_version")[0]["id"]
        self.family = ask.found("model", "name != 'r'")[0]["id"]
        self.records = {
            "experiment": ask("GET", "/v1/projects/default/experiments/e")["id"], "run": self.run,
            "logged": self.model.removeprefix("m-"), "version": self.version, "dataset": self.dataset,
        }  # fmt: skip

    def facets(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(record, name, document) of every facet that the door has kept."""
        for record in self.records.values():
            for name, said in self.ask.ours("GET", f"records/{record}/facets")["facets"].items():
                yield record, name, said["value"]

    def answers(self, first: int = 0, step: int = 1) -> list[tuple[str, int, Any]]:
        """(what, status, document) of what reads what is kept: all of it, or each of some steps."""
        of, only = {"experiment_ids": [self.experiment]}, {"name": "r"}
        model = f"logged-models/{self.model}"
        asked: list[tuple[str, str, Any, dict[str, Any]]] = [
            ("GET", "experiments/get", None, {"experiment_id": self.experiment}),
            ("POST", "experiments/search", {"max_results": 10}, {}),
            ("GET", "runs/get", None, {"run_id": self.run}), ("POST", "runs/search", of, {}),
            ("POST", "runs/search", {**of, "filter": "artifact_uri LIKE '%'"}, {}),
            ("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", of, {}),
            ("GET", model, None, {}), ("GET", f"{model}/artifacts/directories", None, {}),
            *(
                ("POST", "logged-models/search", {**of, **more}, {})
                for more in (
                    {}, {"filter": "metrics.acc > 0.1"}, {"filter": "params.p = '1' AND status = 'READY'"},
                    {"order_by": [{"field_name": "metrics.acc"}]}, {"filter": f"source_run_id = '{self.run}'"},
                )
            ),
            ("GET", "registered-models/get", None, only), ("GET", "registered-models/search", None, {}),
            ("GET", "model-versions/get", None, {**only, "version": "1"}), ("GET", "model-versions/search", None, {}),
            ("GET", "model-versions/get-download-uri", None, {**only, "version": "1"}),
            ("GET", "artifacts/list", None, {"run_id": self.run}),
            ("GET", f"/get-artifact?path=none&run_id={self.run}", None, {}),
            ("GET", "/model-versions/get-artifact?path=none&name=r&version=1", None, {}),
            ("GET", f"{FILES}?path={self.experiment}/models/{self.model}/artifacts", None, {}),
        ]  # fmt: skip
        return [(path, *self.ask.raw(method, path, body, **query)) for method, path, body, query in asked[first::step]]

    def changes(self, mark: int) -> list[tuple[str, int, Any]]:
        """(what, status, document) of all that goes on from what is kept."""
        model = f"logged-models/{self.model}"
        asked: list[tuple[str, str, Any]] = [
            ("PATCH", f"{model}/tags", {"tags": [{"key": "k", "value": "v"}]}),
            ("POST", f"{model}/params", {"params": [{"key": f"p{mark}", "value": "v"}]}),
            ("PATCH", model, {"model_id": self.model, "status": "LOGGED_MODEL_READY"}),
            ("POST", "model-versions/create", {"name": "r", "source": f"runs:/{self.run}/logged", "run_id": self.run}),
            ("POST", "model-versions/create", {
                "name": "r", "source": f"models:/{self.model}", "model_id": self.model,
            }),
            ("POST", "model-versions/create", {"name": "r", "source": "models:/r/1"}),
        ]  # fmt: skip
        return [(path, *self.ask.raw(method, path, body)) for method, path, body in asked]


@pytest.fixture
def made(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    with asking(store_url, tmp_path / "home", monkeypatch) as found:
        yield Made(found)


def misshapen(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A document with each of its fields gone, or something else, and those within them too."""
    yield {}
    yield {"x": 1}
    for wrong in WRONG:
        yield dict.fromkeys(document, wrong)
    for name, value in document.items():
        yield {other: said for other, said in document.items() if other != name}
        if isinstance(value, dict):
            yield from ({**document, name: inner} for inner in misshapen(value))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ({**document, name: [inner, *value[1:]]} for inner in misshapen(value[0]))
        yield from ({**document, name: wrong} for wrong in WRONG)


def test_whatever_a_facet_is_the_door_answers(made: Made) -> None:
    kept = list(made.facets())
    assert {name.partition("/")[0] for _, name, _ in kept} >= {
        "mlflow", "mlflow.output", "mlflow.input", "mlflow.metrics", "mlflow.used"
    }  # fmt: skip
    whole = made.answers()
    assert all(status == 200 for path, status, _ in whole if "get-artifact" not in path), whole
    for record, name, document in kept:
        target = f"records/{record}/facets/{quote(name, safe='')}"
        for tried, wrong in enumerate(misshapen(document)):
            made.ask.ours("PUT", target, {"value": wrong})
            homes._known.clear()  # what was found before the facet was changed
            numbers._known.clear()
            found = [*made.answers(tried % 4, 4), *(made.changes(tried) if tried % 10 == 0 else ())]
            assert not [answer for answer in found if answer[1] >= 500], (name, wrong)
        made.ask.ours("PUT", target, {"value": document})


def test_what_is_right_of_a_facet_counts(made: Made) -> None:
    logged, run = made.records["logged"], made.run
    facets = {name: (record, said) for record, name, said in made.facets()}
    target = f"records/{logged}/facets/mlflow"
    (document,) = [said for record, name, said in made.facets() if (record, name) == (logged, "mlflow")]
    made.ask.ours(
        "PUT", target, {"value": {**document, "model_type": 5, "params": {"p": "1", "q": []}, "updated": "x"}}
    )
    told = made.ask("GET", f"logged-models/{made.model}")["model"]
    assert (told["info"]["model_type"], told["data"]["params"]) == ("", [{"key": "p", "value": "1"}])
    (name,) = [name for name in facets if name.startswith("mlflow.metrics/")]
    points = [{"key": "other"}, 5, *facets[name][1]["points"], {"key": "k", "value": "high", "timestamp": 1, "step": 1}]
    made.ask.ours(
        "PUT", f"records/{logged}/facets/{quote(name, safe='')}", {"value": {**facets[name][1], "points": points}}
    )
    told = made.ask("GET", f"logged-models/{made.model}")["model"]
    assert [one["key"] for one in told["data"]["metrics"]] == ["acc", "inf"]
    made.ask.ours("PUT", f"records/{run}/facets/mlflow", {"value": {"artifact_uri": ["x"]}})
    told = made.ask("GET", "runs/get", run_id=run)["run"]["info"]
    assert told["artifact_uri"] == f"mlflow-artifacts:/{made.experiment}/{run}/artifacts"
    for gone in ({"experiment": NONE}, {"experiment": "x"}, {"status": "x"}, {"name": 1}):
        made.ask.ours("PUT", target, {"value": {**document, **gone}})
        status, said = made.ask.raw("GET", f"logged-models/{made.model}")
        assert (status, said["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), "what is no logged model is none"


@pytest.mark.parametrize("value", ["", "x", NONE, "\\", "[1"])
def test_whatever_a_tag_is_the_door_answers(made: Made, value: str) -> None:
    for record, key in ((made.family, "mlflow.loggedModels"), (made.records["logged"], "mlflow.modelVersions")):
        made.ask.ours("POST", f"records/{record}/tags", {"tags": {key: value}})
    homes._known.clear()
    found = [*made.answers(), *made.changes(0)]
    path = f"{made.experiment}/models/{made.model}/artifacts"
    found.append(("files", *made.ask.raw("GET", f"{FILES}/{path}/a")))
    assert not [answer for answer in found if answer[1] >= 500], found

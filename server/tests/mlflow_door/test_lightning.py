"""Lightning's own MLFlowLogger, unmodified and in an environment of its own, against `muniment serve`, on both engines.

What the trainer logged, what MLflow's client reads back and what Muniment tells of the same run are the same.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest

from mlflow_door.test_client import play
from muniment.client import Client

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3_000)]  # PyTorch is installed by the first that needs it
PARAMS = {"lr": "0.1", "optimizer/name": "sgd", "optimizer/betas": "(0.9, 0.99)", "note": "ü" * 250}
"""Lightning flattens what is nested and cuts what is long."""
STEPS = 12
BESIDE = ("aliases.txt", "metadata.yaml")
"""What Lightning puts beside each checkpoint."""


@pytest.fixture
def told(our_port: int, tmp_path: Path) -> dict[str, Any]:
    found, said = play("trainer", f"http://127.0.0.1:{our_port}", tmp_path, what="lightning")
    assert "Traceback" not in said
    return found


def kept(*checkpoints: str) -> list[str]:
    return sorted(f"{name}/{file}" for name in checkpoints for file in (f"{name}.ckpt", *BESIDE))


def series(client: Client, run: str, metric: str) -> list[list[Any]]:
    found = client.series(run, metric)
    assert isinstance(found.step, bytes)
    assert isinstance(found.value, bytes)
    return [list(pair) for pair in zip(array("q", found.step), array("d", found.value), strict=True)]


def test_what_lightnings_logger_for_mlflow_sends(our_port: int, told: dict[str, Any]) -> None:
    trained, resumed, failed = told["trained"], told["resumed"], told["failed"]
    assert (trained["name"], trained["status"], trained["experiment"]) == ("first", "FINISHED", "lines")
    assert (trained["params"], trained["tags"]) == (PARAMS, {"team": "risk"})
    assert [step for step, _ in trained["seen"]["loss"]] == list(range(STEPS))
    for metric, seen in trained["seen"].items():
        assert trained["series"][metric] == seen, metric
        assert trained["last"][metric] == seen[-1][1], metric
    assert trained["last"]["epoch"] == 3
    assert trained["files"] == kept("epoch=1-step=8", "epoch=2-step=12", "last")
    assert trained["same"], "the checkpoint comes back as it was written"
    assert trained["score"]
    assert trained["weights"] == ["layer.bias", "layer.weight"]

    assert (resumed["run"], resumed["status"], resumed["params"]) == (trained["run"], "FINISHED", PARAMS)
    assert resumed["series"]["again-loss"] == resumed["seen"]["loss"]
    assert resumed["series"]["loss"] == trained["seen"]["loss"]
    again = [f"again-epoch={epoch}" for epoch in range(3)]
    assert resumed["files"] == sorted(trained["files"] + kept(*again))
    assert (failed["status"], failed["files"]) == ("FAILED", [])
    assert failed["series"]["loss"] == failed["seen"]["loss"]
    assert len(failed["seen"]["loss"]) == 2

    with Client(f"http://127.0.0.1:{our_port}") as client:
        found = client.get_run(trained["run"])
        assert (found.run.name, found.run.state, found.tags["team"]) == ("first", "finished", "risk")
        assert found.params == PARAMS
        assert found.metrics["loss"].count == STEPS
        for metric, seen in [*trained["seen"].items(), ("again-loss", resumed["seen"]["loss"])]:
            assert series(client, trained["run"], metric) == seen, metric
        artifacts = {one.path: one.artifact.digest for one in client.artifacts(trained["run"])}
        assert sorted(artifacts) == resumed["files"]
        best = trained["best"]
        assert artifacts[f"{best}/{best}.ckpt"].removeprefix("sha256:") == trained["digest"]
        assert client.get_run(failed["run"]).run.state == "failed"

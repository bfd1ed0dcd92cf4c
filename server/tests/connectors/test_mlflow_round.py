"""MLflow → here → MLflow: its own client tells the same of both ends."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from robustness.server import Server

from connectors.conftest import told, with_mlflow
from connectors.test_mlflow_import import brought, of, silent
from muniment.model import mlflow
from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.experiment import NewExperiment
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun
from muniment_server.annexes.connectors.mlflow import exporting
from muniment_server.annexes.connectors.mlflow.exporting import Exported
from muniment_server.annexes.connectors.mlflow.holdings import Holdings
from muniment_server.annexes.connectors.mlflow.wire import Api
from muniment_server.services import experiments, inputs, metrics, runs
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace


def sent(workspace: Workspace, server: str) -> Exported:
    api = Api(server)
    try:
        return exporting.take(Holdings(workspace, workspace.owner_scope, DEFAULT_PROJECT), api, silent)
    finally:
        api.close()


def test_a_round_trip_loses_nothing(
    workspace: Workspace, database: Path, recorded_told: dict[str, Any], empty_server: str, tmp_path: Path
) -> None:
    brought(workspace, of(database))
    done = sent(workspace, empty_server)
    assert done.refused == {}
    back = told(tmp_path, empty_server)
    for kind, found in recorded_told.items():
        assert back[kind] == found
    assert back == recorded_told
    again = sent(workspace, empty_server)
    assert (again.new, again.refused) == ({}, {})
    assert told(tmp_path, empty_server) == back


def test_mlflows_client_is_told_the_same_by_our_server(
    store_url: str, trust_folder: Path, database: Path, recorded_told: dict[str, Any], tmp_path: Path
) -> None:
    workspace = Workspace(store_url, trust=trust_folder)
    brought(workspace, of(database))
    workspace.close()
    with Server(store_url, trust_folder, tmp_path / "log").start() as serving:
        here = told(tmp_path, f"http://127.0.0.1:{serving.port}")
        serving.stop()
    odd = [run for run, one in recorded_told["runs"].items() if one["info"][4] and one["info"][4] < one["info"][3]]
    assert len(odd) == 1  # a run that ended before it began ends here when it began
    here["runs"][odd[0]]["info"][4] = recorded_told["runs"][odd[0]]["info"][4]
    assert here == recorded_told


def test_what_has_come_since_is_sent_next_time(
    workspace: Workspace, database: Path, empty_server: str, tmp_path: Path
) -> None:
    brought(workspace, of(database))
    sent(workspace, empty_server)
    with_mlflow("recorded.py", tmp_path, f"sqlite:///{database}", "again")
    brought(workspace, of(database))
    done = sent(workspace, empty_server)
    assert done.refused == {}
    assert done.new["runs"] == 1
    there, back = told(tmp_path, f"sqlite:///{database}"), told(tmp_path, empty_server)
    assert back["runs"] == {
        run: {**one, "experiment": back["runs"][run]["experiment"]} for run, one in there["runs"].items()
    }
    assert back["models"] == there["models"]
    assert back["versions"] == there["versions"]


def test_a_dataset_that_is_new_to_the_server_is_told_by_one_run_at_a_time(
    workspace: Workspace, empty_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = workspace.owner_scope
    workspace.writer.write(experiments.create(workspace, owner, DEFAULT_PROJECT, NewExperiment(name="shared")))
    made = []
    for _ in range(16):
        run = workspace.writer.write(runs.create(workspace, owner, DEFAULT_PROJECT, NewRun(experiment="shared")))
        used = inputs.NewInput(
            dataset=NewDataset(name="customers"), version=NewDatasetVersion(digest="2026"), role="training"
        )
        workspace.writer.write(
            inputs.log(workspace, owner, DEFAULT_PROJECT, run.id, [used], {}, mlflow.FACET)
        )  # fmt: skip
        made.append(run.id)
    send, told_by = Api.send, []

    def slowly(api: Api, path: str, *given: Any, **named: Any) -> Any:
        if path != "runs/log-inputs":
            return send(api, path, *given, **named)
        told_by.append("begins")
        time.sleep(0.05)  # in which the other runs come to the same point
        answer = send(api, path, *given, **named)
        told_by.append("ends")
        return answer

    monkeypatch.setattr(Api, "send", slowly)
    assert sent(workspace, empty_server).refused == {}
    assert told_by[:2] == ["begins", "ends"]
    assert told_by.count("ends") == len(made)


def test_what_mlflow_cannot_have_is_told_and_keeps_nothing_else(
    workspace: Workspace, empty_server: str, tmp_path: Path
) -> None:
    owner = workspace.owner_scope
    new = NewRun(experiment="odd", name="odd", params={"fine": 1, "not <this>": 2, "long": "x" * 6_001})
    workspace.writer.write(experiments.create(workspace, owner, DEFAULT_PROJECT, NewExperiment(name="odd")))
    run = workspace.writer.write(runs.create(workspace, owner, DEFAULT_PROJECT, new))
    points = NewPoints(series=["loss"], value=[1.0, "Infinity", "NaN"], step=[1, 2, 3], timestamp=[1, 2, 3])
    workspace.writer.write(metrics.log(workspace, owner, DEFAULT_PROJECT, run.id, points))
    done = sent(workspace, empty_server)
    assert done.refused == {"params": 2}
    assert "6,001 characters" in done.refusals[0].detail
    assert "not <this>" in done.refusals[1].where
    back = told(tmp_path, empty_server)["runs"][run.id]
    assert back["params"] == {"fine": "1", "long": "x" * 6_000}
    assert [value for _, _, value in back["metrics"]["loss"]] == ["1.0", "1.7976931348623157e+308", "nan"]


def test_the_place_of_a_deleted_version_stays_empty(
    workspace: Workspace, database: Path, empty_server: str, tmp_path: Path
) -> None:
    with sqlite3.connect(database) as connection:
        gone = connection.execute("SELECT version, current_stage FROM model_versions WHERE version = 4").fetchall()
    assert gone in ([], [(4, "Deleted_Internal")])
    brought(workspace, of(database))
    assert sent(workspace, empty_server).refused == {}
    assert sorted(told(tmp_path, empty_server)["versions"]) == ["risk@1", "risk@2", "risk@3", "risk@5"]

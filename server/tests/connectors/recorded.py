"""Run by an interpreter that has the real MLflow: records a history with everything that an import has to bring.

Usage: recorded.py URI [again]. `again` adds to what is there: points, a run, a version, other tags.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

TEXT = "Grüße, 世界 🌍 \u202e \t and a\nline"


def everything(client: MlflowClient) -> None:
    first = client.create_experiment("churn", tags={"team": "growth", "mlflow.note.content": "# Churn\n" + TEXT})
    second = client.create_experiment("Ümläut / odd: name")
    gone = client.create_experiment("abandoned", tags={"why": "budget"})
    parent = _run(client, first, "parent", points=40)
    for number in range(3):
        _run(client, first, f"child-{number}", points=25, parent=parent)
    special(client, second)
    _run(client, first, "failed", status="FAILED")
    _run(client, first, "killed", status="KILLED")
    running = client.create_run(first, run_name="running")
    client.log_metric(running.info.run_id, "loss", 0.5, step=1)
    client.delete_run(_run(client, first, "deleted", points=5))
    _run(client, gone, "of an experiment that is deleted", points=3)
    client.delete_experiment(gone)
    datasets_and_models(client, first, second, parent)
    registry(client, parent)


def _run(
    client: MlflowClient,
    experiment: str,
    name: str,
    *,
    points: int = 0,
    parent: str | None = None,
    status: str = "FINISHED",
) -> str:
    tags = {"phase": "train", "empty": "", "text": TEXT, "mlflow.source.name": "train.py",
            "mlflow.source.git.commit": "a" * 40, "mlflow.source.git.repoURL": "https://example.org/r.git",
            "mlflow.source.git.branch": "main", "mlflow.user": "ada"}  # fmt: skip
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    run = client.create_run(experiment, run_name=name, tags=tags, start_time=1_700_000_000_123).info.run_id
    metrics = [
        Metric(key, math.sin(step + len(key)), 1_700_000_000_000 + 10 * step, step)
        for key in ("loss", "val/auc score", "système.memory")
        for step in range(points)
    ]
    for start in range(0, len(metrics), 500):
        client.log_batch(run, metrics=metrics[start : start + 500])
    client.log_batch(run, params=[Param("lr", "0.01"), Param("layers", "[1, 2]"), Param("text", TEXT), Param("no", "")])
    if status != "RUNNING":
        client.set_terminated(run, status, end_time=1_700_000_100_456)
    return str(run)


def special(client: MlflowClient, experiment: str) -> None:
    """Values that are no plain numbers, steps and times in no order, the same step again."""
    run = client.create_run(experiment, run_name=None, start_time=1_600_000_000_000).info.run_id
    values = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]
    client.log_batch(run, metrics=[Metric("odd", value, 1_000 + at, at) for at, value in enumerate(values)])
    client.log_batch(run, metrics=[Metric("again", value, 5, 7) for value in (3.0, 1.0, 2.0, math.nan)])
    client.log_batch(run, metrics=[Metric("back", 1.0, 9_000 - step, -step) for step in range(4)])
    client.log_batch(run, tags=[RunTag("mlflow.note.content", TEXT), RunTag("k" * 250, "v" * 5_000)])
    client.set_terminated(run, "FINISHED", end_time=1_500_000_000_000)  # before it began


def datasets_and_models(client: MlflowClient, first: str, second: str, parent: str) -> None:
    frame = pd.DataFrame({"age": [1, 2, 3], "name": ["a", "b", "c"], "churned": [True, False, True]})
    train = mlflow.data.from_pandas(frame, source="https://example.org/train.csv", name="customers", targets="churned")
    other = mlflow.data.from_pandas(frame, source="s3://bucket/copy.csv", name="customers")
    with mlflow.start_run(run_id=parent):
        mlflow.log_input(train, context="training", tags={"split": "80/20"})
        mlflow.log_input(
            mlflow.data.from_pandas(frame[:2], source="https://example.org/test.csv", name="test"), context="eval"
        )
        mlflow.log_text("hello", "notes/hello.txt")
    with mlflow.start_run(experiment_id=second, run_name="same data elsewhere"):
        mlflow.log_input(other, context="training")
    mlflow.set_experiment(experiment_id=first)
    with mlflow.start_run(run_name="with a model") as run:
        model = mlflow.initialize_logged_model(
            name="net", params={"depth": "3"}, tags={"kind": TEXT}, model_type="agent"
        )
        mlflow.log_metrics({"auc": 0.91, "odd": math.nan}, step=3, model_id=model.model_id, dataset=train)
        mlflow.finalize_logged_model(model.model_id, "READY")
        failed = mlflow.initialize_logged_model(name="net", source_run_id=run.info.run_id)
        mlflow.finalize_logged_model(failed.model_id, "FAILED")
    lost = mlflow.initialize_logged_model(name="lost")
    client.delete_logged_model(lost.model_id)


def registry(client: MlflowClient, run: str) -> None:
    client.create_registered_model("risk", tags={"owner": "ada", "text": TEXT}, description="Who leaves\n" + TEXT)
    client.create_registered_model("empty")
    for number in range(1, 5):
        client.create_model_version(
            "risk", f"s3://bucket/risk/{number}", run_id=run if number < 3 else None,
            tags={"number": str(number)}, description=None if number == 1 else f"version {number}",
        )  # fmt: skip
    client.transition_model_version_stage("risk", "1", "Archived")
    client.transition_model_version_stage("risk", "2", "Production")
    client.transition_model_version_stage("risk", "3", "Staging")
    client.delete_model_version("risk", "4")
    client.create_model_version("risk", "s3://bucket/risk/5")
    client.set_registered_model_alias("risk", "champion", "2")
    client.set_registered_model_alias("risk", "challenger-2", "3")


def again(client: MlflowClient) -> None:
    """What comes later."""
    first = client.get_experiment_by_name("churn").experiment_id
    running = client.search_runs([first], "attributes.run_name = 'running'")[0].info.run_id
    client.log_batch(running, metrics=[Metric("loss", 0.4 / step, 2_000 + step, step) for step in range(2, 12)])
    client.log_batch(running, metrics=[Metric("loss", 0.9, 1_000, 0)])  # before what was there
    client.set_tag(running, "phase", "done")
    client.set_terminated(running, "FINISHED")
    _run(client, first, "later", points=7, parent=running)
    client.create_model_version("risk", "s3://bucket/risk/6", run_id=running)
    client.set_registered_model_alias("risk", "champion", "6")
    client.rename_experiment(client.get_experiment_by_name("Ümläut / odd: name").experiment_id, "renamed")
    client.restore_experiment(client.get_experiment_by_name("abandoned").experiment_id)


if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    with tempfile.TemporaryDirectory():
        (again if "again" in sys.argv else everything)(MlflowClient(sys.argv[1]))
    print(Path.cwd())  # noqa: T201 - where its artifacts are

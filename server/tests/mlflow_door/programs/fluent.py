"""What a script does with MLflow's fluent API and its client. Prints, as JSON, what it read back."""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from matplotlib import figure
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

client = MlflowClient()


def refused(what: Callable[[], Any]) -> str:
    """The code with which something is refused."""
    try:
        what()
    except MlflowException as error:
        return error.error_code
    return "nothing"


def experiments() -> dict[str, Any]:
    """Experiments: made, tagged, renamed, searched, deleted, restored."""
    made = mlflow.set_experiment("first")
    mlflow.set_experiment_tags({"team": "fraud", "odd key": "x"})
    again = mlflow.set_experiment("first")
    client.rename_experiment(made.experiment_id, "renamed")
    other = mlflow.create_experiment("other", tags={"team": "churn"})
    mlflow.delete_experiment(other)
    gone = [one.name for one in mlflow.search_experiments(view_type=ViewType.DELETED_ONLY)]
    taken = refused(lambda: mlflow.create_experiment("other"))
    stage = client.get_experiment(other).lifecycle_stage
    client.restore_experiment(other)
    return {
        "same": made.experiment_id == again.experiment_id,
        "tags": client.get_experiment(made.experiment_id).tags,
        "by name": client.get_experiment_by_name("renamed").experiment_id == made.experiment_id,
        "none": client.get_experiment_by_name("first") is None,
        "deleted": gone, "taken": taken, "stage": stage,
        "by tag": [one.name for one in mlflow.search_experiments(filter_string="tags.team = 'fraud'")],
        "like": sorted(one.name for one in mlflow.search_experiments(filter_string="name ILIKE '%E%'")),
        "ordered": [one.name for one in mlflow.search_experiments(order_by=["name DESC"])],
        "pages": [len(client.search_experiments(max_results=2)), bool(client.search_experiments(max_results=2).token)],
    }  # fmt: skip


def logging() -> dict[str, Any]:
    """A run with everything that can be said of one, and one nested in it."""
    mlflow.set_experiment("logging")
    data = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0, 1, 0]})
    dataset = mlflow.data.from_pandas(data, source="https://data.example/train.csv", name="train", targets="y")
    with mlflow.start_run(run_name="outer", tags={"lang": "py"}, description="about it") as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"depth": 3, "why": "ü" * 10})
        for step in range(5):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.log_metrics({"nan": math.nan, "inf": math.inf, "auc": 0.9}, step=7, timestamp=1_700_000_000_000)
        mlflow.set_tags({"a": "1", "b": "2"})
        mlflow.delete_tag("b")
        mlflow.log_input(dataset, context="training", tags={"split": "first"})
        mlflow.set_tag("mlflow.runName", "named again")
        with mlflow.start_run(nested=True, run_name="inner") as inner:
            mlflow.log_metric("loss", 0.5)
        refusal = refused(lambda: mlflow.log_param("lr", 0.2))
    found = client.get_run(run.info.run_id)
    used = found.inputs.dataset_inputs[0]
    return {
        "run": run.info.run_id, "inner": inner.info.run_id, "status": found.info.status, "name": found.info.run_name,
        "ended": found.info.end_time >= found.info.start_time, "params": found.data.params,
        "metrics": {key: str(value) for key, value in found.data.metrics.items()},
        "tags": {key: value for key, value in found.data.tags.items() if not key.startswith("mlflow.")},
        "note": found.data.tags["mlflow.note.content"], "refused": refusal,
        "history": [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")],
        "dataset": [used.dataset.name, used.dataset.source_type, sorted((tag.key, tag.value) for tag in used.tags)],
        "digest": used.dataset.digest == dataset.digest, "schema": "mlflow_colspec" in used.dataset.schema,
        "parent": mlflow.get_parent_run(inner.info.run_id).info.run_id == run.info.run_id,
        "children": [one.info.run_name for one in client.search_runs(
            [run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")],
    }  # fmt: skip


def much() -> dict[str, Any]:
    """Points without waiting for each, in batches, and from the machine."""
    mlflow.set_experiment("much")
    mlflow.set_system_metrics_sampling_interval(0.1)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        for step in range(600):
            mlflow.log_metric("fast", step / 2, step=step, synchronous=False)
        mlflow.log_params({f"p{at}": at for at in range(130)}, synchronous=False)
        mlflow.flush_async_logging()
        client.log_batch(
            run.info.run_id,
            [Metric("batch", at, 1_700_000_000_000 + at, at) for at in range(1_000)],
            [Param("together", "1")], [RunTag("with", "a tag")],
        )  # fmt: skip
        time.sleep(0.5)
    found = client.get_run(run.info.run_id)
    history = client.get_metric_history(run.info.run_id, "fast")
    return {
        "run": run.info.run_id, "points": len(history), "right": all(one.value == one.step / 2 for one in history),
        "batch": [len(client.get_metric_history(run.info.run_id, "batch")), found.data.metrics["batch"]],
        "params": len(found.data.params), "tag": found.data.tags["with"],
        "machine": sorted(key for key in found.data.metrics if key.startswith("system/cpu")),
    }  # fmt: skip


def files() -> dict[str, Any]:
    """Files of every sort, and the same read back."""
    mlflow.set_experiment("files")
    folder = Path(tempfile.mkdtemp())
    (folder / "in").mkdir()
    (folder / "in" / "ü b.bin").write_bytes(bytes(range(256)))
    (folder / "large").write_bytes(b"0123456789abcdef" * 200_000)
    drawn = figure.Figure()
    drawn.subplots().plot([1, 2])
    with mlflow.start_run() as run:
        mlflow.log_text("text", "notes/a.txt")
        mlflow.log_text("", "empty")
        mlflow.log_dict({"a": [1, 2]}, "d.json")
        mlflow.log_dict({"a": 1}, "d.yaml")
        mlflow.log_figure(drawn, "plots/figure.png")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "image.png")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), key="seen", step=2)
        mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "table.json")
        mlflow.log_table({"q": ["c"], "n": [3]}, "table.json")
        mlflow.log_artifacts(str(folder), "folder")
        mlflow.log_artifact(str(folder / "in" / "ü b.bin"))
    of = f"runs:/{run.info.run_id}"
    everything = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=str(folder / "out")))
    names = sorted(str(path.relative_to(everything)) for path in everything.rglob("*") if path.is_file())
    return {
        "run": run.info.run_id, "uri": run.info.artifact_uri,
        "names": [name for name in names if "images/" not in name],
        "images": len([name for name in names if name.startswith("images/seen")]),
        "text": mlflow.artifacts.load_text(f"{of}/notes/a.txt"), "dict": mlflow.artifacts.load_dict(f"{of}/d.json"),
        "image": mlflow.artifacts.load_image(f"{of}/image.png").size,
        "table": mlflow.load_table("table.json", run_ids=[run.info.run_id]).to_dict("list"),
        "same": (everything / "folder" / "large").read_bytes() == (folder / "large").read_bytes()
        and (everything / "folder" / "in" / "ü b.bin").read_bytes() == bytes(range(256)),
        "root": sorted((one.path, one.is_dir) for one in client.list_artifacts(run.info.run_id)),
        "sub": [(one.path, one.file_size) for one in client.list_artifacts(run.info.run_id, "folder/in")],
        "one": Path(mlflow.artifacts.download_artifacts(f"{of}/folder/in")).name,
        "missing": refused_file(f"{of}/none"),
    }  # fmt: skip


def refused_file(uri: str) -> bool:
    """Whether a file is not there."""
    try:
        mlflow.artifacts.load_text(uri)
    except Exception as error:  # noqa: BLE001 - which one it is, is the client's own affair
        return "404" in str(error) or "Failed to download" in str(error)
    return False


FILTERS = (
    "metrics.loss < 0.3", "metrics.loss >= 0.5 AND params.kind = 'even'", "metrics.`odd name` = 3",
    'metrics."odd name" != 3', "params.kind != 'even'", "params.kind LIKE 'ev%'", "params.kind ILIKE 'EV%'",
    "tags.color = 'red' and metrics.loss > 0.1", "tags.color IS NULL", "tags.color IS NOT NULL",
    "attributes.status = 'FAILED'", "status != 'FINISHED'", "attributes.run_name = 'run-2'", "run_name LIKE 'run-%'",
    "attributes.start_time > 0 AND end_time > 0", "dataset.name = 'set-1'", "dataset.context IN ('eval', 'none')",
    "parameter.kind = 'even'", "attr.run_name = 'run-0'", "metrics.nothing > 1", "",
)  # fmt: skip


def searching() -> dict[str, Any]:
    """Runs by every form of filter, in order, by pages, and in whatever state."""
    experiment = mlflow.set_experiment("searching").experiment_id
    ids = []
    for at in range(6):
        data = mlflow.data.from_numpy(np.array([at]), name=f"set-{at % 2}")
        with mlflow.start_run(run_name=f"run-{at}") as run:
            mlflow.log_metrics({"loss": at / 10, "odd name": at % 4})
            mlflow.log_param("kind", "even" if at % 2 == 0 else "odd")
            mlflow.log_input(data, context="eval" if at < 3 else "train")
            if at in {1, 4}:
                mlflow.set_tag("color", "red" if at == 1 else "blue")
        ids.append(run.info.run_id)
    client.set_terminated(ids[5], "FAILED")

    def names(text: str, **more: Any) -> list[str]:
        found = client.search_runs([experiment], text, order_by=["metrics.loss ASC"], **more)
        return [one.info.run_name for one in found]

    wanted = ", ".join(f"'{one}'" for one in ids[:2])
    first = client.search_runs([experiment], order_by=["metrics.loss DESC"], max_results=4)
    rest = client.search_runs([experiment], order_by=["metrics.loss DESC"], max_results=4, page_token=first.token)
    filters = {text: names(text) for text in FILTERS}
    client.delete_run(ids[0])
    frame = mlflow.search_runs(experiment_names=["searching"], filter_string="metrics.loss < 0.25")
    told = {
        "filters": filters,
        "ids": names(f"attributes.run_id IN ({wanted})", run_view_type=ViewType.ALL),
        "pages": [one.info.run_name for one in [*first, *rest]], "token": rest.token or "",
        "frame": [sorted(frame["metrics.loss"]), sorted(frame["params.kind"])],
        "deleted": names("", run_view_type=ViewType.DELETED_ONLY),
        "written": refused(lambda: client.log_metric(ids[0], "loss", 1.0)),
        "read": client.get_run(ids[0]).info.lifecycle_stage,
        "bad": [refused(lambda text=text: names(text)) for text in ("metrics.loss > 'a'", "loss <", "a OR b")],
    }  # fmt: skip
    client.restore_run(ids[0])
    return {**told, "restored": len(names(""))}


def endings() -> dict[str, Any]:
    """Runs that end in other ways than finished, and one that is taken up again."""
    mlflow.set_experiment("endings")
    try:
        with mlflow.start_run() as failed:
            int("none")
    except ValueError:
        pass
    killed = mlflow.start_run()
    mlflow.end_run("KILLED")
    with mlflow.start_run(run_id=killed.info.run_id):
        mlflow.log_metric("after", 1)
        middle = client.get_run(killed.info.run_id).info.status
    return {
        "failed": client.get_run(failed.info.run_id).info.status, "middle": middle,
        "again": client.get_run(killed.info.run_id).info.status,
        "none": [refused(lambda: client.get_run("0" * 32)), refused(lambda: client.get_run("none"))],
    }  # fmt: skip


if __name__ == "__main__":
    parts = (experiments, logging, much, files, searching, endings)
    chosen = sys.argv[1:]
    json.dump({part.__name__: part() for part in parts if not chosen or part.__name__ in chosen}, sys.stdout)

"""Run by an interpreter that has the real MLflow: tells everything that a tracking server or database has, as JSON.

Usage: told.py URI. Runs and logged models that were exported go by the ids that they had before, which a tag says, so
that two servers can be compared. What MLflow gives out itself is left out: ids of experiments, places of artifacts,
times of creation. Values are spelled as a server spells them, also where they come from a database.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import ViewType

ID, WHOLE = "muniment.id", "muniment.exported"


def everything(client: MlflowClient) -> dict[str, Any]:
    experiments = client.search_experiments(ViewType.ALL)
    names = {one.experiment_id: one.name for one in experiments}
    runs = pages(lambda token: client.search_runs(list(names), run_view_type=ViewType.ALL, page_token=token))
    models = pages(lambda token: client.search_logged_models(list(names), page_token=token))
    ids = {one.info.run_id: one.data.tags.get(ID, one.info.run_id) for one in runs}
    ids |= {one.model_id: one.tags.get(ID, one.model_id) for one in models}
    return {
        "experiments": {
            one.name: {"lifecycle": one.lifecycle_stage, "tags": plain(one.tags)}
            for one in experiments
        },
        "runs": {ids[one.info.run_id]: run(client, one.info.run_id, names, ids) for one in runs},
        "logged models": {ids[one.model_id]: logged_model(one, names, ids) for one in models},
        "models": {one.name: model(one) for one in client.search_registered_models(max_results=1_000)},
        "versions": {f"{one.name}@{one.version}": version(one, ids) for one in client.search_model_versions("")},
    }  # fmt: skip


def pages(ask: Any) -> list[Any]:
    found, token = [], None
    while True:
        page = ask(token)
        found += page
        token = page.token
        if not token:
            return found


def plain(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in {ID, WHOLE}}


def run(client: MlflowClient, run_id: str, names: dict[str, str], ids: dict[str, str]) -> dict[str, Any]:
    one = client.get_run(run_id)
    tags = plain(one.data.tags)
    if "mlflow.parentRunId" in tags:
        tags["mlflow.parentRunId"] = ids[tags["mlflow.parentRunId"]]
    return {
        "experiment": names[one.info.experiment_id],
        "info": [one.info.run_name, one.info.user_id, one.info.status, one.info.start_time, one.info.end_time,
                 one.info.lifecycle_stage],
        "params": one.data.params,
        "tags": tags,
        "metrics": {
            key: [[point.step, point.timestamp, repr(point.value + 0.0)] for point in history(client, run_id, key)]
            for key in sorted(one.data.metrics)
        },
        "latest": {key: repr(value + 0.0) for key, value in one.data.metrics.items()},
        "datasets": sorted(
            ([dict(used.dataset), sorted((tag.key, tag.value) for tag in used.tags)]
             for used in one.inputs.dataset_inputs), key=str,
        ),
        "models read": sorted(ids[used.model_id] for used in one.inputs.model_inputs),
        "models written": sorted((ids[made.model_id], made.step) for made in one.outputs.model_outputs)
        if one.outputs else [],
    }  # fmt: skip


def history(client: MlflowClient, run_id: str, key: str) -> list[Any]:
    found = client.get_metric_history(run_id, key)
    return sorted(found, key=lambda point: (point.step, point.timestamp, repr(point.value)))


def logged_model(one: Any, names: dict[str, str], ids: dict[str, str]) -> dict[str, Any]:
    return {
        "experiment": names[one.experiment_id],
        "info": [one.name, one.model_type or "", str(one.status), ids.get(one.source_run_id, one.source_run_id)],
        "params": one.params,
        "tags": plain(one.tags),
        "metrics": sorted(
            [point.key, repr(point.value), point.step, point.timestamp, ids[point.run_id], point.dataset_name,
             point.dataset_digest]
            for point in one.metrics or []
        ),
    }  # fmt: skip


def model(one: Any) -> dict[str, Any]:
    return {
        "description": one.description or "",
        "tags": one.tags,
        "aliases": {alias: str(at) for alias, at in one.aliases.items()},
    }


def version(one: Any, ids: dict[str, str]) -> dict[str, Any]:
    return {
        "info": [one.source, ids.get(one.run_id, one.run_id) or "", one.current_stage, one.description or "",
                 one.status],
        "tags": one.tags,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(everything(MlflowClient(sys.argv[1], sys.argv[1])), sort_keys=True))  # noqa: T201 - its answer

"""The unmodified Python client: runs in the environment of MLflow, and imports nothing else.

``python with_client.py EXPERIMENT RUNS SINGLES SEARCHED SERIES_RUN KEY``, with MLFLOW_TRACKING_URI set; prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import mlflow


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result)."""
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


def whole_runs(count: int) -> None:
    """As a script does, one after the other."""
    for number in range(count):
        with mlflow.start_run(run_name=f"client-{number}"):
            mlflow.log_params({f"param_{at:02d}": number + at for at in range(20)})
            mlflow.log_metrics({f"metric_{at:02d}": number / (1 + at) for at in range(20)}, step=0)


def singles(count: int) -> None:
    """One `log_metric` after the other."""
    with mlflow.start_run(run_name="client-singles"):
        for step in range(count):
            mlflow.log_metric("loss", 1 / (1 + step), step=step)


def main() -> None:
    """Each figure once, after a run that warms up."""
    experiment, runs, calls, searched, series, key = sys.argv[1:]
    mlflow.set_experiment(experiment)
    whole_runs(1)
    made, _ = timed(lambda: whole_runs(int(runs)))
    logged, _ = timed(lambda: singles(int(calls)))
    found, page = timed(lambda: mlflow.search_runs(experiment_names=[searched], max_results=1_000))
    read, points = timed(lambda: mlflow.MlflowClient().get_metric_history(series, key))
    print(json.dumps({
        "runs": int(runs) / made, "singles": int(calls) / logged, "search": 1_000 * found, "found": len(page),
        "history": len(points) / read, "points": len(points), "version": mlflow.__version__,
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""The same runs in both stores: by Muniment's import, and by rows put into MLflow's tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import msgspec
import numpy as np

from benchmarks import bodies
from benchmarks.bodies import EPOCH, MODELS
from benchmarks.sidebyside.protocol import KEY
from benchmarks.stores import Bare
from muniment.client import Client
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun

SEARCHED, SERIES = "searched", "series"
"""The experiments: of the runs that are searched, and of the long series."""
_CHUNK = 1_000
_Item = TypeVar("_Item")
_TEAMS = ("risk", "growth", "core")
_RUNS = (
    "run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time",
    "end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id",
)  # fmt: skip
_METRICS = ("key", "value", "timestamp", "run_uuid", "step", "is_nan")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A run that both stores have.

    Attributes:
        start: epoch milliseconds; the run ended half a second later.
    """

    id: str
    name: str
    start: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


def run_id(name: str) -> str:
    """32 hex digits that look as random as those that MLflow gives."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def runs(count: int, width: int) -> Iterator[Loaded]:
    """Finished runs with `width` params and metrics, each metric logged once; the same for the same arguments."""
    metrics = ["auc", "loss", *(f"metric_{at:02d}" for at in range(2, width))]
    params = [f"param_{at:02d}" for at in range(1, width)]
    for first in range(0, count, _CHUNK):
        drawn = np.random.default_rng(first).random((min(_CHUNK, count - first), 2 * width)).tolist()
        for number, values in enumerate(drawn, first):
            name = f"run-{number:07d}"
            yield Loaded(
                id=run_id(name), name=name, start=EPOCH + 1_000 * number,
                params={
                    "model": MODELS[int(values[0] * len(MODELS))],
                    **{key: f"{value:.6f}" for key, value in zip(params, values[1:width], strict=True)},
                },
                metrics=dict(zip(metrics, values[width:], strict=True)),
                tags={
                    "team": _TEAMS[number % 3], "mlflow.user": "ada", "mlflow.source.name": "train.py",
                    "mlflow.source.type": "LOCAL",
                },
            )  # fmt: skip


def series(points: int) -> Iterator[tuple[int, int, float]]:
    """(step, timestamp, value) of the series that is read back and drawn."""
    for number in range(points // 1_000):
        for at, value in enumerate(bodies.values(1_000, number).tolist()):
            step = number * 1_000 + at
            yield step, EPOCH + step * 40, value


def series_id(points: int) -> str:
    """The run that has a series of so many points."""
    return run_id(f"series of {points}")


def fill_muniment(url: str, count: int, width: int, lengths: Sequence[int]) -> None:
    """Import everything into a served store.

    Args:
        url: of the server.
        count: of runs.
        width: of each of them.
        lengths: of the series.
    """
    with Client(url) as client:
        for name in (SEARCHED, SERIES):
            client.create_experiment(name)
        done = client.import_lines(_lines(count, width))
        if done.refused:
            raise RuntimeError(f"{done.refused} lines were refused: {done.refusals[:1]}")
        for length in lengths:
            client.create_run(NewRun(experiment=SERIES, id=series_id(length), name=f"series of {length}"))
            for part in _parts(series(length), 10_000):
                step, timestamp, value = zip(*part, strict=True)
                made = NewPoints(series=[KEY], step=list(step), timestamp=list(timestamp), value=list(value))
                client.log_points(series_id(length), made)


def _parts(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of so many items."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _lines(count: int, width: int) -> Iterator[bytes]:
    for run in runs(count, width):
        yield _line({
            "do": "run.create", "experiment": SEARCHED, "id": run.id, "name": run.name, "state": "finished",
            "user": "ada", "started_at": _moment(run.start), "ended_at": _moment(run.start + 500),
            "params": run.params, "tags": run.tags,
        })  # fmt: skip
        keys = list(run.metrics)
        yield _line({
            "do": "run.log", "run": run.id, "series": keys, "key": list(range(len(keys))), "step": [0] * len(keys),
            "timestamp": [run.start] * len(keys), "value": list(run.metrics.values()),
        })  # fmt: skip


def _line(command: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"command": command})


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).isoformat()


def fill_mlflow(bare: Bare, experiments: dict[str, int], count: int, width: int, lengths: Sequence[int]) -> None:
    """Put everything into the tables that MLflow's server has made.

    Args:
        bare: a connection to them.
        experiments: their numbers, by name.
        count: of runs.
        width: of each of them.
        lengths: of the series.
    """
    for chunk in _parts(runs(count, width), 5 * _CHUNK):
        bare.run("BEGIN")
        bare.load("runs", _RUNS, (_row(run.id, run.name, run.start, experiments[SEARCHED]) for run in chunk))
        points = [
            (key, value, run.start, run.id, 0, False) for run in chunk for key, value in run.metrics.items()
        ]  # fmt: skip
        bare.load("metrics", _METRICS, points)
        bare.load("latest_metrics", _METRICS, points)
        for table, held in (("params", lambda run: run.params), ("tags", _tags)):
            rows = ((key, value, run.id) for run in chunk for key, value in held(run).items())
            bare.load(table, ("key", "value", "run_uuid"), rows)
        bare.run("COMMIT")
    for length in lengths:
        run = series_id(length)
        bare.run("BEGIN")
        bare.load("runs", _RUNS, [_row(run, f"series of {length}", EPOCH, experiments[SERIES])])
        bare.load("metrics", _METRICS, ((KEY, value, at, run, step, False) for step, at, value in series(length)))
        *_, (step, at, value) = series(length)
        bare.load("latest_metrics", _METRICS, [(KEY, value, at, run, step, False)])
        bare.run("COMMIT")


def _row(run: str, name: str, start: int, experiment: int) -> tuple[Any, ...]:
    where = f"mlflow-artifacts:/{experiment}/{run}/artifacts"
    return run, name, "UNKNOWN", "", "", "ada", "FINISHED", start, start + 500, "", "active", where, experiment


def _tags(run: Loaded) -> dict[str, str]:
    return {**run.tags, "mlflow.runName": run.name}

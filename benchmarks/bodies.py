"""What the clients send, encoded before the clock starts. The same seed always gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.wire import JSON, request
from muniment.model.ids import new_id

EPOCH = 1_763_800_000_000
"""Epoch milliseconds at which the clock of the points starts."""
MODELS = ("gbm", "forest", "linear", "transformer", "knn")
Floats = npt.NDArray[np.float64]


def values(count: int, seed: int, *, single: bool = False) -> Floats:
    """Random doubles; with `single`, those that were born as float32."""
    drawn = np.random.default_rng(seed).standard_normal(count)
    return drawn.astype(np.float32).astype(np.float64) if single else drawn


def points(keys: int, number: int, media: str, *, count: int = 1_000, single: bool = False) -> bytes:
    """The body of the `number`-th request of points of a run: `count` points over `keys` metrics."""
    each = max(count // keys, 1)
    key = np.arange(count) % keys
    step = number * each + np.arange(count) // keys
    timestamp = EPOCH + step * 40 + key % 7
    value = values(count, number, single=single)
    body: dict[str, Any] = {"series": [f"train/layer_{at:04d}/loss" for at in range(keys)]}
    if keys > 1:
        body["key"] = key.tolist()
    if media == JSON:
        body |= {"step": step.tolist(), "timestamp": timestamp.tolist(), "value": value.tolist()}
        return msgspec.json.encode(body)
    body |= {
        "step": step.astype("<i8").tobytes(),
        "timestamp": timestamp.astype("<i8").tobytes(),
        "value": value.astype("<f8").tobytes(),
    }
    return msgspec.msgpack.encode(body)


def single_point(number: int) -> bytes:
    """The body of one `log-metric`."""
    return msgspec.json.encode(
        {"series": ["loss"], "step": [number], "timestamp": [EPOCH + number], "value": [1.0 / (1 + number)]}
    )


def run_requests(project: str, experiment: str, number: int) -> list[bytes]:
    """The three requests of a run: created with 20 params, 20 metrics logged, finished."""
    base, run = f"/v1/projects/{project}/runs", new_id()
    drawn = values(40, number)
    params: dict[str, Any] = {f"param_{at:02d}": round(float(drawn[at]), 6) for at in range(15)}
    params |= {f"param_{at:02d}": MODELS[(number + at) % len(MODELS)] for at in range(15, 20)}
    created = {"experiment": experiment, "id": run, "name": f"run-{number}", "params": params}
    logged = {
        "series": [f"metric_{at:02d}" for at in range(20)], "key": list(range(20)), "step": [0] * 20,
        "timestamp": [EPOCH + number] * 20, "value": drawn[20:].tolist(),
    }  # fmt: skip
    return [
        request("POST", base, msgspec.json.encode(created)),
        request("POST", f"{base}/{run}/points", msgspec.json.encode(logged)),
        request("PATCH", f"{base}/{run}", b'{"state":"finished"}'),
    ]


def batches(runs: int, experiment: str, size: int = 100) -> Iterator[tuple[bytes, list[str]]]:
    """(body, ids of the runs) of the batches that load finished runs with 5 params, 1 tag and 5 metrics each."""
    for start in range(0, runs, size):
        ids = [new_id() for _ in range(min(size, runs - start))]
        commands: list[dict[str, Any]] = []
        for at, run in enumerate(ids):
            commands += _loaded(experiment, run, start + at)
        yield msgspec.json.encode({"commands": commands}), ids


def _loaded(experiment: str, run: str, number: int) -> list[dict[str, Any]]:
    drawn = np.random.default_rng(number).random(8)
    params = {
        "model": MODELS[int(drawn[5] * 5)], "lr": round(float(drawn[6]), 6), "depth": int(drawn[7] * 12),
        "seed": number, "data": f"s3://bucket/customers/2025-{1 + number % 12:02d}.parquet",
    }  # fmt: skip
    created = {
        "do": "run.create", "experiment": experiment, "id": run, "state": "finished", "params": params,
        "tags": {"team": ("risk", "growth", "core")[number % 3]},
    }  # fmt: skip
    return [created, {"do": "run.log", "run": run, **_five(number, 0, drawn)}]


def _five(number: int, step: int, drawn: Floats) -> dict[str, Any]:
    names = ["auc", "loss", "accuracy", "f1", "seconds"]
    stamp = EPOCH + number * 10 + step
    value = drawn[:5].tolist()
    return {"series": names, "key": [0, 1, 2, 3, 4], "step": [step] * 5, "timestamp": [stamp] * 5, "value": value}


def later_points(runs: list[str], size: int = 500) -> Iterator[bytes]:
    """Batches that give runs a second point of each metric."""
    for start in range(0, len(runs), size):
        yield msgspec.json.encode({"commands": [
            {"do": "run.log", "run": run, **_five(start + at, 1, np.random.default_rng(10**6 + start + at).random(5))}
            for at, run in enumerate(runs[start : start + size])
        ]})  # fmt: skip


def queues(path: str, bodies: list[bytes], media: str) -> list[bytes]:
    """Requests that post the bodies to a path."""
    return [request("POST", path, body, media) for body in bodies]

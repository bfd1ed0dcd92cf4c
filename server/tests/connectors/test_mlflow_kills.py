"""An import that is killed at any moment goes on where it stopped: nothing twice, nothing lost."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import copied
from robustness.server import SCRIPT, clean_environment

from connectors import contents
from connectors.test_mlflow_import import brought, count, of, position
from muniment_server.services.workspace import Workspace

RUNS, STEPS, LONG = 60, 1_500, 140_000
KILLS = 6


def filled(path: Path, seed: int) -> None:
    """Put many runs into a database of MLflow, one of them with a long series, and one inside another."""
    drawn = random.Random(seed)
    with sqlite3.connect(path) as connection:
        ids = [uuid.UUID(int=drawn.getrandbits(128)).hex for _ in range(RUNS)]
        for number, run in enumerate(ids):
            connection.execute(
                "INSERT INTO runs (run_uuid, name, user_id, status, start_time, end_time, lifecycle_stage,"
                " artifact_uri, experiment_id) VALUES (?, ?, 'eve', 'FINISHED', ?, ?, ?, '', 1)",
                [run, f"filled-{number}", 10**12 - number, 10**12, "deleted" if number % 7 == 3 else "active"],
            )
            parent = ids[(number + 1) % RUNS] if number < RUNS - 1 else ids[0]
            tags = {"number": str(number), **({"mlflow.parentRunId": parent} if number < 5 else {})}
            connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(k, v, run) for k, v in tags.items()])
            connection.executemany("INSERT INTO params VALUES (?, ?, ?)", [(f"p{at}", "1", run) for at in range(20)])
            connection.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
                _points(run, drawn, LONG if number == RUNS // 2 else STEPS),
            )


def _points(run: str, drawn: random.Random, steps: int) -> Iterator[tuple[Any, ...]]:
    for step in range(steps):
        for key in ("loss", "accuracy"):
            yield key, drawn.random(), 10**12 + step, run, step


def test_a_killed_import_goes_on_where_it_stopped(
    store_url: str, trust_folder: Path, database: Path, sqlite_template: Path, tmp_path: Path
) -> None:
    filled(database, 1)
    points = count(database, "metrics")
    command = [SCRIPT, "import", "mlflow", f"sqlite:///{database}", "--store", store_url, "--trust", str(trust_folder)]
    workspace = Workspace(store_url, trust=trust_folder)
    reached = [position(workspace)]
    drawn = random.Random(2)
    for _ in range(KILLS):
        running = subprocess.Popen(
            command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        goal = reached[-1] + drawn.randrange(1, 15)
        while running.poll() is None and position(workspace) < goal:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        reached.append(position(workspace))
        assert contents.count(workspace) <= points
        if running.returncode == 0:
            break
    assert len({*reached}) > 3, "the kills fell before anything was written"
    workspace.close()
    workspace = Workspace(store_url, trust=trust_folder)
    assert brought(workspace, of(database)).refused == {}
    assert contents.count(workspace) == points
    fresh = Workspace(copied(sqlite_template, tmp_path / "fresh.db"))
    assert brought(fresh, of(database)).refused == {}
    assert contents.of(workspace) == contents.of(fresh)
    before = position(workspace)
    assert brought(workspace, of(database)).new == {}
    assert position(workspace) == before
    workspace.close()
    fresh.close()

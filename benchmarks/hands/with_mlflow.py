"""MLflow with asynchronous logging, to a server, a SQLite database or a folder, as the URL says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow

from benchmarks.hands.driver import Found


class MLflow:
    """A run at a tracking URI."""

    def __init__(self, url: str) -> None:
        mlflow.set_tracking_uri(url)
        mlflow.set_experiment("bench")
        mlflow.config.enable_async_logging(enable=True)
        self.where = mlflow.start_run().info.run_id

    def one(self, value: float, step: int) -> None:
        """Log one scalar."""
        mlflow.log_metric("loss", value, step=step)

    def many(self, values: dict[str, float], step: int) -> None:
        """Log several scalars."""
        mlflow.log_metrics(values, step=step)

    def finish(self) -> None:
        """Wait for the queue, and end the run."""
        mlflow.flush_async_logging()
        mlflow.end_run()

    def sent(self, _points: int, _seconds: float) -> bool:
        """`finish` has waited for the queue."""
        return True


def open_hand(_folder: Path, url: str) -> MLflow:
    """Start a run."""
    return MLflow(url)


def read(folder: Path, url: str, where: str, keys: list[str]) -> list[Found]:
    """Read what is kept, not what is answered: pages of `get_metric_history` take minutes for a long series."""
    found = {key: Found() for key in keys}
    if url.startswith("file:"):
        for key in keys:
            (path,) = folder.rglob(f"{where}/metrics/{key}")
            for line in path.read_text().splitlines():
                _, value, step = line.split()
                found[key].add(int(step), float(value))
    else:
        with closing(sqlite3.connect(folder / "mlflow.db")) as database:
            for key, step, value in database.execute(
                "SELECT key, step, value FROM metrics WHERE run_uuid = ?", (where,)
            ):
                found[key].add(step, value)
    return list(found.values())

"""Metric history out of MLflow's tables on PostgreSQL: packed by it, or row by row where it cannot be packed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import Postgres

from muniment_server.annexes.connectors.mlflow import history
from muniment_server.annexes.connectors.mlflow.shapes import Run
from muniment_server.store.engine import parse_url

TABLE = sa.Table(
    "metrics", sa.MetaData(), sa.Column("key", sa.String(250)), sa.Column("value", sa.Double),
    sa.Column("timestamp", sa.BigInteger), sa.Column("run_uuid", sa.String(32)), sa.Column("step", sa.BigInteger),
    sa.Column("is_nan", sa.Boolean),
)  # fmt: skip
ALL = {column.name for column in TABLE.columns}
KEYS = ("loss", "Loss", "é %(x)s :y", "a/b\\c\t'\"")
RUNS = [f"{at:032x}" for at in range(4)]
VALUES = (0.1, -0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, math.nan)
Row = dict[str, Any]


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[sa.Engine]:
    url = postgres.create_empty()
    made = sa.create_engine(parse_url(url))
    TABLE.metadata.create_all(made)
    yield made
    made.dispose()
    postgres.drop(url)


def rows(*, length: int = 21) -> list[Row]:
    """Points of all runs but the last, those of a metric neither together nor in order, one of them twice."""
    made = [
        _row(run, key, (7 * at) % length - 3, 2**41 + at, VALUES[at % len(VALUES)])
        for at in range(length)
        for run in RUNS[:3]
        for key in KEYS
    ]
    return [*made, made[0]]


def _row(run: str, key: str, step: int, timestamp: int | None, value: float) -> Row:
    nan = math.isnan(value)
    kept = 0.0 if nan else value  # as MLflow keeps what is no number
    return {"run_uuid": run, "key": key, "step": step, "timestamp": timestamp, "value": kept, "is_nan": nan}


def fill(engine: sa.Engine, given: Sequence[Row]) -> None:
    with engine.begin() as connection:
        connection.execute(TABLE.insert(), list(given))


def read(engine: sa.Engine, given: Sequence[Row], columns: set[str] = ALL) -> tuple[dict[Any, list[Any]], list[str]]:
    """(points by run and metric, lines of what is broken); a metric is all in one portion, its run in one stretch."""
    runs = [Run(id=run, experiment="1", points=sum(row["run_uuid"] == run for row in given)) for run in RUNS]
    found: dict[Any, list[Any]] = {}
    broken: list[str] = []
    order: list[str] = []
    for portion in history.read(engine, "mlflow", columns, runs):
        broken += portion.broken
        order += [portion.run] if order[-1:] != [portion.run] else []
        assert len(set(portion.keys)) == len(portion.keys)
        for at, key in enumerate(portion.keys):
            mine = portion.key == at
            points = zip(
                portion.step[mine].tolist(), portion.timestamp[mine].tolist(), portion.value[mine].tolist(), strict=True
            )
            assert (portion.run, key) not in found
            found[portion.run, key] = sorted((step, time, repr(value)) for step, time, value in points)
    assert len(set(order)) == len(order)
    return found, broken


def told(given: Sequence[Row]) -> dict[Any, list[Any]]:
    made = defaultdict(list)
    for row in given:
        value = math.nan if row["is_nan"] else row["value"]
        made[row["run_uuid"], row["key"]].append((row["step"], row["timestamp"], repr(value)))
    return {of: sorted(points) for of, points in made.items()}


def no_rows(*_: Any) -> Any:
    raise AssertionError("a row a point was read")


@pytest.mark.parametrize("together", [100_000, 100, 50, 1])  # all runs, one, some of its metrics, one metric
def test_points_come_packed(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    monkeypatch.setattr(history, "AT_ONCE", together)
    monkeypatch.setattr(history, "_columns", no_rows)
    fill(engine, rows())
    assert read(engine, rows()) == (told(rows()), [])


def test_a_metric_that_is_too_large_to_be_packed_comes_in_rows(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "AT_ONCE", 1)
    monkeypatch.setattr(history, "PACKED", 21)
    fill(engine, rows())
    seen = []
    columns = history._columns
    monkeypatch.setattr(history, "_columns", lambda found, broken: seen.append(found) or columns(found, broken))
    assert read(engine, rows()) == (told(rows()), [])
    assert [len(found) for found in seen] == [22], "the metric of which one point is there twice"


@pytest.mark.parametrize("together", [100_000, 100])
def test_what_is_missing_is_told_and_keeps_nothing_else(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(history, "AT_ONCE", together)
    fill(engine, [*rows(), _row(RUNS[1], "loss", 99, None, 1.0), _row(RUNS[3], "none", 1, None, 1.0)])
    found, broken = read(engine, [*rows(), {"run_uuid": RUNS[3]}])
    assert found == told(rows())
    assert sorted(line.partition(":")[0] for line in broken) == [
        "'loss' at step 99, time None", "'none' at step 1, time None"
    ]  # fmt: skip


def test_the_table_of_an_old_release_has_fewer_columns(engine: sa.Engine) -> None:
    fill(engine, rows())
    with engine.begin() as connection:
        for column in ("step", "is_nan"):
            connection.execute(sa.text(f"ALTER TABLE metrics DROP COLUMN {column}"))
    found, broken = read(engine, rows(), ALL - {"step", "is_nan"})
    old = [{**row, "step": 0, "is_nan": False} for row in rows()]
    assert (found, broken) == (told(old), [])

"""Where SQLite and PostgreSQL differ: each case once, with the same expectation on both."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from muniment.model.errors import InvalidInput, Unavailable
from muniment.model.experiment import ExperimentChange, NewExperiment
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun, RunData
from muniment.model.search import Query
from muniment_server.services import experiments, metrics, runs, search
from muniment_server.services.workspace import Workspace
from muniment_server.store import tables

BIG = 2**63 - 1


@pytest.fixture
def experiment(workspace: Workspace) -> str:
    new = NewExperiment(name="e")
    return workspace.writer.write(experiments.create(workspace, workspace.owner_scope, "default", new)).id


def start(workspace: Workspace, experiment: str, **fields: object) -> str:
    new = NewRun(experiment=experiment, **fields)  # type: ignore[arg-type]
    return workspace.writer.write(runs.create(workspace, workspace.owner_scope, "default", new)).id


def log(workspace: Workspace, run: str, **fields: object) -> None:
    new = NewPoints(**fields)  # type: ignore[arg-type]
    workspace.writer.write(metrics.log(workspace, workspace.owner_scope, "default", run, new))


def data(workspace: Workspace, run: str) -> RunData:
    return runs.get(workspace, workspace.owner_scope, "default", run)


def names(workspace: Workspace, where: str = "", order_by: list[str] | None = None) -> list[str]:
    query = Query(where=where, order_by=order_by or ["name"])
    return [found.run.name for found in search.search(workspace, workspace.owner_scope, "default", query).runs]


def test_nan_and_infinities_come_back(workspace: Workspace, experiment: str) -> None:
    run = start(workspace, experiment)
    log(workspace, run, series=["a"], value=["NaN", "Infinity", "-Infinity", 1.0], step=[0, 1, 2, 3])
    log(workspace, run, series=["b"], value=["NaN"])
    found = data(workspace, run).metrics
    assert (found["a"].first, found["a"].last, found["a"].min, found["a"].max) == ("NaN", 1.0, 1.0, 1.0)
    assert (found["b"].last, found["b"].min) == ("NaN", None)
    series = metrics.series(workspace, workspace.owner_scope, "default", run, "a")
    assert series.value == ["NaN", "Infinity", "-Infinity", 1.0]


def test_nan_does_not_break_extremes_or_order(workspace: Workspace, experiment: str) -> None:
    for name, value in (("low", 1.0), ("nan", "NaN"), ("high", "Infinity"), ("least", "-Infinity")):
        log(workspace, start(workspace, experiment, name=name), series=["m"], value=[value])
    start(workspace, experiment, name="without")
    assert names(workspace, order_by=["metrics.m"]) == ["least", "low", "high", "nan", "without"]
    assert names(workspace, order_by=["metrics.m DESC"]) == ["high", "low", "least", "nan", "without"]
    assert names(workspace, "metrics.m > 0") == ["high", "low"]
    assert names(workspace, "metrics.m != 1") == ["high", "least", "nan"]


def test_zeros_of_both_signs_are_one_to_a_summary_and_two_to_a_point(workspace: Workspace, experiment: str) -> None:
    run = start(workspace, experiment)
    log(workspace, run, series=["a"], value=[-0.0, 0.0], step=[0, 1], timestamp=[1, 1])
    found = data(workspace, run).metrics["a"]
    assert [math.copysign(1, value) for value in (found.first, found.min, found.last)] == [1, 1, 1]  # type: ignore[arg-type]
    value = metrics.series(workspace, workspace.owner_scope, "default", run, "a").value
    assert [math.copysign(1, item) for item in value] == [-1, 1]  # type: ignore[arg-type]


def test_nul_is_refused_everywhere_before_it_is_stored(workspace: Workspace, experiment: str) -> None:
    for fields in ({"name": "a\x00"}, {"params": {"k": "v\x00"}}, {"tags": {"k\x00": "v"}}, {"description": "\x00"}):
        with pytest.raises(InvalidInput, match="NUL"):
            start(workspace, experiment, **fields)
    assert names(workspace) == []


def test_text_in_a_number_column_is_refused_by_the_table_itself(workspace: Workspace) -> None:
    statement = "INSERT INTO keys (project_id, no, name) VALUES ('x', 'y', 'z')"
    with pytest.raises(sa.exc.DBAPIError), workspace.store.write() as connection:
        connection.exec_driver_sql(statement)


def test_foreign_keys_are_on(workspace: Workspace) -> None:
    row = {"project_id": 9, "position": 1, "record": 1, "kind": "run", "body": None, "hash": b""}
    with pytest.raises(sa.exc.IntegrityError), workspace.store.write() as connection:
        connection.execute(sa.insert(tables.revisions), row)


def test_text_is_compared_by_code_point_and_like_minds_case(workspace: Workspace, experiment: str) -> None:
    for name in ("Z", "a", "É", "é", "z%", "zz", "\U0001f600"):
        start(workspace, experiment, name=name, params={"t": name})
    assert names(workspace) == sorted(["Z", "a", "É", "é", "z%", "zz", "\U0001f600"])
    assert names(workspace, "name LIKE 'z%'") == ["z%", "zz"]
    assert names(workspace, "name ILIKE 'Z%'") == ["Z", "z%", "zz"]
    assert names(workspace, r"params.t LIKE 'z\%'") == ["z%"]
    assert names(workspace, "name ILIKE 'É'") == ["É"]
    assert names(workspace, "params.t LIKE '_'") == ["Z", "a", "É", "é", "\U0001f600"]
    assert names(workspace, "params.t > 'z'") == ["z%", "zz", "É", "é", "\U0001f600"]


def test_missing_values_come_last_in_both_directions(workspace: Workspace, experiment: str) -> None:
    start(workspace, experiment, name="a", user="u")
    start(workspace, experiment, name="b")
    assert names(workspace, order_by=["user"]) == ["a", "b"]
    assert names(workspace, order_by=["user DESC"]) == ["a", "b"]


def test_long_values_are_told_apart_beyond_what_the_index_holds(workspace: Workspace, experiment: str) -> None:
    stem = "x" * 5_000
    start(workspace, experiment, name="a", params={"p": stem + "a"}, tags={"t": stem + "a"})
    start(workspace, experiment, name="b", params={"p": stem + "b"}, tags={"t": stem + "b"})
    assert names(workspace, f"params.p = '{stem}b'") == ["b"]
    assert names(workspace, f"tags.t IN ('{stem}a', 'y')") == ["a"]


def test_steps_and_timestamps_have_64_bits(workspace: Workspace, experiment: str) -> None:
    run = start(workspace, experiment)
    log(workspace, run, series=["a"], value=[1.0, 2.0], step=[-BIG - 1, BIG], timestamp=[0, BIG])
    found = data(workspace, run).metrics["a"]
    assert (found.first_step, found.last_step, found.last_timestamp) == (-BIG - 1, BIG, BIG)
    drawn = metrics.chart(workspace, workspace.owner_scope, "default", run, "a", buckets=1)
    assert (drawn.buckets[0].first.step, drawn.buckets[0].last.step) == (-BIG - 1, BIG)


def test_times_keep_microseconds(workspace: Workspace, experiment: str) -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 123457, tzinfo=UTC)
    run = start(workspace, experiment, name="a", started_at=moment)
    assert data(workspace, run).run.started_at == moment
    assert names(workspace, "started_at = '2026-01-31T13:00:00.123457+01:00'") == ["a"]


def test_a_refused_write_does_not_take_others_with_it(workspace: Workspace, experiment: str) -> None:
    run = start(workspace, experiment, params={"lr": "1"})
    scope, futures = workspace.owner_scope, []
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            params: dict[str, str | int | float | bool] = {"lr": "2"} if number % 4 == 0 else {f"p{number}": number}
            futures.append(
                pool.submit(
                    lambda given: workspace.writer.write(runs.log_params(workspace, scope, "default", run, given)),
                    params,
                )
            )
    failed = sum(future.exception() is not None for future in futures)
    assert failed == 10
    assert len(data(workspace, run).params) == 31


def test_a_question_that_takes_too_long_is_given_up(workspace: Workspace) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(Unavailable, match="takes too long"), workspace.store.read(seconds=0.2) as connection:
        connection.execute(sa.text(endless)).scalar()
    with workspace.store.read() as connection:  # and the connection is good for the next one
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1


def test_a_run_is_found_by_the_name_its_experiment_has_at_that_moment(workspace: Workspace, experiment: str) -> None:
    scope, write = workspace.owner_scope, workspace.writer.write
    other = write(experiments.create(workspace, scope, "default", NewExperiment(name="other"))).id
    start(workspace, experiment, name="a")
    start(workspace, other, name="b")
    position = write(experiments.update(workspace, scope, "default", "e", ExperimentChange(name="new"))).position
    assert names(workspace, "experiment.name = 'new'") == ["a"]
    assert names(workspace, "experiment.name LIKE 'o%' OR experiment.name = 'e'") == ["b"]
    assert names(workspace, "NOT experiment.name IN ('new')") == ["b"]
    assert names(workspace, order_by=["experiment.name DESC"]) == ["b", "a"]
    before = Query(where="experiment.name = 'e'", as_of=position - 1)
    assert [found.run.name for found in search.search(workspace, scope, "default", before).runs] == ["a"]


@pytest.mark.timeout(120)
def test_a_group_larger_than_what_a_socket_holds_is_committed(workspace: Workspace) -> None:
    store = workspace.store
    insert = f"INSERT INTO large VALUES ({'?, ?' if store.is_sqlite else '%s, %s'})"

    def add(*numbers: int, length: int = 1) -> None:
        with store.write() as connection, store.at_once(connection):
            for number in numbers:
                connection.connection.cursor().execute(insert, (number, "x" * length))

    with store.write() as connection:
        connection.exec_driver_sql("CREATE TABLE large (number INTEGER PRIMARY KEY, text TEXT)")
    add(1, length=5_000_000)
    add(*range(2, 10), length=1_000_000)
    with pytest.raises(Exception, match=r"(?i)unique"):
        add(10, 1, 11)
    add(12)
    with store.read() as connection:
        found = connection.execute(sa.text("SELECT number, length(text) AS length FROM large")).all()
    assert {row.number: row.length for row in found} == {
        1: 5_000_000,
        **dict.fromkeys(range(2, 10), 1_000_000),
        12: 1,
    }

"""The benchmark beside MLflow: what it compares and what it says, without its servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.results import Report
from benchmarks.sidebyside import comparing, filling, plotting, protocol, rows, showing
from benchmarks.sidebyside.amounts import QUICK
from benchmarks.sidebyside.sides import OURS

THEIRS = "MLflow, 1 worker"


class Answering:
    """A side that answers every question with the same runs, or a series."""

    def __init__(self, name: str, answer: dict[str, Any]) -> None:
        self.name = name
        self._answer = answer

    def experiment(self, _name: str) -> str:
        return "1"

    def ask(self, *_given: object, **_query: object) -> bytes:
        return msgspec.json.encode(self._answer)


def _run(run: filling.Loaded, **changed: Any) -> dict[str, Any]:
    metrics = [
        {"key": key, "value": value, "timestamp": run.start, "step": 0} for key, value in run.metrics.items()
    ]  # fmt: skip
    info = {"run_id": run.id, "run_name": run.name, "status": "FINISHED", "start_time": run.start, "end_time": 0}
    params = [{"key": key, "value": value} for key, value in run.params.items()]
    return {"info": info | changed, "data": {"metrics": metrics, "params": params}}


@pytest.fixture
def report() -> Report:
    settings = {
        "amounts": msgspec.to_builtins(QUICK), "sides": [OURS, THEIRS, "MLflow"], "quick": False, "seconds": 60,
        "mlflow": "3", "psycopg2": "2", "durability": "process",
    }  # fmt: skip
    machine = {"cpu": "one", "cores": 2, "memory_gib": 1, "system": "", "python": "", "sqlite": "", "packages": {}}
    return Report(machine=machine, settings=settings)


def _add(report: Report, row: rows.Row, ours: float, *theirs: float) -> None:
    for side, value in zip(report.settings["sides"], (ours, *theirs), strict=False):
        report.add("sqlite", row.name, side, row.unit, value, more_is_better=row.more_is_better)


def test_a_row_is_compared_with_the_better_of_the_others(report: Report) -> None:
    _add(report, rows.SINGLE, 1_600.0, 100.0, 160.0)
    _add(report, rows.chart(QUICK.chart), 60.0, 600.0, 300.0)
    single, chart = showing.compared(report, "sqlite")
    assert (single.times, single.reached) == (10.0, False)  # of the 15 that are meant
    assert (chart.times, chart.reached) == (5.0, False)  # 60 ms instead of 50


def test_goals_are_ratios_or_bounds(report: Report) -> None:
    _add(report, rows.SINGLE, 1_600.0, 100.0)
    _add(report, rows.RUN_8, 1.0, 100.0)
    _add(report, rows.DISK_64, 8.5, 300.0)
    assert [each.reached for each in showing.compared(report, "sqlite")] == [True, None, True]
    assert rows.page(20_000)[rows.FIRST].goal == rows.Goal(most=15.0)
    assert rows.page(200_000)[rows.FIRST].goal == rows.Goal(most=50.0)


def test_the_page_and_the_plot_say_the_ratio_and_the_goal(report: Report, tmp_path: Path) -> None:
    _add(report, rows.SINGLE, 1_600.0, 100.0)
    page, plot = tmp_path / "performance.md", tmp_path / "performance.svg"
    plotting.draw(report, plot)
    showing.write(report, page, plot)
    assert "| log-metric, 1 client | calls/s | 1,600 | 100 |  | 16 x | ≥ 15 x | yes |" in page.read_text()
    assert "![How many times as good as MLflow, for each row](performance.svg)" in page.read_text()
    drawn = plot.read_text()
    assert ">16 x</text>" in drawn
    assert ">log-metric</text>" in drawn
    plotting.draw(report, plot)
    assert plot.read_text() == drawn


def test_runs_that_differ_are_noticed() -> None:
    first, second = filling.runs(2, 3)
    ours = Answering(OURS, {"runs": [_run(first), _run(second)]})
    comparing.pages([ours, Answering(THEIRS, {"runs": [_run(first), _run(second)]})], rows.QUESTIONS)
    other = Answering(THEIRS, {"runs": [_run(second), _run(first)]})
    with pytest.raises(comparing.Differs, match="answer with other runs: run 0 has id"):
        comparing.pages([ours, other], rows.QUESTIONS)
    other = Answering(THEIRS, {"runs": [_run(first), _run(second, status="FAILED")]})
    with pytest.raises(comparing.Differs, match="run 1 has status FINISHED and FAILED"):
        comparing.pages([ours, other], rows.QUESTIONS)


def test_a_point_that_nobody_logged_is_noticed() -> None:
    points = [{"key": protocol.KEY, "value": value, "timestamp": at, "step": step}
              for step, at, value in filling.series(1_000)]  # fmt: skip
    comparing.series([Answering(OURS, {"metrics": points})], 1_000)
    points[500]["value"] = 7.0
    with pytest.raises(comparing.Differs, match="the first page of a series is not what was logged"):
        comparing.series([Answering(OURS, {"metrics": points})], 1_000)


def test_both_stores_are_given_the_same_runs() -> None:
    lines = [msgspec.json.decode(line)["command"] for line in filling._lines(1_500, 20)]
    created = [line for line in lines if line["do"] == "run.create"]
    rows_of = list(filling.runs(1_500, 20))
    assert [line["id"] for line in created] == [run.id for run in rows_of]
    assert len({run.id for run in rows_of}) == 1_500
    assert [line["params"] for line in created] == [run.params for run in rows_of]
    logged = [line for line in lines if line["do"] == "run.log"]
    assert [dict(zip(line["series"], line["value"], strict=True)) for line in logged] == [
        run.metrics for run in rows_of
    ]
    assert all(len(run.params) == len(run.metrics) == 20 for run in rows_of)


def test_later_requests_of_a_run_carry_its_id() -> None:
    talk = protocol.runs_talk([protocol.whole_run("1", 0)])
    created = next(talk)
    assert b"POST /api/2.0/mlflow/runs/create " in created
    run = "ab" * 16
    logged = talk.send(b'{"run": {"info": {"run_id": "%s"}}}' % run.encode())
    head, _, body = logged.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert msgspec.json.decode(body)["run_id"] == run
    assert msgspec.json.decode(talk.send(b"{}").partition(b"\r\n\r\n")[2])["run_uuid"] == run


def test_a_history_is_read_to_its_end() -> None:
    talk = protocol.history_talk("ab" * 16)
    assert b"page_token" not in next(talk)
    assert b"page_token=abc%3D" in talk.send(b'{"metrics": [], "next_page_token": "abc="}')
    with pytest.raises(StopIteration):
        talk.send(b'{"metrics": []}')

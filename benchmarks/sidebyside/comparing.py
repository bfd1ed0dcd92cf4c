"""Whether both sides answer the same: a bench of two different questions would be worthless."""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.sidebyside import filling, protocol
from benchmarks.sidebyside.sides import Side


class Differs(RuntimeError):
    """The sides do not answer the same; one line says where."""


def pages(sides: list[Side], questions: dict[str, dict[str, object]]) -> None:
    """The pages of runs: the same runs in the same order, with the same params, metrics and tags.

    Raises:
        Differs: they are not.
    """
    for name, question in questions.items():
        found = [(side.name, _page(side, question)) for side in sides]
        (first, expected), *others = found
        if not expected:
            raise Differs(f"{name}: {first} answers with no run")
        for other, runs in others:
            if [run["name"] for run in runs] != [run["name"] for run in expected]:
                raise Differs(f"{name}: {first} and {other} answer with other runs: {_first(expected, runs)}")
            if runs != expected:
                raise Differs(f"{name}: {first} and {other} say other things of a run: {_first(expected, runs)}")


def series(sides: list[Side], length: int) -> None:
    """The points of a series, and its chart: every point of the chart is one of the series, the first and last in it.

    Raises:
        Differs: they are not.
    """
    run = filling.series_id(length)
    expected = {step: (timestamp, value) for step, timestamp, value in filling.series(length)}
    for side in sides:
        asked = {"run_uuid": run, "run_id": run, "metric_key": protocol.KEY}
        first = _points(side.ask("GET", "metrics/get-history", **asked, max_results=protocol.PAGE))
        if first != [(step, *expected[step]) for step in range(min(length, protocol.PAGE))]:
            raise Differs(f"{side.name}: the first page of a series is not what was logged")
        asked = {"run_ids": run, "metric_key": protocol.KEY}
        drawn = _points(side.ask("GET", "metrics/get-history-bulk-interval", **asked, max_results=protocol.BUCKETS))
        steps = {step for step, _, _ in drawn}
        if not {0, length - 1} <= steps or len(drawn) > 4 * protocol.BUCKETS:
            raise Differs(
                f"{side.name}: a chart of {length:,} points has {len(drawn)}, from {min(steps, default=0)} on"
            )
        if any(expected.get(step) != (timestamp, value) for step, timestamp, value in drawn):
            raise Differs(f"{side.name}: a chart shows a point that was not logged")


def _page(side: Side, question: dict[str, object]) -> list[dict[str, Any]]:
    asked = {"experiment_ids": [side.experiment(filling.SEARCHED)], "run_view_type": "ACTIVE_ONLY", **question}
    answer = msgspec.json.decode(side.ask("POST", "runs/search", asked))
    return [_plain(run) for run in answer.get("runs", [])]


def _plain(run: dict[str, Any]) -> dict[str, Any]:
    """What of a run must be equal: all but what belongs to the server, where its artifacts are and the experiment."""
    info, data = run["info"], run["data"]
    return {
        "id": info["run_id"], "name": info["run_name"], "status": info["status"], "start": int(info["start_time"]),
        "end": int(info["end_time"]),
        "params": sorted((each["key"], each["value"]) for each in data.get("params", [])),
        "tags": sorted((each["key"], each["value"]) for each in data.get("tags", [])),
        "metrics": sorted(
            (each["key"], float(each["value"]), int(each["timestamp"]), int(each["step"])) for each in data["metrics"]
        ),
    }  # fmt: skip


def _points(answer: bytes) -> list[tuple[int, int, float]]:
    found = msgspec.json.decode(answer).get("metrics", [])
    return [(int(each["step"]), int(each["timestamp"]), float(each["value"])) for each in found]


def _first(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> str:
    """The first difference, short enough for a line."""
    if len(expected) != len(found):
        return f"{len(expected)} and {len(found)} runs"
    at, one, other = next((at, a, b) for at, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b)
    field = next(key for key in one if one[key] != other[key])
    return f"run {at} has {field} {str(one[field])[:200]} and {str(other[field])[:200]}"

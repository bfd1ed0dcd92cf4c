"""Figures: what was measured, how often, beside which limits; kept as JSON and compared with an earlier run."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import msgspec

Limits = dict[str, float]
"""What the machine does with the same bytes, by the way it was measured; in the figure's own unit."""


class Figure(msgspec.Struct, kw_only=True):
    """One line of the table.

    Attributes:
        engine: ``sqlite`` or ``postgresql``; where tools are compared, the tool.
        shape: what was done.
        what: which side of it this is: durable, sealed, p50 …
        unit: of the values.
        more_is_better: whether a greater value is better.
        values: one for each repetition.
        limits: the machine's own figures beside them, one for each repetition.
        aside: figures to know beside them that bind nothing.
    """

    engine: str
    shape: str
    what: str
    unit: str
    more_is_better: bool
    values: list[float]
    limits: dict[str, list[float]] = {}
    aside: dict[str, list[float]] = {}

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    @property
    def tightest(self) -> tuple[str, float] | None:
        """(name, median) of the limit that is reached first."""
        if not self.limits:
            return None
        medians = [(statistics.median(values), name) for name, values in self.limits.items()]
        value, name = min(medians) if self.more_is_better else max(medians)
        return name, value

    @property
    def share(self) -> float | None:
        """How much of the tightest limit is reached: 1 is all of it, whichever direction is better."""
        limit = self.tightest
        if limit is None or not limit[1] or not self.median:
            return None
        return self.median / limit[1] if self.more_is_better else limit[1] / self.median


class Report(msgspec.Struct, kw_only=True):
    """One run of the benchmarks."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    figures: list[Figure] = []

    def add(
        self,
        engine: str,
        shape: str,
        what: str,
        unit: str,
        value: float,
        *,
        more_is_better: bool = True,
        limits: Limits | None = None,
        aside: Limits | None = None,
    ) -> None:
        """One more value of a figure."""
        figure = self.find(engine, shape, what)
        if figure is None:
            figure = Figure(engine=engine, shape=shape, what=what, unit=unit, more_is_better=more_is_better, values=[])
            self.figures.append(figure)
        figure.values.append(value)
        for name, limit in (limits or {}).items():
            figure.limits.setdefault(name, []).append(limit)
        for name, limit in (aside or {}).items():
            figure.aside.setdefault(name, []).append(limit)

    def find(self, engine: str, shape: str, what: str) -> Figure | None:
        """The figure of that name."""
        wanted = (engine, shape, what)
        return next((item for item in self.figures if (item.engine, item.shape, item.what) == wanted), None)


def save(report: Report, path: Path) -> None:
    """Write a report as JSON, rounded to what is meant."""
    rounded = msgspec.to_builtins(report)
    for figure in rounded["figures"]:
        figure["values"] = [_rounded(value) for value in figure["values"]]
        for part in ("limits", "aside"):
            figure[part] = {name: [_rounded(v) for v in values] for name, values in figure[part].items()}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rounded), indent=1) + b"\n")


def load(path: Path) -> Report:
    """Read a report."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")

"""The plot: how many times as good as MLflow each row is, on each database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.results import Report
from benchmarks.sidebyside import showing
from benchmarks.tables import number

_COLOURS = {"sqlite": "#0f6b8f", "postgresql": "#d9822b"}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "muniment",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
}
"""Text stays text, and the same figures give the same file."""


def draw(report: Report, path: Path) -> None:
    """Write an SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    found = {
        engine: {each.row.short: each for each in showing.compared(report, engine) if each.times}
        for engine in showing.engines(report)
    }
    labels = list(dict.fromkeys(label for held in found.values() for label in held))[::-1]
    if not labels:
        return
    height = 0.8 / len(found)
    with mpl.rc_context(_SETTINGS):
        figure, axes = plt.subplots(figsize=(8, 1.2 + 0.42 * len(labels)), layout="constrained")
        axes.set_xscale("log")
        for place, (engine, held) in enumerate(found.items()):
            at = [labels.index(label) + 0.4 - height * (place + 0.5) for label in held]
            times = [each.times or 0.0 for each in held.values()]
            bars = axes.barh(at, times, height, color=_COLOURS[engine], label=showing.TITLES[engine])
            axes.bar_label(bars, [f"{number(value)} x" for value in times], padding=3, fontsize=7)
        goals = {
            label: each.row.goal.times for held in found.values() for label, each in held.items()
            if each.row.goal is not None and each.row.goal.times is not None
        }  # fmt: skip
        axes.plot(
            list(goals.values()), [labels.index(label) for label in goals], linestyle="none", marker="|",
            markersize=22, color="#222222", label="goal, as a ratio",
        )  # fmt: skip
        axes.axvline(1, color="#888888", linewidth=0.8)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel(f"times as good as MLflow {report.settings['mlflow']}, logarithmic")
        axes.margins(x=0.12, y=0.01)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.08), ncols=3, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)

"""The rows of the table: what is done, in which unit, and what Muniment is meant to reach."""

from __future__ import annotations

import msgspec


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What is meant to be reached: so many times MLflow's figure, or a bound on Muniment's own, or both.

    Attributes:
        times: as good as MLflow, in the same run.
        most: of Muniment's own figure, where less is better.
    """

    times: float | None = None
    most: float | None = None

    def reached(self, times: float | None, ours: float) -> bool:
        """Whether these figures reach it."""
        enough = self.times is None or (times is not None and times >= self.times)
        return enough and (self.most is None or ours <= self.most)

    def text(self, unit: str) -> str:
        """In words."""
        parts = [] if self.times is None else [f"≥ {self.times:g} x"]
        return ", ".join([*parts, *([] if self.most is None else [f"≤ {self.most:g} {unit}"])])


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row.

    Attributes:
        name: what is done.
        unit: of the figures.
        more_is_better: whether a greater figure is better.
        goal: what is meant to be reached; a row may have none.
        short: for the plot.
    """

    name: str
    unit: str
    more_is_better: bool = False
    goal: Goal | None = None
    short: str


FEW_RUNS, FEW_MS, MANY_MS = 20_000, 15.0, 50.0
"""A page of so many runs, or fewer, is meant to take so many milliseconds; of more runs, so many."""

BATCH_1 = Row(
    name="log-batch of 1,000 points, 1 metric, 8 clients", unit="points/s", more_is_better=True,
    goal=Goal(times=100), short="log-batch, 1 metric",
)  # fmt: skip
BATCH_20 = Row(
    name="log-batch of 1,000 points, 20 metrics, 8 clients", unit="points/s", more_is_better=True,
    goal=Goal(times=100), short="log-batch, 20 metrics",
)  # fmt: skip
SINGLE = Row(
    name="log-metric, 1 client", unit="calls/s", more_is_better=True, goal=Goal(times=15), short="log-metric",
)  # fmt: skip
RUN_1 = Row(
    name="a run of 20 params and 20 metrics in 3 calls, 1 client", unit="runs/s", more_is_better=True,
    goal=Goal(times=30), short="whole runs, 1 client",
)  # fmt: skip
RUN_8 = Row(
    name="a run of 20 params and 20 metrics in 3 calls, 8 clients", unit="runs/s", more_is_better=True,
    short="whole runs, 8 clients",
)  # fmt: skip
READ = Row(
    name="read back one series, pages of 25,000", unit="points/s", more_is_better=True, goal=Goal(times=100),
    short="read a series",
)  # fmt: skip
CHART_AGAIN = Row(name="the same chart once more", unit="ms", short="chart, again")
DISK_64 = Row(
    name="bytes on disk, random doubles", unit="bytes/point", goal=Goal(most=8.5), short="disk, doubles",
)  # fmt: skip
DISK_32 = Row(
    name="bytes on disk, values born as float32", unit="bytes/point", goal=Goal(most=5.0), short="disk, float32",
)  # fmt: skip
MEMORY_PEAK = Row(
    name="memory of the server's processes, the most", unit="MiB", goal=Goal(most=250.0), short="memory, peak",
)  # fmt: skip
MEMORY_END = Row(
    name="memory of the server's processes, at the end", unit="MiB", goal=Goal(most=250.0), short="memory, end",
)  # fmt: skip
CLIENT_SINGLE = Row(
    name="MLflow's Python client: log_metric", unit="calls/s", more_is_better=True, short="client: log_metric"
)
CLIENT_RUN = Row(
    name="MLflow's Python client: a run of 20 params and 20 metrics", unit="runs/s", more_is_better=True,
    short="client: runs",
)  # fmt: skip
CLIENT_SEARCH = Row(
    name="MLflow's Python client: search_runs, 1,000 runs to a DataFrame", unit="ms", short="client: search_runs"
)
CLIENT_READ = Row(
    name="MLflow's Python client: get_metric_history", unit="points/s", more_is_better=True, short="client: history"
)


EMPTY, BARE = "a server that does nothing", "the bare driver"
"""What a machine does with the same requests on the same HTTP stack, and with the same rows in the same database."""


def chart(points: int) -> Row:
    """The chart of a series."""
    return Row(name=f"chart of {points:,} points", unit="ms", goal=Goal(most=50.0), short="chart")


def page(runs: int) -> dict[str, Row]:
    """The pages of runs, by question: see `QUESTIONS`."""
    goal = Goal(most=FEW_MS if runs <= FEW_RUNS else MANY_MS)
    goals = {FIRST: goal, FILTERED: goal, WHOLE: Goal(times=20)}
    return {
        name: Row(name=f"{name}, of {runs:,} runs", unit="ms", goal=goals[name], short=short)
        for name, short in ((FIRST, "first page"), (FILTERED, "filtered page"), (WHOLE, "1,000 runs"))
    }


FIRST = "first page of 100, ordered by a metric"
FILTERED = "filter on a metric and a param, ordered by another metric, 100 a page"
WHOLE = "1,000 whole runs in one page"
QUESTIONS: dict[str, dict[str, object]] = {
    FIRST: {"max_results": 100, "order_by": ["metrics.auc DESC"]},
    FILTERED: {
        "max_results": 100, "filter": "metrics.auc > 0.5 and params.model = 'gbm'", "order_by": ["metrics.loss ASC"],
    },
    WHOLE: {"max_results": 1_000},
}  # fmt: skip


def every(runs: int, points: int) -> list[Row]:
    """All rows in their order.

    Args:
        runs: in the store that is searched.
        points: of the series that is drawn.
    """
    return [
        BATCH_1, BATCH_20, SINGLE, RUN_1, RUN_8, *page(runs).values(), READ, chart(points), CHART_AGAIN, DISK_64,
        DISK_32, MEMORY_PEAK, MEMORY_END, CLIENT_SINGLE, CLIENT_RUN, CLIENT_SEARCH, CLIENT_READ,
    ]  # fmt: skip

"""How much is measured: fully, or quickly to see that everything runs."""

from __future__ import annotations

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The amounts of one run of the benchmarks.

    Attributes:
        repetitions: of every shape.
        requests: of 1,000 points, for each shape of them; a tenth of it where each point has a metric of its own.
        singles: requests of one point by one client; eight clients send four times as many.
        runs: by one client; eight clients make four times as many.
        series: points of the long series.
        entries: entries of a single point in the store that is sealed, compacted and verified.
        search_runs: runs that are searched.
        fetches: repetitions of a question within a repetition.
    """

    repetitions: int
    requests: int
    singles: int
    runs: int
    series: int
    entries: int
    search_runs: int
    fetches: int


FULL = Sizes(
    repetitions=3, requests=2_400, singles=1_000, runs=100, series=1_000_000, entries=4_000, search_runs=20_000,
    fetches=20,
)  # fmt: skip
QUICK = Sizes(
    repetitions=1, requests=160, singles=200, runs=40, series=100_000, entries=500, search_runs=1_000, fetches=3,
)  # fmt: skip

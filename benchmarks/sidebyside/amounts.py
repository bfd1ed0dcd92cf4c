"""How much is measured of each: the slower server gets fewer requests of the same size."""

from __future__ import annotations

import msgspec


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one server is given in one repetition.

    Attributes:
        batches: requests of 1,000 points.
        singles: requests of one point.
        runs: created, logged and finished by one client; eight clients make twice as many.
        series: points of the series that is read back.
        disk: points of the series whose bytes on disk are counted.
        client_runs: made by MLflow's own Python client.
        client_singles: `log_metric` calls of it.
    """

    batches: int
    singles: int
    runs: int
    series: int
    disk: int
    client_runs: int
    client_singles: int


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        repetitions: of every row; the two servers take turns within each.
        runs: in the store that is searched.
        width: params, and metrics, of each of them.
        chart: points of the series that is drawn.
        fetches: of a question within a repetition.
        budget: seconds after which a question is not asked again in a repetition.
        ours: what Muniment is given.
        theirs: what MLflow is given.
    """

    repetitions: int
    runs: int
    width: int
    chart: int
    fetches: int
    budget: float
    ours: Load
    theirs: Load


FULL = Amounts(
    repetitions=3, runs=20_000, width=20, chart=1_000_000, fetches=20, budget=8.0,
    ours=Load(
        batches=1_600, singles=2_000, runs=400, series=1_000_000, disk=1_000_000, client_runs=60, client_singles=300
    ),
    theirs=Load(batches=64, singles=300, runs=60, series=100_000, disk=50_000, client_runs=20, client_singles=100),
)  # fmt: skip
QUICK = Amounts(
    repetitions=1, runs=400, width=20, chart=20_000, fetches=3, budget=2.0,
    ours=Load(batches=80, singles=200, runs=40, series=50_000, disk=20_000, client_runs=3, client_singles=10),
    theirs=Load(batches=8, singles=20, runs=5, series=26_000, disk=4_000, client_runs=2, client_singles=5),
)  # fmt: skip

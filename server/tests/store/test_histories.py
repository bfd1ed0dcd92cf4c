"""Series that are remembered weigh what they are counted as."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from muniment_server.segments import columns, level1
from muniment_server.services.histories import Histories

SHORT, LONG = 10_000, level1.TARGET


def test_a_remembered_series_does_not_keep_its_segment() -> None:
    entries = [
        level1.EntryPoints(
            position, 1, "b" * 32, run * 32,
            columns.build(["m"], np.zeros(count, np.uint32), *(np.arange(count) for _ in "ab"), np.ones(count) / 3),
        )
        for position, run, count in ((1, "0", SHORT), (2, "1", LONG - SHORT))
    ]  # fmt: skip
    payload = level1.encode(entries)
    histories, before = Histories(), pa.total_allocated_bytes()
    for number in range(5):
        series = level1.read_series(payload, "0" * 32, positions=False)["m"]
        histories.keep((1, number, "m", 2), series)
        del series
    assert pa.total_allocated_bytes() - before < LONG * 8
    for number in range(5):
        kept = histories.get((1, number, "m", 2))
        assert kept is not None
        assert kept.step.tolist() == kept.timestamp.tolist() == list(range(SHORT))
        assert set(kept.value.tolist()) == {1 / 3}

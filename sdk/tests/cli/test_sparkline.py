"""Series in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.cli.sparkline import BLOCKS, PLAIN_BLOCKS, buckets_for, sparkline
from muniment.model.metric import Bucket, Chart, Point, to_wire


def exact(*values: float) -> Chart:
    points = [Point(step, step, to_wire(value)) for step, value in enumerate(values)]
    return Chart(key="loss", exact=True, count=len(values), points=points, position=1)


def bucket(first: float, low: tuple[int, float], high: tuple[int, float], last: float) -> Bucket:
    return Bucket(
        count=9, first=Point(0, 0, to_wire(first)), last=Point(9, 9, to_wire(last)),
        min=Point(low[0], low[0], low[1]), max=Point(high[0], high[0], high[1]),
    )  # fmt: skip


def test_every_point_is_drawn() -> None:
    assert sparkline(exact(*range(8))) == BLOCKS
    assert sparkline(exact(7, 0)) == "█▁"
    assert sparkline(exact(3, 3, 3)) == "▄▄▄"
    assert sparkline(exact()) == ""
    assert sparkline(exact(*range(8)), blocks=PLAIN_BLOCKS) == PLAIN_BLOCKS


def test_both_extremes_of_a_bucket_are_drawn_in_their_order() -> None:
    chart = Chart(
        key="loss", exact=False, count=27, position=1,
        buckets=[bucket(5, (1, 5), (2, 6), 5), bucket(5, (7, 0), (3, 7), 5), bucket(5, (2, 5), (2, 5), 5)],
    )  # fmt: skip
    assert sparkline(chart) == "▆▇█▁▆"


def test_what_has_no_height_is_marked() -> None:
    assert sparkline(exact(0, float("nan"), 1)) == "▁!█"
    assert sparkline(exact(float("inf"), float("nan"))) == "!!"
    assert sparkline(exact(0, 1, 10, 1000), log=True) == "!▁▃█"
    nan_within = Chart(key="x", exact=False, count=2, position=1, buckets=[bucket(1, (1, 0), (2, 1), float("nan"))])
    assert sparkline(nan_within) == "▄!"


def test_a_logarithmic_scale_shows_what_a_linear_one_hides() -> None:
    chart = exact(1000, 10, 0.1)
    assert sparkline(chart) == "█▁▁"
    assert sparkline(chart, log=True) in {"█▄▁", "█▅▁"}


@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_buckets_fill_the_width_and_no_more(width: int) -> None:
    assert 1 <= buckets_for(width) <= max(1, width // 2)


@given(st.lists(st.floats(allow_nan=True), max_size=50), st.booleans())
def test_no_value_is_too_odd(values: list[float], log: bool) -> None:
    line = sparkline(exact(*values), log=log)
    assert len(line) == len(values)
    assert set(line) <= set(BLOCKS + "!")
    finite = [value for value in values if abs(value) < float("inf") and not (log and value <= 0)]
    if len(set(finite)) > 1 and not log:
        assert line[values.index(max(finite))] == "█"
        assert line[values.index(min(finite))] == "▁"

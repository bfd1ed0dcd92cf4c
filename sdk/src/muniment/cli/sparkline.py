"""A series in one line of blocks."""

from __future__ import annotations

import math

from muniment.model.metric import Bucket, Chart

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = "_.-=+*%@"
"""Where the terminal knows ASCII alone."""


def buckets_for(width: int) -> int:
    """How many buckets to ask for, to draw in `width` columns: each takes two, for its least and its greatest."""
    return max(1, width // 2)


def sparkline(chart: Chart, *, blocks: str = BLOCKS, odd: str = "!", log: bool = False) -> str:
    """A chart as a line: every point, or of each bucket its least and greatest point in the order of their steps.

    So no extreme is lost, however long the series is.

    Args:
        chart: as the store answers it.
        blocks: from the lowest to the highest.
        odd: what stands for a value that has no height: NaN, infinite, or with `log` not above zero.
        log: heights go by the logarithm.
    """
    values = _values(chart)
    heights = [_height(value, log=log) for value in values]
    known = [height for height in heights if height is not None]
    if not known:
        return odd * len(values)
    low, high = min(known), max(known)
    return "".join(odd if height is None else _block(height, low, high, blocks) for height in heights)


def _values(chart: Chart) -> list[float]:
    if chart.exact:
        return [float(point.value) for point in chart.points]
    return [value for bucket in chart.buckets for value in _extremes(bucket)]


def _extremes(bucket: Bucket) -> list[float]:
    if bucket.min is None or bucket.max is None:
        return [float(bucket.first.value)]
    earlier, later = sorted((bucket.min, bucket.max), key=lambda point: (point.step, point.timestamp))
    ends = [float(end.value) for end in (bucket.first, bucket.last)]
    odd = next((value for value in ends if not math.isfinite(value)), None)
    if odd is not None:  # what went wrong is news, too
        return [float(earlier.value), odd]
    return [float(earlier.value)] if earlier == later else [float(earlier.value), float(later.value)]


def _height(value: float, *, log: bool) -> float | None:
    if not math.isfinite(value) or (log and value <= 0):
        return None
    return math.log(value) if log else value


def _block(height: float, low: float, high: float, blocks: str) -> str:
    if high == low:
        return blocks[len(blocks) // 2 - 1]
    share = height / 2 - low / 2, high / 2 - low / 2  # halves, since a difference of doubles may be infinite
    return blocks[round(share[0] / share[1] * (len(blocks) - 1))]

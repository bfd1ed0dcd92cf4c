"""Two series against each other, however they come in chunks, compared with a plain reading of the rule."""

from __future__ import annotations

import math
import random
import tracemalloc
from array import array
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.reproduction import comparing
from muniment.reproduction.certificate import MetricComparison
from muniment.reproduction.comparing import Chunk, Tolerance, compare_series, compare_texts, verdict_of

EXACTLY = Tolerance()
Points = list[tuple[int, float]]
VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2**-52, 1.1, -3.5, 1e300, 5e-324, math.nan, math.inf, -math.inf])
POINTS = st.lists(st.tuples(st.integers(-2, 12), VALUES), max_size=40)


def chunked(points: Points, sizes: list[int]) -> Iterator[Chunk]:
    """The points in order of their steps, in chunks of these sizes and one with the rest."""
    ordered = sorted(points, key=lambda point: point[0])
    for size in sizes:
        yield Chunk(array("q", (s for s, _ in ordered[:size])), array("d", (v for _, v in ordered[:size])))
        ordered = ordered[size:]
    yield Chunk(array("q", (s for s, _ in ordered)), array("d", (v for _, v in ordered)))


def compared(first: Points, second: Points, tolerance: Tolerance = EXACTLY) -> MetricComparison:
    return compare_series(chunked(first, []), chunked(second, []), tolerance)


def by_step(points: Points) -> dict[int, set[str]]:
    """The distinct values of each step, as text that tells 0 from -0."""
    found: dict[int, set[str]] = {}
    for step, value in points:
        found.setdefault(step, set()).add(float(value).hex())
    return found


@pytest.mark.parametrize("block", [2, 5, comparing.BLOCK])
@given(
    first=POINTS, second=POINTS, shared=POINTS, sizes=st.lists(st.integers(0, 7)), others=st.lists(st.integers(0, 7))
)
@settings(max_examples=300)
def test_what_differs_is_found_in_any_chunks(
    block: int, first: Points, second: Points, shared: Points, sizes: list[int], others: list[int]
) -> None:
    one, other = shared + first, shared + second
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "BLOCK", block)
        found = compare_series(chunked(one, sizes), chunked(other, others), Tolerance())
    ours, theirs = by_step(one), by_step(other)
    differing = sorted(step for step in ours.keys() | theirs.keys() if ours.get(step) != theirs.get(step))
    assert found.differing == len(differing)
    assert found.points == [sum(map(len, ours.values())), sum(map(len, theirs.values()))]
    assert (found.verdict == "equal") == (not differing)
    if found.verdict == "different":
        assert found.step in differing
        # nothing before it is more than 0 against -0
        assert {v.lstrip("-") for s in differing if s < found.step for v in ours.get(s, {"none"})} <= {"0x0.0p+0"}


def test_bits_are_what_counts() -> None:
    assert compared([(0, math.nan)], [(0, -math.nan)]).verdict == "equal"
    assert compared([(0, 0.1 + 0.2)], [(0, 0.3)]).verdict == "different"
    zeros = compared([(0, 0.0), (1, 5.0)], [(0, -0.0), (1, 5.0)])
    assert (zeros.verdict, zeros.step, zeros.differing, zeros.largest) == ("within_tolerance", 0, 1, 0.0)


def test_tolerance_is_relative_or_absolute() -> None:
    first = [(step, 1.0 + step) for step in range(10)]
    second = [(step, value * (1 + 1e-9)) for step, value in first]
    assert compared(first, second, Tolerance(1e-8)).verdict == "within_tolerance"
    found = compared(first, second, Tolerance(1e-10))
    assert (found.verdict, found.step, found.original, found.differing) == ("different", 0, 1.0, 10)
    assert found.largest == pytest.approx(1e-9, rel=1e-3)
    assert compared([(0, 1e-30)], [(0, 0.0)], Tolerance(1e-8)).verdict == "different"
    assert compared([(0, 1e-30)], [(0, 0.0)], Tolerance(0.0, 1e-20)).verdict == "within_tolerance"
    for special in (math.nan, math.inf, -math.inf):
        assert compared([(0, special)], [(0, 1.0)], Tolerance(1.0, 1e308)).verdict == "different"


def test_the_first_step_beyond_tolerance_is_told_with_both_values() -> None:
    first = [(step, 1.0) for step in range(10_000)]
    second = list(first)
    second[500] = (500, 1.0 + 1e-12)
    second[7_777] = (7_777, math.inf)
    second[9_000] = (9_000, 3.0)
    found = compared(first, second, Tolerance(1e-9))
    assert (found.verdict, found.step, found.original, found.reproduction) == ("different", 7_777, 1.0, "Infinity")
    assert found.differing == 3
    assert found.largest == pytest.approx(2 / 3)


def test_a_step_that_only_one_has_is_a_difference() -> None:
    found = compared([(0, 1.0), (1, 2.0)], [(0, 1.0)], Tolerance(1.0, 1.0))
    assert (found.verdict, found.step, found.original, found.reproduction) == ("different", 1, 2.0, None)
    assert found.points == [2, 1]


def test_order_and_repetition_within_a_step_are_the_clocks() -> None:
    assert compared([(3, 1.0), (3, 2.0), (3, 1.0)], [(3, 2.0), (3, 1.0)]).verdict == "equal"
    assert compared([(3, 1.0), (3, 2.0)], [(3, 2.0), (3, 1.5)]).verdict == "different"


def long(changed: int | None) -> Iterator[Chunk]:
    """Two million points in pages of 50,000."""
    for page in range(40):
        steps = array("q", range(page * 50_000, (page + 1) * 50_000))
        values = array("d", (float(step) for step in steps))
        if changed is not None and steps[0] <= changed <= steps[-1]:
            values[changed - steps[0]] += 1
        yield Chunk(steps, values)


def test_millions_of_points_need_little_memory() -> None:
    tracemalloc.start()
    found = compare_series(long(None), long(1_900_001), Tolerance())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.verdict, found.step, found.differing) == ("different", 1_900_001, 1)
    assert found.points == [2_000_000, 2_000_000]
    assert peak < 20_000_000


def test_everything_different_is_compared_in_one_pass() -> None:
    draw = random.Random(1).random
    first = [(step, draw()) for step in range(100_000)]
    second = [(step, draw()) for step in range(100_000)]
    found = compared(first, second)
    assert (found.differing, found.step) == (100_000, 0)


def test_the_worst_metric_decides() -> None:
    def one(verdict: str) -> MetricComparison:
        return MetricComparison(verdict=verdict, points=[1, 1])  # type: ignore[arg-type]

    assert verdict_of({"a": one("equal")}) == "equal"
    assert verdict_of({"a": one("equal"), "b": one("within_tolerance")}) == "within_tolerance"
    for bad in ("different", "only_original", "only_reproduction"):
        assert verdict_of({"a": one("within_tolerance"), "b": one(bad)}) == "different"


def test_texts_that_differ() -> None:
    assert compare_texts({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "x", "d": "4"}) == {
        "b": ["2", "x"],
        "c": ["3", None],
        "d": [None, "4"],
    }

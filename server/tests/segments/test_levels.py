"""Both levels give back what they were given, bit by bit, and damage is noticed."""

from __future__ import annotations

import io
import math
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muniment.model.errors import InvalidInput
from muniment.model.metric import NewPoints
from muniment_server.segments import chart, columns, level0, level1
from muniment_server.segments.columns import Columns

int64 = st.integers(-(2**63), 2**63 - 1)
moments = st.integers(0, 2**63 - 1)
values = st.floats(width=64) | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324])
point = st.tuples(st.integers(0, 3), int64, moments, values)
batches = st.lists(point, min_size=1, max_size=120)
RUN, ACTOR = "a" * 32, "b" * 32


def columns_of(batch: list[tuple[int, int, int, float]]) -> Columns:
    used = sorted({row[0] for row in batch})
    return columns.build(
        [f"metric/{'é' * at}{at}" for at in used],
        np.array([used.index(row[0]) for row in batch], np.uint32),
        np.array([row[1] for row in batch], np.int64),
        np.array([row[2] for row in batch], np.int64),
        np.array([row[3] for row in batch], np.float64),
    )


def rows_of(given: Columns) -> list[tuple[str, int, int, bytes]]:
    return sorted(
        (given.series[key], step, timestamp, struct.pack(">d", value))
        for key, step, timestamp, value in zip(
            given.key.tolist(), given.step.tolist(), given.timestamp.tolist(), given.value.tolist(), strict=True
        )
    )


@given(batches)
def test_level_0_gives_back_every_bit(batch: list[tuple[int, int, int, float]]) -> None:
    made = columns_of(batch)
    numbers = list(range(7, 7 + len(made.series)))
    payload = level0.payload_of(len(made), numbers, level0.encode_body(made))
    found, key, step, timestamp, value = level0.decode(payload)
    assert found == level0.series_numbers(payload) == numbers
    assert rows_of(Columns(made.series, key, step, timestamp, value)) == rows_of(made)


@given(batches, st.data())
def test_a_damaged_level_0_payload_is_an_error_or_other_points(
    batch: list[tuple[int, int, int, float]], data: st.DataObject
) -> None:
    made = columns_of(batch)
    payload = bytearray(level0.payload_of(len(made), list(range(len(made.series))), level0.encode_body(made)))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    try:
        numbers, key, step, timestamp, value = level0.decode(bytes(payload))
        found = columns.build([made.series[number] for number in numbers], key, step, timestamp, value)
    except (ValueError, IndexError, InvalidInput):
        return
    assert columns.digest(found) != columns.digest(made)


@given(st.lists(batches, min_size=1, max_size=6))
def test_level_1_gives_back_every_entry(given_batches: list[list[tuple[int, int, int, float]]]) -> None:
    entries = [
        level1.EntryPoints(number * 3 + 1, 10**15 + number, ACTOR, RUN if number % 2 else "c" * 32, columns_of(batch))
        for number, batch in enumerate(given_batches)
    ]
    erased = [level1.ErasedEntry(2, 5, ACTOR, RUN, "00" * 32)]
    payload = level1.encode(entries, erased)
    found = level1.read_entries(payload)
    assert [(e.position, e.time, e.actor, e.run) for e in found] == [
        (e.position, e.time, e.actor, e.run) for e in entries
    ]
    assert [columns.digest(e.columns) for e in found] == [columns.digest(e.columns) for e in entries]
    assert [rows_of(e.columns) for e in found] == [rows_of(e.columns) for e in entries]
    assert level1.erased_entries(payload) == erased
    assert [position for position, _ in level1.entry_times(payload)] == sorted(
        [2, *(entry.position for entry in entries)]
    )


READINGS: list[Callable[[bytes], Any]] = [
    level1.read_entries,
    level1.erased_entries,
    level1.entry_times,
    lambda payload: level1.read_series(payload, RUN),
    lambda payload: level1.read_series(payload, RUN, {"metric/0"}, positions=False),
]


def segment(batches_: list[list[tuple[int, int, int, float]]]) -> bytes:
    entries = [
        level1.EntryPoints(number + 1, 10**15 + number, ACTOR, RUN if number % 2 else "c" * 32, columns_of(batch))
        for number, batch in enumerate(batches_)
    ]
    return level1.encode(entries, [level1.ErasedEntry(100, 5, ACTOR, RUN, "00" * 32)])


def damage(read: Callable[[bytes], Any], payload: bytes) -> str | None:
    """What is said of a damaged segment; None if it can be read. Any other error is one of ours."""
    try:
        read(payload)
    except ValueError as error:
        return str(error)
    return None


@settings(max_examples=400)
@given(st.lists(batches, min_size=1, max_size=4), st.data())
def test_a_damaged_segment_is_an_error_or_other_points(
    given_batches: list[list[tuple[int, int, int, float]]], data: st.DataObject
) -> None:
    payload = bytearray(segment(given_batches))
    near_the_end = st.integers(max(0, len(payload) - 1_200), len(payload) - 1)  # where the columns are described
    for at in data.draw(st.lists(st.integers(0, len(payload) - 1) | near_the_end, min_size=1, max_size=3)):
        payload[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.just(len(payload)) | st.integers(0, len(payload)))
    for read in READINGS:
        assert damage(read, bytes(payload[:cut])) != ""


def rewritten(payload: bytes, change: Callable[[pa.Table], pa.Table]) -> bytes:
    """A segment whose table somebody has changed."""
    sink = io.BytesIO()
    pq.write_table(change(pq.read_table(io.BytesIO(payload), read_dictionary=["run", "key", "actor"])), sink)
    return sink.getvalue()


def replaced(name: str, made: Callable[[pa.ChunkedArray], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, made(table.column(name)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["step"]), "step is missing, not int64"),
        (lambda table: table.drop_columns(["run"]), "run"),
        (replaced("step", lambda column: column.cast(pa.float64())), "step is double, not int64"),
        (replaced("value", lambda column: column.cast(pa.float32())), "value is float, not double"),
        (replaced("timestamp", lambda column: column.cast(pa.timestamp("ms"))), "timestamp is timestamp"),
        (replaced("key", lambda column: column.cast(pa.binary())), "key is"),
        (replaced("run", lambda column: pa.array(range(len(column)))), "run is int64"),
        (replaced("step", lambda column: pa.array([None] * len(column), pa.int64())), "no value in some row"),
        (replaced("run", lambda column: pa.array([None] * len(column), pa.string())), "no value in some row"),
    ],
)
def test_columns_of_another_kind_are_damage(change: Callable[[pa.Table], pa.Table], message: str) -> None:
    whole = segment([[(0, 1, 2, 3.0), (1, 2, 3, 4.0)]] * 3)
    assert level1.read_entries(rewritten(whole, lambda table: table))
    payload = rewritten(whole, change)
    for read in (READINGS[0], READINGS[3]):
        with pytest.raises(ValueError, match=message):
            read(payload)


def test_names_that_a_metric_cannot_have_are_damage() -> None:
    payload = rewritten(
        segment([[(0, 1, 2, 3.0)]]), replaced("key", lambda column: pa.array([""] * len(column)).dictionary_encode())
    )
    with pytest.raises(ValueError, match="cannot be read: a name in series"):
        level1.read_entries(payload)


@given(st.lists(batches, min_size=1, max_size=4), st.integers(1, 30))
def test_a_segment_in_several_pieces_reads_the_same(
    given_batches: list[list[tuple[int, int, int, float]]], size: int
) -> None:
    """As other programs would write it: in row groups, each with a dictionary of its own."""
    payload = segment(given_batches)
    sink = io.BytesIO()
    pq.write_table(
        pq.read_table(io.BytesIO(payload), read_dictionary=["run", "key", "actor"]), sink, row_group_size=size
    )
    for read in READINGS:
        assert repr(read(sink.getvalue())) == repr(read(payload))
    read, expected = (
        [(entry.position, rows_of(entry.columns)) for entry in level1.read_entries(made)]
        for made in (sink.getvalue(), payload)
    )
    assert read == expected


@given(st.lists(batches, min_size=1, max_size=5))
def test_series_without_positions_are_the_same_series(
    given_batches: list[list[tuple[int, int, int, float]]],
) -> None:
    payload = segment(given_batches)
    known, plain = level1.read_series(payload, RUN), level1.read_series(payload, RUN, positions=False)
    assert list(known) == list(plain)
    for name, series in plain.items():
        assert len(series.position) == 0
        # twice, so that every point is repeated
        expected, found = (chart.joined([one, one]) for one in (known[name], series))
        assert len(found.position) == 0 < len(expected.position) == len(expected.step)
        for column in ("step", "timestamp", "value"):
            assert getattr(found, column).tobytes() == getattr(expected, column).tobytes()


def test_segments_are_written_and_read_without_pandas() -> None:
    """Its import takes half a second and forty megabytes, which a server would pay at its first segment."""
    program = f"""
import sys
from muniment.model.metric import NewPoints
from muniment_server.segments import columns, level1
points = columns.from_request(NewPoints(series=["a", "b"], key=[0, 1], value=[0.5, 1.5]), 0)
payload = level1.encode([level1.EntryPoints(1, 2, "{ACTOR}", "{RUN}", points)])
assert len(level1.read_entries(payload)[0].columns) == 2
assert list(level1.read_series(payload, "{RUN}", positions=False)) == ["a", "b"]
assert level1.entry_times(payload) == [(1, 2)] and level1.erased_entries(payload) == []
sys.exit("pandas" in sys.modules)
"""
    __import__("pandas")  # which is installed here, or this would say nothing
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_segment_stands_for_itself() -> None:
    request = NewPoints(series=["loss"], value=[0.5, "NaN"], step=[1, 2], timestamp=[3, 4])
    payload = level1.encode([level1.EntryPoints(9, 10**15, ACTOR, RUN, columns.from_request(request, 0))])
    table = pq.read_table(io.BytesIO(payload)).to_pydict()
    assert table["run"] == [RUN, RUN]
    assert table["key"] == ["loss", "loss"]
    assert table["step"] == [1, 2]
    assert table["value"][0] == 0.5
    assert math.isnan(table["value"][1])
    assert table["position"] == [9, 9]
    assert table["time"][0].isoformat() == "2001-09-09T01:46:40+00:00"


@given(batches, st.integers(1, 20))
@example([(0, 2**63 - 1, 0, 1.0), (0, 2**63 - 1, 0, 2.0)], 3)
def test_buckets_keep_every_extreme(batch: list[tuple[int, int, int, float]], count: int) -> None:
    made = columns_of([(0, *row[1:]) for row in batch])
    position = np.ones(len(made), np.int64)
    series = chart.joined([level1.SeriesColumns(made.step, made.timestamp, made.value, position)])
    drawn = chart.buckets(series, count)
    assert len(drawn) <= count
    assert sum(bucket.count for bucket in drawn) == len(series.step)
    finite = [value for value in series.value.tolist() if math.isfinite(value)]
    lows = [bucket.min.value for bucket in drawn if bucket.min is not None]
    highs = [bucket.max.value for bucket in drawn if bucket.max is not None]
    if finite:
        assert min(lows) == min(finite)
        assert max(highs) == max(finite)
    else:
        assert not lows
    assert drawn[0].first.step == int(series.step[0])
    assert drawn[-1].last.step == int(series.step[-1])


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (NewPoints(series=["a"], value=[]), "value"),
        (NewPoints(series=[], value=[1.0]), "series"),
        (NewPoints(series=["a", "a"], key=[0, 1], value=[1.0, 2.0]), "series"),
        (NewPoints(series=["a", "b"], key=[0, 0], value=[1.0, 2.0]), "series"),
        (NewPoints(series=["a", "b"], value=[1.0, 2.0]), "key"),
        (NewPoints(series=["a"], key=[1], value=[1.0]), "key"),
        (NewPoints(series=["a"], key=[-1], value=[1.0]), "key"),
        (NewPoints(series=["a"], value=[1.0], step=[1, 2]), "step"),
        (NewPoints(series=["a"], value=[1.0], timestamp=[-1]), "timestamp"),
        (NewPoints(series=["a"], value=b"1234567"), "value"),
        (NewPoints(series=["a"], value=[1.0] * (columns.POINTS_LIMIT + 1)), "value"),
    ],
)
def test_bad_columns_are_refused_with_their_place(request_: NewPoints, place: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        columns.from_request(request_, 0)
    assert caught.value.field == place or place in str(caught.value)
    assert "\n" not in str(caught.value)

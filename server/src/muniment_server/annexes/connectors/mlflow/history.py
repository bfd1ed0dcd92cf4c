"""Metric history out of MLflow's database, as columns.

PostgreSQL packs each metric's points into one value, of which columns are made at once: a row a metric, where SQLite
gives a row a point. What PostgreSQL cannot pack, because something of it is missing, is read as from SQLite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from muniment.model.errors import InvalidInput
from muniment_server.annexes.connectors.mlflow.shapes import Portion, Run
from muniment_server.store.engine import masked, translated

AT_ONCE = 131_072
"""Points that are read by one statement, about; more if a single metric has more."""
_CHUNK = 2_048
"""Rows that are turned into columns at a time: few enough that the collector of garbage does not go through them."""
PACKED = 1 << 22
"""Points of one metric that are packed into one value, at the most: 100 MB in the memory of somebody's database."""
_POINT = np.dtype([("step", ">i8"), ("timestamp", ">i8"), ("value", ">f8")])
"""A point as PostgreSQL packs it."""
Columns = tuple[list[str], Any, Any, Any, Any]
"""Names, index of the name, step, timestamp and value of each row."""


def read(engine: sa.Engine, name: str, columns: set[str], runs: Sequence[Run]) -> Iterator[Portion]:
    """The metric history of some runs: whole metrics, a run's portions after each other.

    Args:
        engine: of MLflow's database.
        name: what to call it in an error.
        columns: those of its table of metrics.
        runs: which, with how many points they have.
    """
    reading = _Reading(engine, name, columns)
    waiting: list[Run] = []
    size = 0
    for run in runs:
        count = run.points or 0
        if count > AT_ONCE:
            yield from reading.large(run.id)
        elif count:
            if size + count > AT_ONCE:
                yield from reading.small(waiting)
                waiting, size = [], 0
            waiting.append(run)
            size += count
    yield from reading.small(waiting)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """What a database says when it cannot be read, in our own words.

    Args:
        name: what to call it.

    Raises:
        Unavailable: it cannot be reached or is busy.
        InvalidInput: it is broken, or may not be read.
    """
    try:
        with translated(name):
            yield
    except Exception as error:
        original = getattr(error, "orig", None) or error
        if any(cls.__name__ == "DatabaseError" for cls in type(original).__mro__):  # of whichever driver
            said = (str(original).splitlines() or [""])[0]
            raise InvalidInput(f"{masked(name)[:200]} cannot be read: {said}") from error
        raise


class _Reading:
    def __init__(self, engine: sa.Engine, name: str, columns: set[str]) -> None:
        self.engine, self.name = engine, name
        self.table = sa.table("metrics", *map(sa.column, sorted(columns)))
        step = self.table.c.step if "step" in columns else sa.literal(0).label("step")
        nan = self.table.c.is_nan if "is_nan" in columns else sa.literal(0).label("is_nan")
        self.columns = (self.table.c.key, step, self.table.c.timestamp, self.table.c.value, nan)
        self.packs = engine.dialect.name == "postgresql"
        value: Any = self.table.c.value
        if "is_nan" in columns:
            value = sa.case((self.table.c.is_nan, sa.literal_column("'NaN'::float8")), else_=value)
        point = sa.func.int8send(step).op("||")(sa.func.int8send(self.table.c.timestamp))
        point = point.op("||")(sa.func.float8send(value))
        packed = sa.func.string_agg(point, sa.literal_column("''::bytea"))
        self.packed = sa.select(self.table.c.run_uuid, self.table.c.key, sa.func.count(), packed)

    def small(self, runs: Sequence[Run]) -> Iterator[Portion]:
        """The points of several runs, each whole."""
        if runs:
            yield from self._portions([run.id for run in runs])

    def large(self, run: str) -> Iterator[Portion]:
        """The points of one run, some metrics at a time."""
        key, mine = self.table.c.key, self.table.c.run_uuid == run
        with reading(self.name), self.engine.connect() as connection:
            counted = connection.execute(sa.select(key, sa.func.count()).where(mine).group_by(key).order_by(key)).all()
        keys: list[str] = []
        size = 0
        for name, count in counted:
            if keys and size + count > AT_ONCE:
                yield from self._some(run, keys, size)
                keys, size = [], 0
            keys.append(name)
            size += count
        if keys:
            yield from self._some(run, keys, size)

    def _some(self, run: str, keys: list[str], size: int) -> Iterator[Portion]:
        key = self.table.c.key
        chosen = key == keys[0] if len(keys) == 1 else sa.and_(key >= keys[0], key <= keys[-1])
        yield from self._portions([run], chosen, packs=size <= PACKED)

    def _portions(self, runs: list[str], *chosen: Any, packs: bool = True) -> Iterator[Portion]:
        """The points of some runs, run by run; of each the same metrics."""
        run, key = self.table.c.run_uuid, self.table.c.key
        found = run == runs[0] if len(runs) == 1 else run.in_(runs)
        if self.packs and packs:
            query = self.packed.where(found, *chosen).group_by(run, key).order_by(run, key)
            rows = [row for part in self._rows(query, binary=True) for row in part]
            if all(packed is not None and len(packed) == count * _POINT.itemsize for _, _, count, packed in rows):
                yield from _unpacked(rows)
                return
        named = sa.literal(runs[0]) if len(runs) == 1 else run
        query = sa.select(named, *self.columns).where(found, *chosen).order_by(*([run] if len(runs) > 1 else []), key)
        broken: dict[str, list[str]] = {}
        yield from _by_run([_columns(rows, broken) for rows in self._rows(query)], broken)

    def _rows(self, query: sa.Select[Any], **form: Any) -> Iterator[Sequence[Any]]:
        """What a query finds, in chunks of the driver's own rows: those of SQLAlchemy cost three times as much."""
        dialect = self.engine.dialect
        compiled = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        with reading(self.name), self.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            if dialect.name == "sqlite":
                assert compiled.positiontup is not None
                cursor = raw.cursor()
                given: Any = tuple(compiled.params[name] for name in compiled.positiontup)
            else:  # a cursor of the server, or the driver would fetch everything at once
                cursor, given = raw.cursor(name="muniment_history", **form), compiled.params
            with closing(cursor):
                cursor.execute(compiled.string, given)
                while rows := cursor.fetchmany(_CHUNK):
                    yield rows


def _unpacked(rows: Sequence[Any]) -> Iterator[Portion]:
    """Rows of run, metric, how many points it has, and those packed; ordered by run."""
    for run, mine in groupby(rows, itemgetter(0)):
        _, keys, counts, packed = zip(*mine, strict=True)
        points = np.frombuffer(b"".join(packed), _POINT)
        step, timestamp = (points[name].astype(np.int64) for name in ("step", "timestamp"))
        key = np.repeat(np.arange(len(keys)), counts)
        yield Portion(run, list(keys), key, step, timestamp, points["value"].astype(np.float64))


def _columns(rows: Sequence[Any], broken: dict[str, list[str]]) -> tuple[list[str], Any, Columns]:
    """Ids of runs, index of the run of each row, and the rows as columns."""
    try:
        return _quickly(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError):
        return _quickly([row for row in rows if _is_whole(row, broken)])  # SQLite keeps whatever it is given


def _quickly(rows: Sequence[Any]) -> tuple[list[str], Any, Columns]:
    run, key, step, timestamp, value, nan = zip(*rows, strict=True) if rows else ((),) * 6
    values = pa.array(value, pa.float64()).to_numpy()
    missing = np.array(nan, np.bool_)
    if missing.any():
        values = np.where(missing, math.nan, values)
    runs, run_at = _named(run)
    keys, key_at = _named(key)
    return runs, run_at, (keys, key_at, _integers(step), _integers(timestamp), values)


def _integers(column: Sequence[Any]) -> Any:
    return pa.array(column, pa.int64()).to_numpy()


def _named(texts: Sequence[str]) -> tuple[list[str], Any]:
    found = pa.array(texts, pa.string()).dictionary_encode()
    return found.dictionary.to_pylist(), found.indices.to_numpy().astype(np.int64)


def _is_whole(row: Any, broken: dict[str, list[str]]) -> bool:
    run, key, step, timestamp, value, _ = row
    try:
        whole = all(type(part) is int and abs(part) < 2**63 for part in (step, timestamp))
        whole = whole and isinstance(key, str) and isinstance(value, int | float) and key.encode() is not None
        float(value)
    except (UnicodeEncodeError, ValueError, TypeError, OverflowError):
        whole = False
    if not whole:
        broken.setdefault(str(run), []).append(f"{key!r} at step {step!r}, time {timestamp!r}: value {value!r}"[:200])
    return whole


def _by_run(parts: list[tuple[list[str], Any, Columns]], broken: dict[str, list[str]]) -> Iterator[Portion]:
    """Chunks joined, and cut where a run ends."""
    names: dict[str, int] = {}
    run_names: dict[str, int] = {}
    for runs, run_at, columns in parts:
        _renumber(runs, run_at, run_names)
        _renumber(columns[0], columns[1], names)
    if parts:
        run_at = np.concatenate([part[1] for part in parts])
        key, step, timestamp, value = (np.concatenate([part[2][at] for part in parts]) for at in range(1, 5))
        all_runs, all_names = list(run_names), list(names)
        edges = [0, *(np.flatnonzero(np.diff(run_at)) + 1).tolist(), len(run_at)]
        for start, end in pairwise(edges):
            if start < end:
                rows = slice(start, end)
                used, own = np.unique(key[rows], return_inverse=True)
                run = all_runs[int(run_at[start])]
                yield Portion(
                    run, [all_names[at] for at in used.tolist()], own, step[rows], timestamp[rows], value[rows],
                    broken.pop(run, []),
                )  # fmt: skip
    nothing = np.empty(0, np.int64)
    for run, lines in broken.items():
        yield Portion(run, [], nothing, nothing, nothing, np.empty(0, np.float64), lines)


def _renumber(own: list[str], at: Any, names: dict[str, int]) -> None:
    """Let indexes into one chunk's names be indexes into all."""
    mapped = np.array([names.setdefault(name, len(names)) for name in own], np.int64)
    if len(mapped):
        at[:] = mapped[at]

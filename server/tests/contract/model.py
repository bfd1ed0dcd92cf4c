"""The contract of a position in plain Python: what a project must hold after any sequence of writes.

Written from the contract and not from the store, so it shares no code with it: records are dicts, a project is a list
of entries, and a state of the past is that list folded again up to a position. What it costs does not matter here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Body = dict[str, Any]
Point = tuple[str, int, int, int]
"""(key, step, timestamp, bits of the value)."""
TERMINAL = ("finished", "failed", "killed")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Refused(Exception):
    """The contract refuses a write; `code` is that of the error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Op:
    """One command: what to do, to whom (a run's id, an experiment's id or name), and how."""

    do: str
    target: str = ""
    args: Body = field(default_factory=dict)
    commands: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a write was answered: a document, or the code of an error."""

    answer: Body | None = None
    error: str | None = None


@dataclass(frozen=True)
class Record:
    """The version of a record that an entry wrote."""

    kind: str
    no: int
    body: Body
    position: int


@dataclass(frozen=True)
class Entry:
    """One entry. Erasing a run takes the bodies and points out of it and leaves the entry."""

    position: int
    time: datetime
    action: str
    revisions: tuple[tuple[int, str, str, Body | None], ...] = ()
    run: str | None = None
    points: tuple[Point, ...] = ()
    erased: bool = False

    @property
    def kind(self) -> str:
        """``commands`` or ``points``."""
        return "commands" if self.revisions else "points"


def value_of(bits: int) -> float:
    """The double with these bits."""
    return float(struct.unpack(">d", struct.pack(">Q", bits))[0])


def bits_of(value: float) -> int:
    """The bits of a double."""
    return int(struct.unpack(">Q", struct.pack(">d", value))[0])


def wire(value: float) -> Any:
    """The JSON spelling of a double."""
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"


def rank(value: float) -> tuple[int, float]:
    """What doubles are ordered by: NaN is less than every number, and zeros of both signs are one."""
    return (0, 0.0) if math.isnan(value) else (1, value)


@dataclass
class State:
    """The records of a project at one position. Values are replaced and never changed, so that a copy is cheap."""

    records: dict[str, Record] = field(default_factory=dict)
    params: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    points: dict[str, tuple[tuple[Point, int], ...]] = field(default_factory=dict)
    """Points with the position they came at, by run, as received."""
    aliases: dict[str, dict[str, str]] = field(default_factory=dict)
    """What each alias of a model means, by model."""
    attachments: dict[str, dict[str, str]] = field(default_factory=dict)
    """The artifact at each path of a record, by record."""
    facets: dict[str, dict[str, Body]] = field(default_factory=dict)
    """The facets of a record, by record."""
    links: dict[tuple[str, ...], str] = field(default_factory=dict)
    """The source of each link, by (downstream, upstream, type, role)."""

    def copy(self) -> State:
        """A state that can be changed on its own."""
        return State(
            dict(self.records), dict(self.params), dict(self.tags), dict(self.points), dict(self.aliases),
            dict(self.attachments), dict(self.facets), dict(self.links),
        )  # fmt: skip

    def of(self, kind: str) -> list[str]:
        """The ids of all records of a kind, oldest first."""
        found = [(record.no, key) for key, record in self.records.items() if record.kind == kind]
        return [key for _, key in sorted(found)]

    def experiment(self, key: str) -> str | None:
        """The id of the experiment with this name or id."""
        for record_id, record in self.records.items():
            if record.kind == "experiment" and record.body["name"] == key:
                return record_id
        return key if key in self.records and self.records[key].kind == "experiment" else None

    def add(self, entry: Entry) -> None:
        """Fold an entry in."""
        for no, kind, record_id, body in entry.revisions:
            if body is None:
                continue
            if kind in body:
                self.records[record_id] = Record(kind, no, body[kind], entry.position)
            self.params[record_id] = {**self.params.get(record_id, {}), **body.get("params", {})}
            tags = {**self.tags.get(record_id, {}), **body.get("tags", {})}
            self.tags[record_id] = {key: value for key, value in tags.items() if value is not None}
            for name, family in self.belongings().items():
                has = {**family.get(record_id, {}), **body.get(name, {})}
                family[record_id] = {key: content for key, content in has.items() if content is not None}
            for link in body.get("links", ()):
                key = (record_id, link["upstream"], link["type"], link["role"])
                self.links = {other: source for other, source in self.links.items() if other != key}
                if link["source"] is not None:
                    self.links[key] = link["source"]
            if "reason" in body:
                self.links = {key: source for key, source in self.links.items() if key[0] != record_id}
                self.points.pop(record_id, None)
                for family in (self.params, self.tags, *self.belongings().values()):
                    family[record_id] = {}
        if entry.run is not None:
            came = tuple((point, entry.position) for point in entry.points)
            self.points[entry.run] = self.points.get(entry.run, ()) + came

    def belongings(self) -> dict[str, dict[str, Any]]:
        """What belongs to records by name, as it is called in revisions."""
        return {"aliases": self.aliases, "artifacts": self.attachments, "facets": self.facets}

    def answer(self, record_id: str) -> Body:
        """A record as the store answers it."""
        record = self.records[record_id]
        return {**record.body, "position": record.position}

    def data(self, run: str) -> Body:
        """A run with everything logged to it."""
        return {
            "run": self.answer(run),
            "params": self.params.get(run, {}),
            "tags": self.tags.get(run, {}),
            "metrics": self.metrics(run),
        }

    def metrics(self, run: str) -> dict[str, Body]:
        """The summaries of a run."""
        by_key: dict[str, list[tuple[Point, int]]] = {}
        for point, position in self.points.get(run, ()):
            by_key.setdefault(point[0], []).append((point, position))
        return {key: summary(points) for key, points in sorted(by_key.items())}

    def series(self, run: str, key: str, low: int | None = None, high: int | None = None) -> list[tuple[int, int, int]]:
        """(step, timestamp, bits) of one series, in order, each once."""
        rows = {
            (step, timestamp, bits)
            for (name, step, timestamp, bits), _ in self.points.get(run, ())
            if name == key and (low is None or step >= low) and (high is None or step <= high)
        }
        return sorted(rows, key=lambda row: (row[0], row[1], rank(value_of(row[2])), row[2] - (row[2] >> 63 << 64)))


def summary(points: Iterable[tuple[Point, int]]) -> Body:
    """The fold of received points (rule 9)."""
    rows = [(step, timestamp, value_of(bits) + 0.0) for (_, step, timestamp, bits), _ in points]
    ordered = sorted(rows, key=lambda row: (row[0], row[1], rank(row[2])))
    first, last = ordered[0], ordered[-1]
    finite = [(value, step) for step, _, value in rows if math.isfinite(value)]
    low = min(finite, default=(None, None))
    high = min(finite, key=lambda pair: (-pair[0], pair[1]), default=(None, None))
    return {
        "count": len(rows), "last": wire(last[2]), "last_step": last[0], "last_timestamp": last[1],
        "first": wire(first[2]), "first_step": first[0], "first_timestamp": first[1],
        "min": low[0], "min_step": low[1], "max": high[0], "max_step": high[1],
        "position": max(position for _, position in points),
    }  # fmt: skip


def chart(rows: list[tuple[int, int, int]], buckets: int) -> Body:
    """A series as it is drawn; the bucket of a step depends on the first and last step alone."""
    drawn = [[step, timestamp, wire(value_of(bits))] for step, timestamp, bits in rows]
    if len(rows) <= buckets:
        return {"exact": True, "count": len(rows), "points": drawn, "buckets": []}
    low, high = rows[0][0], rows[-1][0]
    made: dict[int, list[int]] = {}
    for at, (step, _, _) in enumerate(rows):
        made.setdefault((step - low) * buckets // (high - low + 1), []).append(at)
    return {
        "exact": False,
        "count": len(rows),
        "points": [],
        "buckets": [_bucket(rows, drawn, ats) for ats in made.values()],
    }


def _bucket(rows: list[tuple[int, int, int]], drawn: list[list[Any]], ats: list[int]) -> Body:
    bucket: Body = {"count": len(ats), "first": drawn[ats[0]], "last": drawn[ats[-1]]}
    finite = [at for at in ats if math.isfinite(value_of(rows[at][2]))]
    if finite:
        bucket["min"] = drawn[min(finite, key=lambda at: (value_of(rows[at][2]), at))]
        bucket["max"] = drawn[min(finite, key=lambda at: (-value_of(rows[at][2]), at))]
    return bucket


def micros(moment: datetime) -> int:
    """Epoch microseconds."""
    return (moment - EPOCH) // timedelta(microseconds=1)

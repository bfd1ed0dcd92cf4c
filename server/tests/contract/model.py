"""The contract of a position in plain Python: what a project must hold after any sequence of writes.

Written from the contract and not from the store, so it shares no code with it: records are dicts, a project is a list
of entries, and a state of the past is that list folded again up to a position. What it costs does not matter here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

Body = dict[str, Any]
Point = tuple[str, int, int, int]
"""(key, step, timestamp, bits of the value)."""
TERMINAL = ("finished", "failed", "killed")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Refused(Exception):  # noqa: N818 - it is an outcome, as good as any other
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

    def copy(self) -> State:
        """A state that can be changed on its own."""
        return State(dict(self.records), dict(self.params), dict(self.tags), dict(self.points))

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
            if "reason" in body:
                self.points.pop(record_id, None)
                self.params[record_id], self.tags[record_id] = {}, {}
        if entry.run is not None:
            came = tuple((point, entry.position) for point in entry.points)
            self.points[entry.run] = self.points.get(entry.run, ()) + came

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
    return {"exact": False, "count": len(rows), "points": [], "buckets": [_bucket(rows, drawn, ats) for ats in made.values()]}


def _bucket(rows: list[tuple[int, int, int]], drawn: list[list[Any]], ats: list[int]) -> Body:
    bucket: Body = {"count": len(ats), "first": drawn[ats[0]], "last": drawn[ats[-1]]}
    finite = [at for at in ats if math.isfinite(value_of(rows[at][2]))]
    if finite:
        bucket["min"] = drawn[min(finite, key=lambda at: (value_of(rows[at][2]), at))]
        bucket["max"] = drawn[min(finite, key=lambda at: (-value_of(rows[at][2]), at))]
    return bucket


class Draft:
    """What one request is about to do: all of it or nothing."""

    def __init__(self, model: Model, ids: Callable[[int], str]) -> None:
        self.model = model
        self.state = model.state.copy()
        self.position = len(model.entries) + 1
        self.time = model.moment()
        self.records = model.records
        self.bodies: dict[str, Body] = {}
        self.points: list[tuple[str, tuple[Point, ...]]] = []
        self.writer: tuple[str, int] | None = None
        self.ids = ids

    @property
    def last(self) -> int:
        """The position of the last entry so far."""
        return self.position - 1 + bool(self.bodies) + len(self.points)

    def put(self, kind: str, record_id: str, body: Body) -> Body:
        """A version of a record; the current content again is none."""
        known = self.state.records.get(record_id)
        if known is None:
            self.records += 1
        if known is None or known.body != body:
            no = self.records if known is None else known.no
            self.state.records[record_id] = Record(kind, no, body, self.position)
            self.bodies.setdefault(record_id, {})[kind] = body
        return self.state.answer(record_id)

    def run(self, run: str, *, writable: bool = False) -> Record:
        """A run that can be written to."""
        record = self.state.records.get(run)
        if record is None or record.kind != "run":
            raise Refused("not_found")
        if record.body["lifecycle"] == "erased":
            raise Refused("gone")
        if writable and record.body["lifecycle"] == "deleted":
            raise Refused("conflict")
        return record


class Model:
    """A project: its entries, and what makes a repeated request known."""

    def __init__(self, time: datetime) -> None:
        self.entries: list[Entry] = []
        self.state = State()
        self.time = time
        self.clock = time
        self.records = 0
        self.names: set[str] = set()
        """Every name of a metric, param or tag that was ever written."""
        self.digests: dict[tuple[str, tuple[Point, ...]], int] = {}
        self.writers: dict[str, tuple[int, Body]] = {}
        self.receipts: dict[str, tuple[str, Body]] = {}

    def copy(self) -> Model:
        """A model that can go another way."""
        made = Model(self.time)
        made.__dict__.update(self.__dict__)
        made.entries, made.state, made.names = list(self.entries), self.state.copy(), set(self.names)
        made.digests, made.writers, made.receipts = dict(self.digests), dict(self.writers), dict(self.receipts)
        return made

    @property
    def head(self) -> int:
        """The latest position."""
        return len(self.entries)

    def moment(self) -> datetime:
        """The time of what is committed now; it never runs backwards (rule 2)."""
        return max(self.time, self.clock)

    def at(self, position: int | None) -> State:
        """The state at a position."""
        if position is None:
            return self.state
        made = State()
        for entry in self.entries[:position]:
            made.add(entry)
        return made

    def position_at(self, moment: datetime) -> int:
        """The last position that was committed by this moment."""
        return sum(entry.time <= moment for entry in self.entries)

    def apply(self, op: Op, key: str | None = None, body: str = "", seen: Body | None = None) -> Outcome:
        """Carry out one request; `seen` is the store's answer, from which only the ids of new records are taken."""
        if key is not None and key in self.receipts:
            kept = self.receipts[key]
            return Outcome(kept[1]) if kept[0] == body else Outcome(error="key_reused")

        def fresh(index: int) -> str:
            found = seen if seen is not None and op.do != "batch" else (seen or {}).get("results", [{}] * 99)[index]
            return str((found or {}).get("id"))

        draft = Draft(self, fresh)
        try:
            answer = _batch(draft, op) if op.do == "batch" else _COMMANDS[op.do](draft, op, 0)
        except Refused as refused:
            return Outcome(error=refused.code)
        self._commit(draft, op, answer)
        if key is not None:
            self.receipts[key] = (body, answer)
        return Outcome(answer)

    def _commit(self, draft: Draft, op: Op, answer: Body) -> None:
        if op.do == "run.erase":
            self._forget(op.target)
        self.records = draft.records
        records = draft.state.records
        revisions = sorted((records[key].no, records[key].kind, key, body) for key, body in draft.bodies.items())
        if revisions:
            self._add(Entry(self.head + 1, draft.time, op.do, tuple(revisions)))
        for run, points in draft.points:
            self.digests[run, points] = self.head + 1
            self._add(Entry(self.head + 1, draft.time, "run.log", run=run, points=points))
        if draft.writer is not None:
            self.writers[draft.writer[0]] = (draft.writer[1], answer)

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.state.add(entry)
        self.time = entry.time
        for _, _, _, body in entry.revisions:
            self.names.update((body or {}).get("params", ()), (body or {}).get("tags", ()))
        self.names.update(point[0] for point in entry.points)

    def _forget(self, run: str) -> None:
        """Take the content of a run out of every entry; the entries stay."""
        for at, entry in enumerate(self.entries):
            if entry.run == run:
                self.entries[at] = replace(entry, run=None, points=(), erased=True)
            elif any(key == run for _, _, key, _ in entry.revisions):
                kept = tuple((no, kind, key, None if key == run else body) for no, kind, key, body in entry.revisions)
                self.entries[at] = replace(entry, revisions=kept)
        self.receipts = {key: kept for key, kept in self.receipts.items() if run not in repr(kept[1])}


def _batch(draft: Draft, op: Op) -> Body:
    results = [_COMMANDS[command.do](draft, command, index) for index, command in enumerate(op.commands)]
    for command, result in zip(op.commands, results, strict=True):
        # a batch answers one position for everything that is not a record
        if command.do in {"run.params", "run.tags"} or (command.do == "run.log" and not result["replayed"]):
            result["position"] = draft.last
    return {"position": draft.last, "results": results}


def _create_experiment(draft: Draft, op: Op, index: int) -> Body:
    name, description = op.args["name"], op.args.get("description")
    there = next((r for r in draft.state.of("experiment") if draft.state.records[r].body["name"] == name), None)
    if there is not None:
        if description is not None and draft.state.records[there].body["description"] != description:
            raise Refused("conflict")
        return draft.state.answer(there)
    made = draft.ids(index)
    return draft.put("experiment", made, {
        "id": made, "name": name, "description": description, "lifecycle": "active", "created_at": draft.time,
    })  # fmt: skip


def _update_experiment(draft: Draft, op: Op, index: int) -> Body:
    del index
    found = draft.state.experiment(op.target)
    if found is None:
        raise Refused("not_found")
    for other in draft.state.of("experiment"):
        if other != found and draft.state.records[other].body["name"] == op.args.get("name"):
            raise Refused("conflict")
    return draft.put("experiment", found, {**draft.state.records[found].body, **op.args})


def _create_run(draft: Draft, op: Op, index: int) -> Body:
    given, state = op.args, draft.state
    experiment = state.experiment(op.target)
    if experiment is None:
        raise Refused("not_found")
    if given["id"] in state.records:
        return _same_run(draft, given, experiment)
    if state.records[experiment].body["lifecycle"] != "active":
        raise Refused("conflict")
    if given["parent"] is not None and given["parent"] not in state.records:
        raise Refused("not_found")
    made = given["id"] or draft.ids(index)
    started = given["started_at"] or (None if given["state"] == "scheduled" else draft.time)
    answer = draft.put("run", made, {
        "id": made, "experiment": experiment, "name": given["name"] or f"run-{made[-8:]}", "kind": given["kind"],
        "state": given["state"], "attempt": 1, "parent": given["parent"], "lifecycle": "active",
        "description": given["description"], "user": given["user"], "code": None, "environment": None,
        "seeds": given["seeds"], "created_at": draft.time, "started_at": started,
        "ended_at": draft.time if given["state"] in TERMINAL else None,
    })  # fmt: skip
    _add_params(draft, made, given["params"])
    _change_tags(draft, made, given["tags"])
    return answer


def _same_run(draft: Draft, given: Body, experiment: str) -> Body:
    body = draft.run(given["id"]).body
    alike = (body["experiment"], body["kind"], body["parent"]) == (experiment, given["kind"], given["parent"])
    known = draft.state.params.get(given["id"], {})
    if not alike or given["name"] not in {None, body["name"]} or not given["params"].items() <= known.items():
        raise Refused("conflict")
    return draft.state.answer(given["id"])


def _update_run(draft: Draft, op: Op, index: int) -> Body:
    del index
    before = draft.run(op.target).body
    ancestor = op.args.get("parent")
    while ancestor is not None:
        if ancestor == op.target:
            raise Refused("conflict")
        if ancestor not in draft.state.records:
            raise Refused("not_found")
        ancestor = draft.state.records[ancestor].body["parent"]
    after = {**before, **op.args}
    if after["state"] in TERMINAL:
        if before["state"] not in TERMINAL and after["ended_at"] is None:
            after["ended_at"] = draft.time
    elif "ended_at" not in op.args:
        after["ended_at"] = None
    if after["state"] != "scheduled" and after["started_at"] is None:
        after["started_at"] = draft.time
    return draft.put("run", op.target, after)


def _attempt(draft: Draft, op: Op, index: int) -> Body:
    del index
    body = draft.run(op.target, writable=True).body
    if body["state"] not in TERMINAL:
        raise Refused("conflict")
    again = {"attempt": body["attempt"] + 1, "state": "running", "started_at": draft.time, "ended_at": None}
    return draft.put("run", op.target, {**body, **again})


def _add_params(draft: Draft, run: str, given: dict[str, str]) -> int:
    known = draft.state.params.get(run, {})
    if any(known.get(key, value) != value for key, value in given.items()):
        raise Refused("conflict")
    fresh = {key: value for key, value in given.items() if key not in known}
    if fresh:
        draft.state.params[run] = {**known, **fresh}
        draft.bodies.setdefault(run, {}).setdefault("params", {}).update(fresh)
    return len(fresh)


def _change_tags(draft: Draft, run: str, given: dict[str, str | None]) -> int:
    known = draft.state.tags.get(run, {})
    changed = {key: value for key, value in given.items() if known.get(key) != value}
    if changed:
        draft.state.tags[run] = {key: value for key, value in {**known, **changed}.items() if value is not None}
        draft.bodies.setdefault(run, {}).setdefault("tags", {}).update(changed)
    return len(changed)


def _params(draft: Draft, op: Op, index: int) -> Body:
    del index
    draft.run(op.target, writable=True)
    return {"changed": _add_params(draft, op.target, op.args["params"]), "position": draft.last}


def _tags(draft: Draft, op: Op, index: int) -> Body:
    del index
    draft.run(op.target, writable=True)
    return {"changed": _change_tags(draft, op.target, op.args["tags"]), "position": draft.last}


def _log(draft: Draft, op: Op, index: int) -> Body:
    del index
    points = tuple(sorted(op.args["points"]))
    writer, sequence = op.args.get("writer"), op.args.get("sequence")
    if writer is not None:
        mark, answer = draft.model.writers.get(writer, (None, {}))
        if mark is not None and sequence <= mark:
            # only the latest answer is kept; an older request is told that it is done by that position
            count = answer["points"] if sequence == mark else len(points)
            return {"position": answer["position"], "points": count, "replayed": True}
        if mark is not None and sequence > mark + 1:
            raise Refused("conflict")
        draft.writer = (writer, sequence)
    draft.run(op.target, writable=True)
    known = draft.model.digests.get((op.target, points))
    if known is not None:
        return {"position": known, "points": len(points), "replayed": True}
    draft.points.append((op.target, points))
    return {"position": draft.last, "points": len(points), "replayed": False}


def _erase(draft: Draft, op: Op, index: int) -> Body:
    del index
    body = draft.run(op.target).body
    gone = dict.fromkeys(("parent", "description", "user", "code", "environment", "seeds", "started_at", "ended_at"))
    answer = draft.put("run", op.target, {**body, **gone, "name": "erased", "lifecycle": "erased"})
    draft.bodies[op.target]["reason"] = op.args["reason"]
    return answer


_COMMANDS: dict[str, Callable[[Draft, Op, int], Body]] = {
    "experiment.create": _create_experiment,
    "experiment.update": _update_experiment,
    "run.create": _create_run,
    "run.update": _update_run,
    "run.attempt": _attempt,
    "run.params": _params,
    "run.tags": _tags,
    "run.log": _log,
    "run.erase": _erase,
}


@dataclass(frozen=True)
class Request:
    """A request and what the store answered."""

    op: Op
    key: str | None
    body: str
    outcome: Outcome


def explained(model: Model, requests: list[Request]) -> Model | None:
    """The model after these requests in some serial order that gives exactly these answers; None if there is none."""
    if not requests:
        return model
    for at, request in enumerate(requests):
        trial = model.copy()
        outcome = trial.apply(request.op, request.key, request.body, request.outcome.answer)
        if outcome == request.outcome:
            found = explained(trial, requests[:at] + requests[at + 1 :])
            if found is not None:
                return found
    return None


def micros(moment: datetime) -> int:
    """Epoch microseconds."""
    return (moment - EPOCH) // timedelta(microseconds=1)

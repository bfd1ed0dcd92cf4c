"""What each command does to a project, in plain Python: the rules of the contract, one short function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from contract.model import TERMINAL, Body, Entry, Op, Outcome, Point, Record, Refused, State


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
        self.seen: Body = {}
        """The store's answer, from which only what it made up is taken."""

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

    def present(self, record_id: str) -> Record:
        """A record that has content."""
        record = self.state.records.get(record_id)
        if record is None:
            raise Refused("not_found")
        if record.body["lifecycle"] == "erased":
            raise Refused("gone")
        return record

    def writable(self, record_id: str) -> Record:
        """A record that is not deleted, and no version of what is."""
        record = self.present(record_id)
        owner = record.body.get(record.kind.removesuffix("_version")) if record.kind.endswith("_version") else None
        for key in (record_id, owner):
            if key is not None and self.state.records[key].body["lifecycle"] == "deleted":
                raise Refused("conflict")
        return record

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
            return str((found or {}).get("id", f"unknown {index}"))  # of a request that the store refused

        draft = Draft(self, fresh)
        draft.seen = seen or {}
        try:
            answer = _batch(draft, op) if op.do == "batch" else COMMANDS[op.do](draft, op, 0)
        except Refused as refused:
            return Outcome(error=refused.code)
        self._commit(draft, op, answer)
        if key is not None:
            self.receipts[key] = (body, answer)
        return Outcome(answer)

    def _commit(self, draft: Draft, op: Op, answer: Body) -> None:
        if op.do in {"run.erase", "record.erase"}:
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
    results = [COMMANDS[command.do](draft, command, index) for index, command in enumerate(op.commands)]
    for command, result in zip(op.commands, results, strict=True):
        # a batch answers one position for everything that is not a record
        own = command.do == "run.log" and result["position"] >= draft.position
        if command.do in {"run.params", "run.tags"} or own:
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
    draft.present(found or "")
    assert found is not None
    for other in draft.state.of("experiment"):
        if other != found and draft.state.records[other].body["name"] == op.args.get("name"):
            raise Refused("conflict")
    return draft.put("experiment", found, {**draft.state.records[found].body, **op.args})


def _create_run(draft: Draft, op: Op, index: int) -> Body:
    given, state = op.args, draft.state
    experiment = state.experiment(op.target)
    draft.present(experiment or "")
    assert experiment is not None
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
        "ended_at": draft.time if given["state"] in TERMINAL else None, "job": None,
    })  # fmt: skip
    _add_params(draft, made, given["params"])
    change_tags(draft, made, given["tags"])
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


def change_tags(draft: Draft, run: str, given: dict[str, str | None]) -> int:
    """Set tags of a record, or remove those that are None; how many changed."""
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
    return {"changed": change_tags(draft, op.target, op.args["tags"]), "position": draft.last}


def _log(draft: Draft, op: Op, index: int) -> Body:
    del index
    points = tuple(sorted(op.args["points"]))
    writer, sequence = op.args.get("writer"), op.args.get("sequence", 0)
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
    if (op.target, points) in draft.points:  # in this very batch; which is recorded by the position so far
        return {"position": draft.last, "points": len(points), "replayed": True}
    known = draft.model.digests.get((op.target, points))
    if known is not None:
        return {"position": known, "points": len(points), "replayed": True}
    draft.points.append((op.target, points))
    return {"position": draft.last, "points": len(points), "replayed": False}


def _erase(draft: Draft, op: Op, index: int) -> Body:
    del index
    return erase(draft, op, draft.run(op.target))


_KEPT = {
    "run": ("experiment", "kind", "state", "attempt"), "dataset_version": ("dataset",),
    "model_version": ("model", "version"),
}  # fmt: skip
"""What is left of a record, beside its id and when it was made."""
_INSTEAD: dict[str, Body] = {
    "dataset": {"namespace": "default"}, "model_version": {"stage": "none"},
    "dataset_version": {"sources": [], "schema": [], "slices": []},
}  # fmt: skip


def erase(draft: Draft, op: Op, record: Record) -> Body:
    """Take the content of a record, and say which entries had it."""
    kind, body = record.kind, record.body
    named = {
        "run": {"name": "erased"}, "dataset_version": {"version": f"erased-{op.target}"}, "model_version": {},
    }.get(kind, {"name": f"erased-{op.target}"})  # fmt: skip
    kept = {name: body[name] for name in ("id", "created_at", *_KEPT.get(kind, ()))}
    left = {**dict.fromkeys(body), **kept, **named, **_INSTEAD.get(kind, {}), "lifecycle": "erased"}
    answer = draft.put(kind, op.target, left)
    entries = draft.model.entries
    draft.bodies[op.target]["reason"] = op.args["reason"]
    draft.bodies[op.target]["erased"] = {
        "points": [entry.position for entry in entries if entry.run == op.target],
        "revisions": [entry.position for entry in entries if any(key == op.target for _, _, key, _ in entry.revisions)],
    }
    return answer


COMMANDS: dict[str, Callable[[Draft, Op, int], Body]] = {
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


def explained(model: Model, requests: list[Request], head: tuple[int, int]) -> Model | None:
    """The model after these requests in some serial order that gives exactly these answers; None if there is none.

    Several orders may give the answers: it must be one that leads to the position and the number of records at `head`.
    """
    if not requests:
        return model if (model.head, model.records) == head else None
    for at, request in enumerate(requests):
        trial = model.copy()
        outcome = trial.apply(request.op, request.key, request.body, request.outcome.answer)
        if outcome == request.outcome:
            found = explained(trial, requests[:at] + requests[at + 1 :], head)
            if found is not None:
                return found
    return None

"""Drives one store through its services, and holds every answer to the model."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import msgspec
import pytest
import sqlalchemy as sa

from contract import belongings, catalog, fates
from contract.commands import Model, Request, explained
from contract.evidence import Evidence
from contract.evidence import rows as evidence_rows
from contract.model import Body, Op, Outcome, micros, value_of, wire
from muniment.model import batch as batches
from muniment.model.errors import MunimentError, Unavailable
from muniment.model.experiment import Experiment, ExperimentChange, NewExperiment
from muniment.model.metric import NewPoints, PointsWritten
from muniment.model.run import NewRun, Run, RunChange
from muniment_server.annexes import keeper
from muniment_server.policy.access import Permission
from muniment_server.segments import level1
from muniment_server.services import batch, erasure, experiments, metrics, runs, verify
from muniment_server.services import ledger as history
from muniment_server.services.runs import Logged
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import Workspace
from muniment_server.store import compaction, heads, receipts, sealing, tiles, writer
from muniment_server.store.audit import chain, rows, series

PROJECT = "default"
_ROOMS: dict[str, Any] = {name: room for room in (belongings, catalog, fates) for name in room.COMMANDS}
_ANSWERS: dict[str, Any] = {
    "experiment.create": Experiment, "experiment.update": Experiment, "run.create": Run, "run.update": Run,
    "run.attempt": Run, "run.params": Logged, "run.tags": Logged, "run.log": PointsWritten, "run.erase": Run,
    "batch": batches.BatchDone,
}  # fmt: skip


class Clock:
    """Stands in for the module `time`, so that commit times are known, and can be set back."""

    def __init__(self) -> None:
        self.eighths = 14_400_000_000
        """Eighths of a second, which a double holds exactly; they begin in 2027, after every real clock of a build."""

    def time(self) -> float:
        """Seconds."""
        return self.eighths / 8

    def time_ns(self) -> int:
        """Nanoseconds."""
        return self.eighths * 125_000_000

    def now(self) -> datetime:
        """As the store sees it."""
        return datetime.fromtimestamp(self.time(), tz=UTC)


class Site(Protocol):
    """Where stores are: one engine's way to make, copy and drop them."""

    engine: str

    def fresh(self) -> str:
        """The URL of an empty store."""
        ...

    def crashed(self, url: str) -> str:
        """The URL of a store as it would be found after a crash of every process that has it open."""
        ...

    def drop(self, url: str) -> None:
        """Throw a store away."""
        ...


class SqliteSite:
    """Files, copied from an empty one."""

    engine = "sqlite"

    def __init__(self, template: Path, folder: Path) -> None:
        self.template = template
        self.folder = folder

    def fresh(self) -> str:
        path = self.folder / f"{uuid.uuid4().hex}.db"
        shutil.copyfile(self.template, path)
        return f"sqlite:///{path}"

    def crashed(self, url: str) -> str:
        made = self.folder / f"{uuid.uuid4().hex}.db"
        for suffix in ("", "-wal"):
            source = Path(url.removeprefix("sqlite:///") + suffix)
            if source.exists():
                shutil.copyfile(source, f"{made}{suffix}")
        return f"sqlite:///{made}"

    def drop(self, url: str) -> None:
        for file in self.folder.glob(f"{Path(url).name}*"):
            file.unlink()


class PostgresSite:
    """Databases of one server; `admin` is the fixture of the tests."""

    engine = "postgresql"

    def __init__(self, admin: Any) -> None:
        self.admin = admin

    def fresh(self) -> str:
        return str(self.admin.create())

    def crashed(self, url: str) -> str:
        return url  # the server lives, and what a crash of it would lose is not what is tested here

    def drop(self, url: str) -> None:
        self.admin.drop(url)


@contextmanager
def small_constants(clock: Clock) -> Iterator[None]:
    """Sizes at which something new begins, made small, so that a short history crosses them; and the clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(level1, "TARGET", 60)
        patch.setattr(compaction, "_ROWS", 7)
        patch.setattr(sealing, "SEAL_ENTRIES", 9)
        patch.setattr(chain, "WINDOW", 16)
        for module in (chain, tiles):
            patch.setattr(module, "TILE_HEIGHT", 2)
            patch.setattr(module, "TILE_WIDTH", 4)
        patch.setattr(rows, "CHUNK", 3)
        patch.setattr(series, "CHUNK", 3)
        patch.setattr(writer, "time", clock)
        patch.setattr(metrics, "time", clock)
        yield


class Driver:
    """One store and the model of its default project.

    Args:
        site: where to make the store.
        folder: for trust folders.
    """

    def __init__(self, site: Site, folder: Path, clock: Clock) -> None:
        self.site = site
        self.folder = folder
        self.clock = clock
        self.trust = folder / f"trust-{uuid.uuid4().hex}"
        self.artifacts = folder / f"artifacts-{uuid.uuid4().hex}"
        self.url = site.fresh()
        self.open = [self.opened()]
        self.project = self.first.project(self.first.owner_scope, PROJECT, Permission.READ).no
        with self.first.store.read() as connection:
            self.model = Model(heads.read(connection, self.project).time)
        self.evidence = Evidence(self.first.owner)

    @property
    def first(self) -> Workspace:
        """The process that was there first."""
        return self.open[0]

    def opened(self) -> Workspace:
        """One more process on the store."""
        return Workspace(self.url, trust=self.trust, artifacts=self.artifacts.as_uri())

    def at(self, number: int) -> Workspace:
        """One of the processes on the store."""
        return self.open[number % len(self.open)]

    def close(self) -> None:
        """Throw everything away."""
        for workspace in self.open:
            workspace.close()
        self.site.drop(self.url)
        for folder in (self.trust, self.artifacts):
            shutil.rmtree(folder, ignore_errors=True)

    # writing

    def prepared(self, workspace: Workspace, op: Op, key: str | None, body: str) -> Any:
        """The prepared write of a request."""
        given = None
        if key is not None:
            given = receipts.receipt(workspace.owner, op.do, key, body.encode(), _ANSWERS[op.do])
        scope, args = workspace.owner_scope, op.args
        common = (workspace, scope, PROJECT)
        match op.do:
            case "experiment.create":
                return experiments.create(*common, NewExperiment(**args), given)
            case "experiment.update":
                return experiments.update(*common, op.target, ExperimentChange(**args), given)
            case "run.create":
                return runs.create(*common, NewRun(experiment=op.target, **args), given)
            case "run.update":
                return runs.update(*common, op.target, RunChange(**args), given)
            case "run.attempt":
                return runs.begin_attempt(*common, op.target, given)
            case "run.params":
                return runs.log_params(*common, op.target, args["params"], given)
            case "run.tags":
                return runs.set_tags(*common, op.target, args["tags"], given)
            case "run.log":
                return metrics.log(*common, op.target, NewPoints(**points_of(op)), given)
            case "run.erase":
                return erasure.erase_run(*common, op.target, args["reason"], given)
            case "batch":
                commands = [command_of(command) for command in op.commands]
                return batch.run(*common, batches.Batch(commands=commands), given)
            case name:
                return _ROOMS[name].prepare(common, op)

    def write(self, op: Op, key: str | None = None, body: str | None = None, process: int = 0) -> Outcome:
        """One request, answered as the model answers it."""
        text = repr(op) if body is None else body
        self.model.clock = self.clock.now()
        workspace = self.at(process)
        outcome = settled(lambda: workspace.writer.write(self.prepared(workspace, op, key, text)))
        known = set(self.model.state.records)
        expected = self.model.apply(op, key, text, outcome.answer)
        assert outcome == expected, f"{op}\nanswered {outcome}\nexpected {expected}"
        made = set(self.model.state.records) - known
        assert all(len(record) == 32 and record.isalnum() for record in made), made
        self.check_head()
        return outcome

    def together(
        self,
        requests: Sequence[tuple[Op, str | None]],
        *,
        threaded: bool = False,
        failures: frozenset[str] = frozenset(),
    ) -> None:
        """Requests at once, whose answers must be those of some serial order.

        Args:
            requests: commands with their idempotency keys.
            failures: errors after which nothing of a request may be left.
            threaded: from threads and over all processes; otherwise in one group of one process.
        """
        self.model.clock = self.clock.now()
        prepared = [
            (self.at(number if threaded else 0), op, key, repr(op)) for number, (op, key) in enumerate(requests)
        ]
        writes = [(workspace, self.prepared(workspace, op, key, body)) for workspace, op, key, body in prepared]
        outcomes = in_threads(writes) if threaded else self.in_a_group([write for _, write in writes])
        answered = [
            Request(op, key, body, outcome)
            for (_, op, key, body), outcome in zip(prepared, outcomes, strict=True)
            if outcome.error not in failures
        ]
        if threaded:
            answered.sort(key=lambda request: (request.outcome.answer or {}).get("position", 0))
        with self.first.store.read() as connection:
            head = heads.read(connection, self.project)
        after = explained(self.model, answered, (head.position, head.records))
        told = "\n".join(
            f"{request.op}\n    {request.outcome}\n"
            f"    alone: {self.model.copy().apply(request.op, request.key, request.body)}"
            for request in answered
        )
        assert after is not None, f"no serial order explains and leads to {head}\n{told}"
        self.model = after
        self.check_head()

    def in_a_group(self, writes: list[Any]) -> list[Outcome]:
        """The outcomes of writes that wait for the same lock, so that all but the first are one group."""

        async def submit() -> list[Any]:
            engine = self.first.store._writing
            with engine.connect() as connection:
                transaction = connection.begin()
                heads.lock(connection, self.project)
                waiting = [asyncio.ensure_future(self.first.writer.write_async(writes[0]))]
                await asyncio.sleep(0)
                while self.first.writer.waiting:  # noqa: ASYNC110 - until it is on its way
                    await asyncio.sleep(0.0002)
                waiting.extend(asyncio.ensure_future(self.first.writer.write_async(write)) for write in writes[1:])
                await asyncio.sleep(0)
                transaction.rollback()
            return await asyncio.gather(*waiting, return_exceptions=True)

        return [settled_answer(answer) for answer in asyncio.run(submit())]

    def failing_write(self, op: Op, error: str) -> None:
        """A request whose commit fails; nothing of it may be left."""
        with failing_commit(self.first, error):
            outcome = settled(lambda: self.first.writer.write(self.prepared(self.first, op, None, "")), RuntimeError)
        assert outcome.error is not None
        self.check_head()

    # the keeper

    def seal(self, process: int = 0) -> None:
        """Seal; an overtaken keeper must not seal again what another has sealed."""
        overtaken = self.at(process + 1)
        with overtaken.store.read() as connection:
            pending = sealing.prepare(connection, self.project, self._project_id)
        keeper.seal(self.at(process))
        keeper.publish(self.at(process))
        if pending is not None:
            signer = sealing.Signer(overtaken.trust.key, overtaken.trust.sign)
            assert sealing.write(overtaken.store, [pending], signer, datetime.now(UTC)) == []
        found = history.seals(self.first, self.first.owner_scope, PROJECT)
        assert (found[-1].size if found else 0) == self.model.head
        published = {seal.number: seal for seal in TrustFolder(self.trust).checkpoints()}
        assert all(published[seal.number] == seal for seal in found), "seals are published outside the database"

    @property
    def _project_id(self) -> str:
        return self.first.project(self.first.owner_scope, PROJECT, Permission.READ).id

    def compact(self, process: int = 0, meanwhile: Op | None = None) -> None:
        """Compact; a plan that was made before something else changed its rows must not be carried out."""
        with self.at(process).store.read() as connection:
            planned = compaction.plan(connection, self.project)
        if meanwhile is not None:
            self.write(meanwhile)
        else:
            keeper.compact(self.at(process + 1), everything=True)
        if planned is not None:
            swapped = compaction.swap(self.at(process).store, self.project, planned)
            assert meanwhile is not None or not swapped, "two keepers have put in the same segment"
        keeper.compact(self.at(process), everything=True)
        with self.first.store.read() as connection:
            assert compaction.pending(connection, self.project)[0] == 0
        sealed = history.seals(self.first, self.first.owner_scope, PROJECT)[-1].size
        compacted = evidence_rows(self.first, "SELECT last FROM segments WHERE project_id = :p", p=self.project)
        assert all(row["last"] <= sealed for row in compacted), "only sealed entries are compacted (rule 7)"

    # crashes

    def crash(self) -> None:
        """Every process dies; a new one opens what was left."""
        old, self.url = self.url, self.site.crashed(self.url)
        fresh = self.opened()
        for workspace in self.open:
            workspace.close()
        self.open = [fresh]
        if old != self.url:
            self.site.drop(old)
        self.check_head()

    # checking

    def check_head(self) -> None:
        """The head stands at the model's count (no gap, no entry for nothing), and its time is the last entry's."""
        with self.first.store.read() as connection:
            head = heads.read(connection, self.project)
        assert (head.position, head.records) == (self.model.head, self.model.records)
        assert micros(head.time) == micros(self.model.time)

    def check_verified(self) -> None:
        """The store finds nothing wrong with itself."""
        outcome = verify.store(self.first.store, self.first.trust)
        assert outcome.ok, outcome.findings

    def moment(self, number: int, offset: int) -> tuple[int | str | None, int | None]:
        """A moment to ask for, and the position that is meant: now, a position, or a time around that of an entry."""
        if number % 4 == 0 or not self.model.entries:
            return None, None
        position = number % (self.model.head + 1)
        if number % 4 < 3:
            return (position if number % 4 == 1 else str(position)), position
        moment = self.model.entries[position - 1].time + timedelta(microseconds=offset)
        return moment.isoformat(), self.model.position_at(moment)


def points_of(op: Op) -> Body:
    """The fields of `NewPoints`."""
    points = op.args["points"]
    names = sorted({point[0] for point in points}, reverse=True)
    made: Body = {
        "series": names,
        "key": [names.index(point[0]) for point in points] if len(names) > 1 else None,
        "step": [point[1] for point in points],
        "timestamp": None if op.args.get("now") else [point[2] for point in points],
        "value": [wire(value_of(point[3])) for point in points],
        "writer": op.args.get("writer"),
        "sequence": op.args.get("sequence"),
    }
    if op.args.get("packed"):
        made["step"] = b"".join(step.to_bytes(8, "little", signed=True) for step in made["step"])
        made["value"] = b"".join(point[3].to_bytes(8, "little") for point in points)
    return made


_COMMANDS: dict[str, tuple[Any, str]] = {
    "experiment.create": (batches.CreateExperiment, ""), "experiment.update": (batches.UpdateExperiment, "experiment"),
    "run.create": (batches.CreateRun, "experiment"), "run.update": (batches.UpdateRun, "run"),
    "run.attempt": (batches.BeginAttempt, "run"), "run.params": (batches.LogParams, "run"),
    "run.tags": (batches.SetTags, "run"), "run.log": (batches.LogPoints, "run"),
}  # fmt: skip


def command_of(op: Op) -> Any:
    """A command of a batch."""
    made, target = _COMMANDS[op.do]
    args = points_of(op) if op.do == "run.log" else op.args
    return made(**args, **({target: op.target} if target else {}))


def settled(write: Any, *others: type[BaseException]) -> Outcome:
    """The outcome of a write."""
    try:
        return settled_answer(write())
    except MunimentError as error:
        return settled_answer(error)
    except others as error:
        return settled_answer(error)


def settled_answer(answer: Any) -> Outcome:
    """The outcome that an answer or an error is."""
    if isinstance(answer, MunimentError):
        if answer.message.startswith("the database refused"):  # which nothing but an injected error may lead to
            return Outcome(error="refused_by_database")
        return Outcome(error="unavailable" if isinstance(answer, Unavailable) else answer.code)
    if isinstance(answer, RuntimeError):
        return Outcome(error="unavailable")
    if isinstance(answer, BaseException):
        raise answer
    return Outcome(msgspec.to_builtins(answer, builtin_types=(datetime,)))


def in_threads(writes: list[tuple[Workspace, Any]]) -> list[Outcome]:
    """The outcomes of writes that start at the same time."""
    outcomes: list[Any] = [None] * len(writes)
    start = threading.Barrier(len(writes))

    def run(number: int) -> None:
        workspace, write = writes[number]
        start.wait()
        try:
            outcomes[number] = workspace.writer.write(write)
        except BaseException as error:  # noqa: BLE001 - it is looked at on the main thread
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(writes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [settled_answer(outcome) for outcome in outcomes]


@contextmanager
def failing_commit(workspace: Workspace, error: str, *, after: int = 0) -> Iterator[None]:
    """One commit of a process, the one `after` some others, fails as a full disk or a bug would make it fail."""
    errors: dict[str, Exception] = {
        "full": sa.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full")),
        "constraint": sa.exc.IntegrityError("COMMIT", {}, sqlite3.IntegrityError("injected")),
        "bug": RuntimeError("injected"),
    }
    steps: list[Exception | None] = [errors[error], *[None] * after]

    store = workspace.store

    @contextmanager
    def at_once(connection: sa.Connection) -> Iterator[None]:
        step = steps.pop() if steps else None
        if step is None:
            with type(store).at_once(store, connection):
                yield
            return
        yield
        transaction = connection.get_transaction()
        assert transaction is not None
        transaction.rollback()
        raise step

    with patch.object(store, "at_once", at_once):
        yield

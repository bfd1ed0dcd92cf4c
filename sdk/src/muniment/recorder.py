"""A run that is being recorded: what `muniment.start_run` gives."""

from __future__ import annotations

import atexit
import contextvars
import functools
import inspect
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ParamSpec, Self, SupportsFloat, TypeVar
from urllib.parse import quote

import msgspec

from muniment.logbook import Logbook
from muniment.model.batch import (
    AddLink,
    BeginAttempt,
    CreateDataset,
    CreateDatasetVersion,
    CreateEvaluation,
    CreateExperiment,
    CreateModel,
    CreateModelVersion,
    CreateRun,
    UpdateRun,
)
from muniment.model.dataset import DatasetVersion
from muniment.model.errors import InvalidInput
from muniment.model.evaluation import Threshold
from muniment.model.ids import new_id, parse_id
from muniment.model.metric import to_wire
from muniment.model.model import ModelVersion
from muniment.model.names import check_name
from muniment.model.reference import parse_reference
from muniment.model.run import REPRODUCES, REPRODUCES_VARIABLE, REPRODUCTION, RunData, RunKind, RunState
from muniment.session import Session
from muniment.spool.writer import RunSeries

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
PART_ITEMS, PART_SIZE = 1_000, 1_000_000
"""Params or tags in one command, and their characters."""
_open: weakref.WeakSet[ActiveRun] = weakref.WeakSet()
_current: contextvars.ContextVar[ActiveRun | None] = contextvars.ContextVar("muniment_run", default=None)


OBSERVE_SECONDS = 10.0
"""How long the end of a run waits until it is found out what has run."""


def finish_seconds() -> float:
    """How long the end of a run waits for the store: ``$MUNIMENT_FINISH_SECONDS``, or 30."""
    try:
        given = float(os.environ.get("MUNIMENT_FINISH_SECONDS", "30"))
    except ValueError:
        return 30.0
    return 30.0 if math.isnan(given) else given


_beginning = threading.RLock()
"""A run that several threads log to at once begins once."""


def _after_fork() -> None:
    global _beginning  # noqa: PLW0603 - a lock cannot be let go of in its owner's place
    _beginning = threading.RLock()  # a thread that is not in the child may have held it


os.register_at_fork(after_in_child=_after_fork)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is to be, before it has begun."""

    experiment: str
    name: str | None = None
    kind: RunKind = "training"
    parent: str | None = None
    description: str | None = None
    seeds: dict[str, int] | None = None
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    resume: str | None = None
    """The id of a run to go on with."""
    id: str | None = None
    """The id of the new run, if several processes shall begin the same one: whoever comes first does."""
    known: bool = False
    """Whether the experiment is there already; then it may be told by its id."""
    started_at: datetime | None = None
    capture: str | None = None
    """What to find out by itself, as ``$MUNIMENT_CAPTURE`` says it."""
    system_seconds: float = 0.0
    """How often to measure the system; 0 is never."""


class ActiveRun(Logbook):
    """A run in progress: a context manager, and a decorator of functions that are a run each.

    Everything that is logged is written to a spool on disk, from which a process of its own brings it to the store: no
    call of this class waits for the network, except `wait`, `finish` and the end of a ``with`` block. What cannot be
    recorded is told once, by the logger ``muniment``, and never raised.

    The run begins with the first thing that is done with it, so that a decorator is no run of its own.
    """

    def __init__(self, session: Callable[[], Session], plan: Plan | None, attached: str | None = None) -> None:
        super().__init__()
        self._open_session = session
        self._plan = plan
        self._attached = attached
        self._made = datetime.now(UTC)
        self._name = ""
        self._pid = 0
        self._experiment_id: str | None = None
        self._ended = False
        self._token: contextvars.Token[ActiveRun | None] | None = None
        self._parts: frozenset[str] = frozenset()
        self._observer: threading.Thread | None = None
        self._sampler: Any = None

    # beginning

    def _begin(self) -> None:
        with _beginning:
            if self._series is None:
                self._begin_once()

    def _begin_once(self) -> None:
        session = self._session = self._open_session()
        if self._attached is not None:
            self._series = RunSeries(parse_id(self._attached, field="run"))
            session.start_sending()
            return
        plan = self._plan
        assert plan is not None
        run = plan.resume or plan.id or new_id()
        self._name = plan.name or f"run-{run[-8:]}"
        self._pid = os.getpid()
        session.writer.owns(run, begun=True)
        if plan.resume is None:
            above = _current.get()
            parent = plan.parent or (None if above is None or above._ended else above.id)  # noqa: SLF001
            if parent is not None:
                session.writer.needs(parent)
            session.writer.begins(run)
            if not plan.known:
                session.command(CreateExperiment(name=plan.experiment))
            session.command(
                CreateRun(
                    experiment=plan.experiment, id=run, name=self._name, kind=plan.kind, parent=parent,
                    description=plan.description, seeds=plan.seeds, started_at=plan.started_at or self._made,
                )
            )  # fmt: skip
        else:
            session.writer.needs(run)
            session.command(BeginAttempt(run=run))
        self._series = RunSeries(run)  # other threads log to it from here on
        if plan.params:
            self.log_params(plan.params)
        reproducing = _reproducing() if plan.resume is None else {}
        if plan.tags or reproducing:
            self.set_tags({**plan.tags, **reproducing})
        _open.add(self)
        session.start_sending()
        self._observe(plan)

    def _is_new(self) -> bool:
        return self._plan is not None and self._plan.resume is None and self._plan.id is None

    def _observe(self, plan: Plan) -> None:
        """Find out what runs and in what, while the program goes on."""
        from muniment.capture import chosen  # noqa: PLC0415

        self._parts = chosen(plan.capture if plan.capture is not None else os.environ.get("MUNIMENT_CAPTURE"))
        if self._parts:
            from muniment import observing  # noqa: PLC0415

            self._observer = threading.Thread(
                target=observing.observe, args=(self, self._parts), name="muniment-capture", daemon=True
            )
            self._observer.start()
        if plan.system_seconds > 0:
            from muniment import observing  # noqa: PLC0415

            self._sampler = observing.SystemMetrics(self, plan.system_seconds)
            self._sampler.start()

    @property
    def name(self) -> str:
        """The run's name; empty for one that was attached to."""
        self._ready()
        return self._name

    # what the run has to do with other records

    def part(
        self,
        name: str | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        started_at: datetime | None = None,
        id: str | None = None,  # noqa: A002 - the field's own word
    ) -> ActiveRun:
        """A run of the same experiment that is a part of this one, such as one trial of a search.

        Code and environment are not captured again: they are those of this run.

        Args:
            name: of the new run; made from its id if left out.
            params: that it starts with.
            tags: that it starts with.
            started_at: when it has started, with its time zone; now if left out.
            id: of the new run, if several processes shall begin the same one.

        Raises:
            MunimentError: this run was attached to, and the store cannot be asked for its experiment.
        """
        plan = Plan(
            experiment=self._experiment(), known=self._plan is None, name=name, parent=self.id,
            params=dict(params or {}), tags=dict(tags or {}), started_at=started_at, capture="none",
            id=None if id is None else parse_id(id),
        )  # fmt: skip
        return ActiveRun(self._open_session, plan)

    def _experiment(self) -> str:
        """The name or the id of the experiment."""
        if self._plan is not None:
            return self._plan.experiment
        if self._experiment_id is None:
            self._experiment_id = self.record().run.experiment
        return self._experiment_id

    def use(
        self,
        version: DatasetVersion | str,
        role: str = "",
        *,
        slice: str | None = None,  # noqa: A002 - the field's own word
        data: Any = None,
    ) -> str:
        """Record that this run read a dataset version.

        Args:
            version: the version, or its name, such as ``customers@3``; with `data`, the name of the dataset alone will
                do, and the version is the one with this content, which is recorded if it is new.
            role: what for, such as ``training``, ``validation`` or ``reference``.
            slice: the part of it that was read; it stands behind the role, in brackets.
            data: what was read, as a pandas or polars DataFrame, an Arrow table or a list of mappings, of which schema,
                rows and digest are recorded, and nothing else.

        Returns:
            What to call the version, such as ``dataset:default/customers@2026-11``; empty if it cannot be recorded.
        """
        try:
            upstream = version if isinstance(version, str) else version.id
            if data is not None:
                upstream = self._dataset(upstream, data)
            elif "@" in upstream and ":" not in upstream:
                upstream = f"dataset:{upstream}"
            if slice is not None:
                role = f"{role}[{slice}]"
            self._ready().command(AddLink(upstream=upstream, downstream=self.id, type="used", role=role))
        except Exception as error:  # noqa: BLE001
            self._complain(f"the use of {version!r:.120}", error)
            return ""
        return upstream

    def _dataset(self, name: str, data: Any) -> str:
        """Record a version of a dataset by its content; a reference to it."""
        from muniment import frames  # noqa: PLC0415

        reference = parse_reference(name, "dataset" if "@" not in name else "dataset_version", "version")
        namespace, own = reference.key
        told = frames.tell(data)
        version = reference.version or told.digest.partition(":")[2][:12]
        self._ready().command(CreateDataset(name=own, namespace=namespace))
        self._ready().command(
            CreateDatasetVersion(
                dataset=f"{quote(namespace, safe='')}/{quote(own, safe='')}", version=version, digest=told.digest,
                schema=told.schema, rows=told.rows,
            )
        )  # fmt: skip
        return f"dataset:{quote(namespace, safe='')}/{quote(own, safe='')}@{quote(version, safe='')}"

    def register(self, model: str, **content: Any) -> str:
        """Register what this run made as the next version of a model, which is created if it does not exist.

        Args:
            model: its name.
            content: ``aliases``, ``uri``, ``digest``, ``signature``, ``framework``, ``metadata``, ``stage``,
                ``description``, as `muniment.model.model.NewModelVersion` has them.

        Returns:
            The id of the version. Its number is known when the store has it: see `muniment.connection`.
        """
        session, version = self._ready(), new_id()
        check_name(model, "model")
        session.command(CreateModel(name=model))
        session.command(CreateModelVersion(model=model, id=version, run=self.id, **content))
        return version

    def evaluate(
        self,
        model_version: ModelVersion | str,
        dataset_version: DatasetVersion | str,
        metrics: Mapping[str, SupportsFloat],
        *,
        slice: str | None = None,  # noqa: A002 - the field's own word
        thresholds: Mapping[str, Threshold] | None = None,
    ) -> str:
        """Record how good a model version is on a dataset version, or on a slice of it.

        Args:
            model_version: the version, its id, or its name, such as ``risk@3`` or ``risk@champion``.
            dataset_version: the version, its id, or its name, such as ``customers@2026-11`` or what `use` has returned.
            metrics: values by name.
            slice: of the dataset version.
            thresholds: what metrics have to reach.

        Returns:
            The id of the evaluation.
        """
        made = CreateEvaluation(
            id=new_id(),
            model_version=model_version if isinstance(model_version, str) else model_version.id,
            dataset_version=dataset_version if isinstance(dataset_version, str) else dataset_version.id,
            slice=slice,
            run=self.id,
            metrics={name: to_wire(float(value)) for name, value in metrics.items()},
            thresholds=dict(thresholds or {}),
        )
        self._ready().command(made)
        assert made.id is not None
        return made.id

    # sending and ending

    def flush(self) -> bool:
        """Bring what was logged to the disk itself, so that it survives the loss of power; whether it is there."""
        try:
            self._ready().writer.sync()
        except OSError as error:
            self._complain("flush", error)
            return False
        return self._ready().writer.lost == 0

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the store has everything that was logged; whether it has.

        Args:
            seconds: how long at the most; ``$MUNIMENT_FINISH_SECONDS``, or 30, if left out. It is not waited for a
                store that cannot be reached.
        """
        return self._ready().settle(finish_seconds() if seconds is None else seconds)

    def record(self) -> RunData:
        """The run as the store has it."""
        self.wait()
        return self._ready().client.get_run(self.id)

    def finish(self, state: RunState = "finished", *, wait: bool = True) -> None:
        """End the run.

        Args:
            state: how it has ended.
            wait: until the store has everything, or cannot be reached.
        """
        session = self._ready()
        if self._ended or self._pid != os.getpid():  # somebody else's run, or a forked process: only what it logged
            if wait:
                session.settle(finish_seconds())
            return
        self._ended = True
        if self._sampler is not None:
            self._sampler.stop()
        if self._observer is not None:
            self._observer.join(OBSERVE_SECONDS)
        if "seeds" in self._parts and self._plan is not None:
            from muniment import observing  # noqa: PLC0415

            observing.observe_seeds(self, self._plan)
        session.command(UpdateRun(run=self.id, state=state, ended_at=datetime.now(UTC)))
        session.writer.owns(self.id, begun=False)
        _open.discard(self)
        if wait and not session.settle(finish_seconds()):
            line = f"run {self.id} is not sent yet; it is sent as soon as it can be, by itself or by `muniment sync`"
            session.complain(line, line)

    def __enter__(self) -> Self:
        self._ready()
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
        self.finish(_state_after(kind, error))

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function: each call of it is a run, which its parameter `run` is given, if it has one.

        Arguments that are text, numbers or bools are recorded as params.
        """
        signature = inspect.signature(function)
        given = self._plan
        if given is None:
            raise InvalidInput("a run that was attached to decorates nothing", field="run")
        wants = "run" in signature.parameters

        @functools.wraps(function)
        def recorded(*args: P.args, **kwargs: P.kwargs) -> T:
            bound = signature.bind_partial(*args, **kwargs)
            bound.apply_defaults()
            taken = {
                name: value for name, value in bound.arguments.items() if isinstance(value, (str, int, float, bool))
            }
            plan = msgspec.structs.replace(
                given, name=given.name or function.__name__, params={**taken, **given.params}
            )
            with ActiveRun(self._open_session, plan) as run:
                if wants and "run" not in kwargs:
                    kwargs["run"] = run
                return function(*args, **kwargs)

        return recorded


def _reproducing() -> dict[str, str]:
    """The tags of a run that `muniment reproduce` has begun; that of a run gone on with stays what it is."""
    run, _, token = os.environ.get(REPRODUCES_VARIABLE, "").partition(":")
    return {REPRODUCES: run, REPRODUCTION: token} if run and token else {}


def _state_after(kind: type[BaseException] | None, error: BaseException | None) -> RunState:
    """The state in which an exception leaves a run."""
    if kind is None or (isinstance(error, SystemExit) and error.code in {None, 0}):
        return "finished"
    return "killed" if issubclass(kind, KeyboardInterrupt) else "failed"


@atexit.register
def _end_all() -> None:
    """End what the program has not ended itself; an exception that ended the program shows in the state."""
    last = getattr(sys, "last_value", None)
    for run in list(_open):
        run.finish(_state_after(type(last) if last is not None else None, last))

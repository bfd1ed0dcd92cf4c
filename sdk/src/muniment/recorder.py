"""A run that is being recorded: what `muniment.start_run` gives."""

from __future__ import annotations

import atexit
import contextvars
import functools
import inspect
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, Self, SupportsFloat, TypeVar

import msgspec

from muniment.model.artifact import check_path
from muniment.model.batch import (
    AddLink,
    BeginAttempt,
    CreateEvaluation,
    CreateExperiment,
    CreateModel,
    CreateModelVersion,
    CreateRun,
    LogParams,
    SetTags,
    UpdateRun,
)
from muniment.model.dataset import DatasetVersion
from muniment.model.errors import InvalidInput, MunimentError
from muniment.model.evaluation import Threshold
from muniment.model.ids import new_id, parse_id
from muniment.model.metric import to_wire
from muniment.model.model import ModelVersion
from muniment.model.names import check_map, check_name
from muniment.model.run import REPRODUCES, REPRODUCES_VARIABLE, REPRODUCTION, RunData, RunKind, RunState, param_text
from muniment.session import Session
from muniment.spool import layout
from muniment.spool.writer import RunSeries

P = ParamSpec("P")
T = TypeVar("T")
_open: weakref.WeakSet[ActiveRun] = weakref.WeakSet()
_current: contextvars.ContextVar[ActiveRun | None] = contextvars.ContextVar("muniment_run", default=None)


OBSERVE_SECONDS = 10.0
"""How long the end of a run waits until it is found out what has run."""


def finish_seconds() -> float:
    """How long the end of a run waits for the store: ``$MUNIMENT_FINISH_SECONDS``, or 30."""
    try:
        return float(os.environ.get("MUNIMENT_FINISH_SECONDS", "30"))
    except ValueError:
        return 30.0


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
    capture: str | None = None
    """What to find out by itself, as ``$MUNIMENT_CAPTURE`` says it."""
    system_seconds: float = 0.0
    """How often to measure the system; 0 is never."""


class ActiveRun:
    """A run in progress: a context manager, and a decorator of functions that are a run each.

    Everything that is logged is written to a spool on disk, from which a process of its own brings it to the store: no
    call of this class waits for the network, except `wait`, `finish` and the end of a ``with`` block. What cannot be
    recorded is told once, by the logger ``muniment``, and never raised.

    The run begins with the first thing that is done with it, so that a decorator is no run of its own.
    """

    def __init__(self, session: Callable[[], Session], plan: Plan | None, attached: str | None = None) -> None:
        self._open_session = session
        self._plan = plan
        self._attached = attached
        self._made = datetime.now(UTC)
        self._session: Session | None = None
        self._series: RunSeries | None = None
        self._params: dict[str, str] = {}
        self._name = ""
        self._pid = 0
        self._ended = False
        self._token: contextvars.Token[ActiveRun | None] | None = None
        self._parts: frozenset[str] = frozenset()
        self._observer: threading.Thread | None = None
        self._sampler: Any = None

    # beginning

    def _begin(self) -> None:
        session = self._session = self._open_session()
        if self._attached is not None:
            self._series = RunSeries(parse_id(self._attached, field="run"))
            session.start_sending()
            return
        plan = self._plan
        assert plan is not None
        run = plan.resume or new_id()
        self._name = plan.name or f"run-{run[-8:]}"
        self._pid = os.getpid()
        self._series = RunSeries(run)
        session.writer.owns(run, begun=True)
        if plan.resume is None:
            above = _current.get()
            parent = plan.parent or (None if above is None or above._ended else above.id)  # noqa: SLF001
            session.command(CreateExperiment(name=plan.experiment))
            session.command(
                CreateRun(
                    experiment=plan.experiment, id=run, name=self._name, kind=plan.kind, parent=parent,
                    description=plan.description, seeds=plan.seeds, started_at=self._made,
                )
            )  # fmt: skip
        else:
            session.command(BeginAttempt(run=run))
        if plan.params:
            self.log_params(plan.params)
        reproducing = _reproducing() if plan.resume is None else {}
        if plan.tags or reproducing:
            self.set_tags({**plan.tags, **reproducing})
        _open.add(self)
        session.start_sending()
        self._observe(plan)

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

    def _ready(self) -> Session:
        if self._series is None:
            self._begin()
        assert self._session is not None
        return self._session

    @property
    def id(self) -> str:
        """The run's id."""
        self._ready()
        assert self._series is not None
        return self._series.run

    @property
    def name(self) -> str:
        """The run's name; empty for one that was attached to."""
        self._ready()
        return self._name

    # logging

    def log(
        self, metrics: Mapping[str, SupportsFloat], *, step: int | None = None, timestamp: int | None = None
    ) -> None:
        """Log one point of each of these metrics. It takes microseconds, and never raises.

        Args:
            metrics: values by metric name; anything that `float` takes, NaN and infinities included.
            step: where on the x-axis; one more than the metric's last step, from 0, if left out.
            timestamp: epoch milliseconds; now if left out.
        """
        try:
            if self._series is None:
                self._begin()
            self._session.writer.points(self._series, metrics, step, timestamp)  # type: ignore[union-attr, arg-type]
        except Exception as error:  # noqa: BLE001 - a training loop must not end because of its records
            self._complain("log", error)

    def _complain(self, what: str, error: Exception) -> None:
        run = "" if self._series is None else self._series.run
        line = f"{what} of run {run} is not recorded: {error}"
        session = self._session
        if session is None:
            sys.stderr.write(f"muniment: {line}\n")
        else:
            session.complain(line, line)

    def learn(self, change: UpdateRun) -> None:
        """Record what was found out of the run itself, such as its code or its environment."""
        self._ready().command(change)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params. A param never changes: one that has another value already keeps the first.

        Args:
            params: by name; values that are no text, number or bool are written as their text.
        """
        try:
            session, good = self._ready(), {}
            for name, value in params.items():
                taken = plain(value)
                text = param_text(taken)
                if self._params.get(name, text) != text:
                    raise_ = f"param {name!r} is {self._params[name]!r} and never changes"
                    self._complain(f"{name!r} = {text!r:.200}", InvalidInput(raise_, field=name))
                    continue
                try:
                    check_map({name: text}, "params")
                except MunimentError as error:
                    self._complain("param", error)
                    continue
                self._params[name] = text
                good[name] = to_wire(taken) if isinstance(taken, float) else taken
            if good:
                session.command(LogParams(run=self.id, params=good))
        except Exception as error:  # noqa: BLE001
            self._complain("params", error)

    def set_tags(self, tags: Mapping[str, str | None]) -> None:
        """Set tags; None removes one."""
        try:
            session, good = self._ready(), dict[str, str | None]()
            for name, value in tags.items():
                try:
                    check_map({name: "" if value is None else value}, "tags")
                except MunimentError as error:
                    self._complain("tag", error)
                else:
                    good[name] = value
            if good:
                session.command(SetTags(run=self.id, tags=good))
        except Exception as error:  # noqa: BLE001
            self._complain("tags", error)

    def log_artifact(
        self, source: str | os.PathLike[str] | bytes, path: str | None = None, media_type: str | None = None
    ) -> None:
        """Keep a file, the files of a folder, or bytes, as they are now.

        Args:
            source: the file, folder or bytes.
            path: under which the run has it; the name of the file if left out, nothing for a folder.
            media_type: what it is; guessed from the path if it is left out.
        """
        if isinstance(source, bytes) and path is None:
            raise InvalidInput("bytes have no name of their own; say under which path to keep them", field="path")
        try:
            self._ready()
            if isinstance(source, bytes):
                self._keep(source, str(path), media_type)
            elif not Path(source).is_dir():
                self._keep(source, path or Path(source).name, media_type)
            else:
                root = Path(source)
                for file in sorted(root.rglob("*")):
                    if file.is_file():
                        name = file.relative_to(root).as_posix()
                        self._keep(file, f"{path}/{name}" if path else name, media_type)
        except Exception as error:  # noqa: BLE001
            self._complain(f"artifact {path or '' if isinstance(source, bytes) else source}", error)

    def _keep(self, source: str | os.PathLike[str] | bytes, path: str, media_type: str | None) -> None:
        check_path(path)
        writer = self._ready().writer
        made = layout.File(run=self.id, path=path, name=writer.keep(source), media_type=media_type)
        writer.entry(layout.FILE, msgspec.json.encode(made))

    # what the run has to do with data and models

    def use(self, version: DatasetVersion | str, role: str = "") -> None:
        """Record that this run read a dataset version.

        Args:
            version: the version, or its name, such as ``customers@3``.
            role: what for, such as ``training``, ``validation`` or ``reference``.
        """
        upstream = version if isinstance(version, str) else version.id
        if "@" in upstream and ":" not in upstream:
            upstream = f"dataset:{upstream}"
        self._ready().command(AddLink(upstream=upstream, downstream=self.id, type="used", role=role))

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
            dataset_version: the version, its id, or its name, such as ``customers@2026-11``.
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

    @property
    def params(self) -> dict[str, str]:
        """The params that this process has logged, as text."""
        return dict(self._params)

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

    def finish(self, state: RunState = "finished") -> None:
        """End the run, and wait until the store has everything, or cannot be reached."""
        session = self._ready()
        if self._ended or self._pid != os.getpid():  # somebody else's run, or a forked process: only what it logged
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
        if not session.settle(finish_seconds()):
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


def plain(value: Any) -> str | int | float | bool:
    """A param's value as the store takes it: numpy's and other numbers as Python's, anything else as its text."""
    if isinstance(value, (str, bool, int, float)):
        return value
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return plain(item())
    return str(value)

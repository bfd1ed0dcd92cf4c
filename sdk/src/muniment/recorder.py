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
from collections.abc import Callable, Iterator, Mapping
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
from muniment.model.errors import InvalidInput
from muniment.model.evaluation import Threshold
from muniment.model.ids import new_id, parse_id
from muniment.model.metric import to_wire
from muniment.model.model import ModelVersion
from muniment.model.names import check_map, check_name
from muniment.model.run import RunData, RunKind, RunState, param_text
from muniment.session import Session
from muniment.spool import layout
from muniment.spool.writer import RunSeries, said

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
PART_ITEMS, PART_SIZE = 1_000, 1_000_000
"""Params or tags in one command, and their characters."""
_open: weakref.WeakSet[ActiveRun] = weakref.WeakSet()
_current: contextvars.ContextVar[ActiveRun | None] = contextvars.ContextVar("muniment_run", default=None)


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
        run = plan.resume or new_id()
        self._name = plan.name or f"run-{run[-8:]}"
        self._pid = os.getpid()
        session.writer.owns(run, begun=True)
        if plan.resume is None:
            above = _current.get()
            parent = plan.parent or (None if above is None or above._ended else above.id)  # noqa: SLF001
            if parent is not None:
                session.writer.needs(parent)
            session.writer.begins(run)
            session.command(CreateExperiment(name=plan.experiment))
            session.command(
                CreateRun(
                    experiment=plan.experiment, id=run, name=self._name, kind=plan.kind, parent=parent,
                    description=plan.description, seeds=plan.seeds, started_at=self._made,
                )
            )  # fmt: skip
        else:
            session.writer.needs(run)
            session.command(BeginAttempt(run=run))
        self._series = RunSeries(run)  # other threads log to it from here on
        if plan.params:
            self.log_params(plan.params)
        if plan.tags:
            self.set_tags(plan.tags)
        _open.add(self)
        session.start_sending()

    def _ready(self) -> Session:
        if self._series is None:
            self._begin()
        assert self._session is not None
        assert self._series is not None
        self._session.writer.needs(self._series.run)  # it is another writer's for a forked process
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
        line = f"{what} of run {run} is not recorded: {said(error)}"
        session = self._session
        if session is not None:
            session.complain(line, line)
        elif sys.stderr is not None:  # a program without a terminal may have none
            sys.stderr.write(f"muniment: {line}\n")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params. A param never changes: one that has another value already keeps the first.

        Args:
            params: by name; values that are no text, number or bool are written as their text.
        """
        try:
            session, good = self._ready(), dict[str, str | int | float | bool]()
            for name, value in params.items():
                try:
                    taken = plain(value)
                    text = param_text(taken)
                    check_map({name: text}, "params")
                    if self._params.get(name, text) != text:
                        raise_ = f"{name!r} is {self._params[name]!r:.200} and never changes"
                        self._complain(f"param {name!r} = {text!r:.200}", InvalidInput(raise_, field=name))
                        continue
                except Exception as error:  # noqa: BLE001 - whatever a value's own conversion raises
                    self._complain(f"param {said(name, 200)!r}", error)
                    continue
                self._params[name] = text
                good[str.__str__(name)] = to_wire(taken) if isinstance(taken, float) else taken
            for part in _parts(good):
                session.command(LogParams(run=self.id, params=part))
        except Exception as error:  # noqa: BLE001
            self._complain("params", error)

    def set_tags(self, tags: Mapping[str, str | None]) -> None:
        """Set tags; None removes one."""
        try:
            session, good = self._ready(), dict[str, str | None]()
            for name, value in tags.items():
                try:
                    if value is not None and not isinstance(value, str):
                        raise_ = f"a tag is a text, not a {type(value).__name__}"
                        self._complain(f"tag {said(name, 200)!r}", InvalidInput(raise_, field="tags"))
                        continue
                    check_map({name: "" if value is None else value}, "tags")
                except Exception as error:  # noqa: BLE001 - a name may be anything
                    self._complain(f"tag {said(name, 200)!r}", error)
                else:
                    good[str.__str__(name)] = None if value is None else str.__str__(value)
            for part in _parts(good):
                session.command(SetTags(run=self.id, tags=part))
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
        what = "bytes" if isinstance(source, bytes) else said(source)
        try:
            self._ready()
            if isinstance(source, bytes):
                self._keep(source, "" if path is None else path, media_type)
            elif not Path(source).is_dir():
                self._keep(source, path or Path(source).name, media_type)
            else:
                root = Path(source)
                for file in sorted(root.rglob("*")):
                    name = file.relative_to(root).as_posix()
                    try:
                        if file.is_file():
                            self._keep(file, f"{path}/{name}" if path else name, media_type)
                    except Exception as error:  # noqa: BLE001 - the others are kept
                        self._complain(f"artifact {said(file)}", error)
        except Exception as error:  # noqa: BLE001
            self._complain(f"artifact {said(path or what)}", error)

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


def _parts(items: dict[str, V]) -> Iterator[dict[str, V]]:
    """Some at a time: the store takes only so many in one command, and only so long a line."""
    part: dict[str, V] = {}
    size = 0
    for name, value in items.items():
        part[name] = value
        size += len(name) + len(value if isinstance(value, str) else "")
        if len(part) >= PART_ITEMS or size >= PART_SIZE:
            yield part
            part, size = {}, 0
    if part:
        yield part


def plain(value: Any) -> str | int | float | bool:
    """A param's value as the store takes it: numpy's and other numbers as Python's, anything else as its text."""
    if isinstance(value, str):
        return str.__str__(value)  # of a kind of text of its own, such as numpy's, the plain text
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else int.__repr__(value)
    if isinstance(value, float):
        return float(value)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return plain(item())
    return str(value)

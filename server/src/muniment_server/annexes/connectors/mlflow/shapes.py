"""What an MLflow server has, as both of its sources tell it: times are epoch milliseconds, ids are its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

Time = int | None


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment."""

    id: str
    name: str
    location: str = ""
    """Where the artifacts of its runs go."""
    lifecycle: str = "active"
    created: Time = None
    updated: Time = None
    tags: dict[str, str] = {}


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset of an experiment, known by name and digest."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as a run read it."""

    dataset: Dataset
    tags: dict[str, str] = {}


class ModelLink(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that a run read or wrote."""

    model: str
    step: int = 0


class Latest(msgspec.Struct, frozen=True, array_like=True):
    """The latest point of a metric, as a server tells it of each run."""

    key: str
    value: float
    timestamp: int
    step: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its metric history."""

    id: str
    experiment: str
    name: str | None = None
    user: str | None = None
    status: str = "RUNNING"
    started: Time = None
    ended: Time = None
    lifecycle: str = "active"
    deleted: Time = None
    location: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: list[Input] = []
    models_in: list[ModelLink] = []
    models_out: list[ModelLink] = []
    points: int | None = None
    """How many points it has; a server does not say."""
    latest: list[Latest] = []
    """Of each metric; a database says how many points there are instead."""


class RegisteredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model."""

    name: str
    created: Time = None
    updated: Time = None
    description: str | None = None
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model."""

    name: str
    version: int
    created: Time = None
    updated: Time = None
    description: str | None = None
    user: str | None = None
    stage: str = "None"
    source: str = ""
    location: str = ""
    run: str | None = None
    run_link: str = ""
    status: str = "READY"
    status_message: str = ""
    tags: dict[str, str] = {}


class ModelMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a logged model."""

    key: str
    value: float | str
    timestamp: int
    step: int = 0
    run: str = ""
    dataset_name: str | None = None
    dataset_digest: str | None = None


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model, which need not be registered."""

    id: str
    experiment: str
    name: str
    location: str = ""
    created: Time = None
    updated: Time = None
    status: str = "READY"
    status_message: str = ""
    lifecycle: str = "active"
    type: str = ""
    run: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: list[ModelMetric] = []


class Portion(msgspec.Struct, frozen=True):
    """Points of one run: the whole of some of its metrics.

    Attributes:
        run: its id.
        keys: the metrics.
        key: shape (n,), index into `keys`.
        step: shape (n,).
        timestamp: shape (n,), epoch milliseconds.
        value: shape (n,).
        broken: what could not be read, one line each.
    """

    run: str
    keys: list[str]
    key: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    timestamp: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    broken: list[str] = []


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run or logged model.

    Attributes:
        path: below its root.
        size: bytes.
        changed: when, in nanoseconds, where that can be said.
    """

    path: str
    size: int
    changed: int = 0


class Place(Protocol):
    """Where the files of a run or logged model lie."""

    def files(self) -> list[File]:
        """All files, by path."""
        ...

    def read(self, file: File) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""
        ...


class Source(Protocol):
    """Where MLflow's history is read from."""

    @property
    def identity(self) -> str:
        """What tells this source from others: its URL without secrets."""
        ...

    def totals(self) -> tuple[int, int | None]:
        """How many runs there are, and how many points, where that can be said."""
        ...

    def experiments(self) -> list[Experiment]:
        """All experiments, deleted ones included."""
        ...

    def runs(self) -> Iterator[list[Run]]:
        """All runs, those that began first before those that began later, in pages."""
        ...

    def whole(self, runs: Sequence[Run]) -> list[Run]:
        """The same runs with everything that a page does not tell; without those that are gone."""
        ...

    def points(self, runs: Sequence[Run]) -> Iterable[Portion]:
        """The metric history of some runs; a run's portions follow each other."""
        ...

    def models(self) -> Iterator[tuple[RegisteredModel, list[Version]]]:
        """All registered models with their versions."""
        ...

    def logged_models(self) -> Iterator[list[LoggedModel]]:
        """All logged models, deleted ones included, in pages."""
        ...

    def place(self, of: Run | LoggedModel) -> Place:
        """Where the artifacts of a run or logged model lie.

        Raises:
            InvalidInput: where this source cannot read.
        """
        ...

    def close(self) -> None:
        """Give connections back."""
        ...

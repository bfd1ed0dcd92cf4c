"""The functions of `import muniment`: one store, one project, as few words as possible."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

import msgspec

from muniment.client import Client
from muniment.model.dataset import DEFAULT_NAMESPACE, DatasetVersion, NewDataset, NewDatasetVersion
from muniment.model.errors import NotFound
from muniment.model.evaluation import Evaluation, NewEvaluation, Threshold
from muniment.model.ids import parse_id
from muniment.model.link import Direction, Lineage, LineageQuery
from muniment.model.model import ModelVersion, NewModel, NewModelVersion
from muniment.model.names import check_name
from muniment.model.question import Best, BestQuery, Comparison, Reproducibility
from muniment.model.run import RunData, RunKind
from muniment.model.search import Query
from muniment.recorder import ActiveRun, Plan
from muniment.session import Session

if TYPE_CHECKING:
    from muniment.reproduction.certificate import Certificate
    from muniment.reproduction.interpreter import Choice

DEFAULT_URL = "http://127.0.0.1:5050"
SYSTEM_SECONDS = 10.0
"""How often the system is measured, if nobody says."""
SETTLE_SECONDS = 30.0
"""How long a question waits for what this process has logged itself."""

_lock = threading.Lock()
_session: Session | None = None


def connect(url: str | None = None, project: str | None = None) -> Client:
    """Choose the store and project that the functions of this module use.

    Args:
        url: ``http://HOST:PORT``, or ``sqlite:///PATH`` to work without a server. Default: ``$MUNIMENT_URL``, or
            http://127.0.0.1:5050.
        project: default: ``$MUNIMENT_PROJECT``, or ``default``.
    """
    global _session
    made = Session(
        url or os.environ.get("MUNIMENT_URL") or DEFAULT_URL, project or os.environ.get("MUNIMENT_PROJECT") or "default"
    )
    with _lock:
        before, _session = _session, made
    if before is not None:
        before.close()
    return made.client


def disconnect() -> None:
    """Close the connection, after what was logged is sent; an embedded store is sealed."""
    global _session
    with _lock:
        before, _session = _session, None
    if before is not None:
        before.close()


def session() -> Session:
    """What is open; opened on first use."""
    if _session is None:
        connect()
    assert _session is not None
    return _session


def session_or_none() -> Session | None:
    """What is open, if anything is."""
    return _session


def connection() -> Client:
    """The connection in use; opened on first use. What this process has logged is in the store, if it can be."""
    used = session()
    used.settle(SETTLE_SECONDS)
    return used.client


def start_run(
    experiment: str,
    name: str | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    kind: RunKind = "training",
    parent: str | None = None,
    seeds: Mapping[str, int] | None = None,
    description: str | None = None,
    resume: str | None = None,
    capture: str | None = None,
    system_metrics: bool | float = False,
) -> ActiveRun:
    """Start a run of an experiment, which is created if it does not exist. The store need not be there.

    Example::

        with muniment.start_run("churn", params={"lr": 0.1}) as run:
            for step in range(100):
                run.log({"loss": 1 / (step + 1)}, step=step)

        @muniment.start_run("churn")
        def train(lr: float, run=None): ...

    Args:
        experiment: its name.
        name: of the run; made from its id if left out.
        params: that it starts with.
        tags: that it starts with.
        kind: training, evaluation, processing or ingestion.
        parent: id of the run that it is a part of; the run of the ``with`` block around it, if there is one.
        seeds: of generators of random numbers, by what they seed.
        description: in words.
        resume: id of a run that has ended, to go on with: its next attempt.
        capture: what to find out by itself: some of ``code,environment,seeds,command``, or ``none``; as
            ``$MUNIMENT_CAPTURE`` says, or everything, if left out.
        system_metrics: measure processor, memory, disk, network and GPUs every ten seconds, or every so many.
    """
    check_name(experiment, "experiment")
    if name is not None:
        check_name(name, "name")
    plan = Plan(
        experiment=experiment, name=name, kind=kind,
        parent=None if parent is None else parse_id(parent, field="parent"),
        description=description, seeds=None if seeds is None else dict(seeds), params=dict(params or {}),
        tags=dict(tags or {}), resume=None if resume is None else parse_id(resume, field="resume"), capture=capture,
        system_seconds=SYSTEM_SECONDS if system_metrics is True else float(system_metrics),
    )  # fmt: skip
    return ActiveRun(session, plan)


def attach(run: str) -> ActiveRun:
    """Log to a run that another process has started, such as the first of many ranks; that one ends it.

    Args:
        run: its id.
    """
    return ActiveRun(session, None, parse_id(run, field="run"))


def search(
    where: str = "",
    *,
    order_by: str | list[str] = (),  # type: ignore[assignment]
    limit: int = 100,
    columns: list[str] | None = None,
    as_of: int | str | None = None,
) -> list[RunData]:
    """The runs that match a condition.

    Args:
        where: such as ``metrics.auc > 0.9 AND params.model = 'gbm'``.
        order_by: such as ``metrics.auc DESC``, or a list of these.
        limit: how many at the most; pages are fetched as needed.
        columns: what comes with each run, such as ``["params", "metrics.auc"]``; everything if left out.
        as_of: a position or a time to ask the past.
    """
    keys = [order_by] if isinstance(order_by, str) else list(order_by)
    query = Query(where=where, order_by=keys, columns=columns, as_of=as_of)
    return list(_pages(query, limit))


def _pages(query: Query, limit: int) -> Iterator[RunData]:
    left, used = limit, connection()
    while left > 0:
        page = used.search(msgspec.structs.replace(query, limit=min(left, 1_000)))
        yield from page.runs
        left -= len(page.runs)
        if page.next is None:
            return
        query = msgspec.structs.replace(query, page=page.next)


def best(
    metric: str,
    *,
    where: str = "",
    maximize: bool = True,
    as_of: int | str | None = None,
) -> RunData:
    """The run whose last value of a metric is the greatest, or the least.

    Raises:
        NotFound: no run that matches has a finite value of the metric.
    """
    field = f"metrics.`{metric.replace('`', '``')}`"
    direction = "DESC" if maximize else "ASC"
    condition = f"({where}) AND NOT {field} IS NULL" if where.strip() else f"NOT {field} IS NULL"
    found = search(condition, order_by=f"{field} {direction}", limit=1, as_of=as_of)
    if not found or isinstance(found[0].metrics[metric].last, str):
        raise NotFound(f"no run that matches has a value of {metric!r}")
    return found[0]


def history(run: str, metric: str, *, as_of: int | str | None = None) -> list[tuple[int, int, float]]:
    """The points of one metric of a run, as (step, epoch milliseconds, value), in order."""
    from array import array  # noqa: PLC0415

    used, points, page = connection(), [], None
    while True:
        found = used.series(run, metric, as_of=as_of, page=page)
        assert isinstance(found.step, bytes)
        assert isinstance(found.timestamp, bytes)
        assert isinstance(found.value, bytes)
        points += list(zip(array("q", found.step), array("q", found.timestamp), array("d", found.value), strict=True))
        if found.next is None:
            return points
        page = found.next


def dataset(
    name: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    version: str | None = None,
    digest: str | None = None,
    made_by: ActiveRun | None = None,
    **content: Any,
) -> DatasetVersion:
    """Record a version of a dataset, which is created if it does not exist.

    Args:
        name: of the dataset.
        namespace: where names of its kind are unique, such as a database's address.
        version: what its producer calls it; without one, the digest tells versions apart.
        digest: what identifies the content, such as ``sha256:…``.
        made_by: the run that wrote it.
        content: ``schema``, ``slices``, ``sources``, ``rows``, ``bytes``, ``license``, ``profile``, as
            `muniment.model.dataset.NewDatasetVersion` has them.
    """
    used = connection()
    made = used.create_dataset(NewDataset(name=name, namespace=namespace))
    run = None if made_by is None else made_by.id
    return used.create_dataset_version(made.id, NewDatasetVersion(version=version, digest=digest, run=run, **content))


def register(model: str, run: ActiveRun | None = None, *, aliases: Iterable[str] = (), **content: Any) -> ModelVersion:
    """Register the next version of a model, which is created if it does not exist.

    Args:
        model: its name.
        run: the run that made it.
        aliases: names that shall mean this version from now on, such as ``champion``.
        content: ``uri``, ``digest``, ``signature``, ``framework``, ``metadata``, ``stage``, ``description``, as
            `muniment.model.model.NewModelVersion` has them.
    """
    used = connection()
    made = used.create_model(NewModel(name=model))
    new = NewModelVersion(run=None if run is None else run.id, aliases=list(aliases), **content)
    return used.create_model_version(made.id, new)


def evaluate(
    model_version: ModelVersion | str,
    dataset_version: DatasetVersion | str,
    metrics: Mapping[str, SupportsFloat],
    *,
    slice: str | None = None,  # noqa: A002 - the field's own word
    thresholds: Mapping[str, Threshold] | None = None,
    run: ActiveRun | None = None,
) -> Evaluation:
    """Record how good a model version is on a dataset version, or on a slice of it; thresholds give the verdict.

    Args:
        model_version: the version, or its name, such as ``risk@3`` or ``risk@champion``.
        dataset_version: the version, or its name, such as ``customers@2026-11``.
        metrics: values by name.
        slice: of the dataset version.
        thresholds: what metrics have to reach.
        run: the run that evaluated.
    """
    return connection().create_evaluation(
        NewEvaluation(
            model_version=model_version if isinstance(model_version, str) else model_version.id,
            dataset_version=dataset_version if isinstance(dataset_version, str) else dataset_version.id,
            slice=slice,
            run=None if run is None else run.id,
            metrics={name: float(value) for name, value in metrics.items()},
            thresholds=dict(thresholds or {}),
        )
    )


def lineage(
    record: str,
    *,
    direction: Direction = "upstream",
    depth: int = 100,
    kinds: Iterable[str] | None = None,
    as_of: int | str | None = None,
) -> Lineage:
    """What a record descends from, or what descends from it.

    Args:
        record: such as ``model:risk@3``, ``dataset:customers@latest`` or an id.
        direction: against the flow of data, or with it.
        depth: links to follow at the most.
        kinds: kinds of records to answer; everything if left out.
        as_of: a position or a time to ask the past.
    """
    query = LineageQuery(
        direction=direction, depth=depth, kinds=None if kinds is None else ",".join(kinds),
        as_of=None if as_of is None else str(as_of),
    )  # fmt: skip
    return connection().lineage(record, query)


def best_on(
    metric: str,
    dataset_version: str,
    *,
    slice: str | None = None,  # noqa: A002 - the field's own word
    maximize: bool = True,
    limit: int = 10,
    as_of: int | str | None = None,
) -> Best:
    """The runs that scored best on a dataset version such as ``customers@3``, or on a slice of it."""
    query = BestQuery(
        metric=metric, dataset=dataset_version, slice=slice, order="greatest" if maximize else "least", limit=limit,
        as_of=None if as_of is None else str(as_of),
    )  # fmt: skip
    return connection().best_on(query)


def explain(model_version: str, *, as_of: int | str | None = None) -> Reproducibility:
    """Everything that made a model version such as ``risk@champion``, and what is missing to make it again."""
    model, _, version = model_version.rpartition("@")
    return connection().reproducibility(model, version, as_of=as_of)


def compare(*records: str, as_of: int | str | None = None) -> Comparison:
    """Only the fields in which some records of one kind differ: ids of runs, or names such as ``model:risk@3``."""
    return connection().compare(list(records), as_of=as_of)


def reproduce(
    run: str,
    command: Iterable[str] | None = None,
    *,
    tolerance: float = 0.0,
    absolute: float = 0.0,
    environment: Choice = "auto",
    repository: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
) -> Certificate:
    """Run again, on this machine, what a run recorded, and certify how far the same came out. It does not ask.

    Args:
        run: its id or URN, or a version of a model that it made, such as ``model:risk@champion``.
        command: to run in place of the recorded one.
        tolerance: relative difference of values that is allowed.
        absolute: absolute difference that is allowed.
        environment: ``recorded`` for the recorded Python and packages, ``current`` for this interpreter, ``auto`` for
            the one or else the other.
        repository: path or URL to take the commit from; that around the current folder, or the recorded one, if left
            out.
        folder: where to put code and environment; a temporary folder if left out.
        timeout: seconds that the command may take.

    Raises:
        MunimentError: it could not be run.
    """
    from muniment.reproduction.comparing import Tolerance  # noqa: PLC0415 - starts processes; few need it
    from muniment.reproduction.reproducing import Wish, reproduce  # noqa: PLC0415

    connection()
    used = session()
    wish = Wish(
        command=None if command is None else list(command), folder=None if folder is None else Path(folder),
        repository=repository, environment=environment, tolerance=Tolerance(tolerance, absolute), timeout=timeout,
    )  # fmt: skip
    made = reproduce(used.url, used.project, run, wish)
    assert made is not None, "nobody is asked"
    return made

"""Conditions over related records: the data that a run used, the model of a version, what an evaluation judged.

A condition holds if any related record meets it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment_server.language.tree import Field
from muniment_server.store import current
from muniment_server.store.search.source import Predicate, Source
from muniment_server.store.tables import (
    aliases,
    dataset_versions,
    datasets,
    evaluations,
    jobs,
    links,
    model_versions,
    models,
    records,
    scores,
)


def has(source: Source, field: Field, predicate: Predicate) -> sa.ColumnElement[bool]:
    """Whether the record, or any that it is related to, has a field with a value that satisfies the predicate.

    The predicate is given the value's column (a param's or tag's table, since those have two).
    """
    if field.kind == "score":
        return _has_score(source, field.name, predicate)
    if field.kind != "relation":
        return source.has(field, predicate)
    family, _, name = field.name.partition(".")
    return _FAMILIES[family](source, name, predicate)


def _here(source: Source, table: sa.Table) -> sa.ColumnElement[bool]:
    """The rows of a table in the source's project, at its moment."""
    return sa.and_(table.c.project_id == source.project_id, current.at(table, source.as_of))


def _of_datasets(source: Source, name: str, predicate: Predicate) -> sa.ColumnElement[bool]:
    """`name` is that of a dataset, its namespace, a version, its digest, or the role in which it was used."""
    owners = sa.select(datasets.c.id).where(_here(source, datasets))
    if source.kind == "dataset_version":
        return source.table.c.dataset.in_(owners.where(predicate(datasets.c[name])))
    if name == "role":
        every = _versions(source, sa.true())
        return source.table.c.no.in_(_using(source, every).where(predicate(links.c.role)))
    if name in {"version", "digest"}:
        versions = _versions(source, predicate(dataset_versions.c[name]))
    else:
        versions = _versions(source, dataset_versions.c.dataset.in_(owners.where(predicate(datasets.c[name]))))
    if source.kind == "evaluation":
        return source.table.c.dataset_version.in_(versions.with_only_columns(dataset_versions.c.id))
    return source.table.c.no.in_(_using(source, versions))


def _using(source: Source, versions: sa.Select[Any]) -> sa.Select[Any]:
    """The runs that used any of some versions of datasets."""
    return sa.select(links.c.downstream).where(
        _here(source, links), links.c.type == "used", links.c.upstream.in_(versions)
    )


def _versions(source: Source, condition: Any) -> sa.Select[Any]:
    return sa.select(dataset_versions.c.no).where(_here(source, dataset_versions), condition)


def _of_models(source: Source, name: str, predicate: Predicate) -> sa.ColumnElement[bool]:
    """`name` is that of a model, its lifecycle, a version's number, or an alias that means it."""
    versions = source.table if source.kind == "model_version" else model_versions
    if name in {"name", "lifecycle"}:
        owners = sa.select(models.c.id).where(_here(source, models), predicate(models.c[name]))
        wanted: sa.ColumnElement[bool] = versions.c.model.in_(owners)
    elif name == "version":
        wanted = predicate(versions.c.version)
    else:
        meant = sa.select(aliases.c.target).where(_here(source, aliases), predicate(aliases.c.name))
        wanted = versions.c.no.in_(meant)
    if versions is source.table:
        return wanted
    return source.table.c.model_version.in_(sa.select(model_versions.c.id).where(_here(source, model_versions), wanted))


def _of_jobs(source: Source, name: str, predicate: Predicate) -> sa.ColumnElement[bool]:
    """`name` is that of the run's job, or its namespace."""
    asked = sa.select(jobs.c.id).where(_here(source, jobs), predicate(jobs.c[name]))
    return sa.and_(source.table.c.job.isnot(None), source.table.c.job.in_(asked))


_FAMILIES = {"dataset": _of_datasets, "model": _of_models, "job": _of_jobs}


def _has_score(source: Source, name: str, predicate: Predicate) -> sa.ColumnElement[bool]:
    """Whether an evaluation has a metric with a value that satisfies the predicate, or any that judged the record."""
    key = source.keys.get(name)
    if key is None:
        return sa.false()
    wanted = sa.select(scores.c.evaluation).where(
        scores.c.project_id == source.project_id, scores.c.key == key, predicate(scores.c.value)
    )
    if source.as_of is not None:
        wanted = wanted.where(scores.c.valid_from <= source.as_of)
    if source.kind == "evaluation":
        return source.table.c.no.in_(wanted)
    judged = sa.select(evaluations).where(
        _here(source, evaluations), evaluations.c.lifecycle == "active", evaluations.c.no.in_(wanted)
    )
    if source.kind == "dataset_version":
        return _with_ids(source, judged.with_only_columns(evaluations.c.dataset_version))
    models_judged = judged.with_only_columns(evaluations.c.model_version)
    if source.kind == "model_version":
        return _with_ids(source, models_judged)
    made = sa.select(model_versions.c.run).where(
        _here(source, model_versions), model_versions.c.run.isnot(None),
        model_versions.c.no.in_(_numbers(source, models_judged)),
    )  # fmt: skip
    return _with_ids(source, made)


def _numbers(source: Source, ids: sa.Select[Any]) -> sa.Select[Any]:
    """The numbers of records with some ids; of those there is an index, and every table has one of numbers."""
    return sa.select(records.c.no).where(records.c.project_id == source.project_id, records.c.id.in_(ids))


def _with_ids(source: Source, ids: sa.Select[Any]) -> sa.ColumnElement[bool]:
    return source.table.c.no.in_(_numbers(source, ids))


def score(source: Source, field: Field) -> sa.ColumnElement[Any]:
    """A metric of the evaluation at hand."""
    return (
        sa.select(scores.c.value)
        .where(
            scores.c.project_id == source.project_id, scores.c.evaluation == source.table.c.no,
            scores.c.key == source.key(field),
        )
        .scalar_subquery()
    )  # fmt: skip

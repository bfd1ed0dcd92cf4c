"""Conditions over related records: the data that a run used, the model of a version, what an evaluation judged.

A condition holds if any related record meets it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment_server.language.tree import Field
from muniment_server.store import current
from muniment_server.store.search.source import Predicate, Source
from muniment_server.store.tables import aliases, dataset_versions, datasets, links, model_versions, models


def has(source: Source, field: Field, predicate: Predicate) -> sa.ColumnElement[bool]:
    """Whether a related record has a value that satisfies the predicate, which is given its column."""
    family, _, name = field.name.partition(".")
    asked = _of_datasets if family == "dataset" else _of_models
    return asked(source, name, predicate)


def _here(source: Source, table: sa.Table) -> sa.ColumnElement[bool]:
    """The rows of a table in the source's project, at its moment."""
    return sa.and_(table.c.project_id == source.project_id, current.at(table, source.as_of))


def _of_datasets(source: Source, name: str, predicate: Predicate) -> sa.ColumnElement[bool]:
    """`name` is that of a dataset, its namespace, or a version."""
    owners = sa.select(datasets.c.id).where(_here(source, datasets))
    if source.kind == "dataset_version":
        return source.table.c.dataset.in_(owners.where(predicate(datasets.c[name])))
    if name == "version":
        versions = _versions(source, predicate(dataset_versions.c.version))
    else:
        versions = _versions(source, dataset_versions.c.dataset.in_(owners.where(predicate(datasets.c[name]))))
    if source.kind == "evaluation":
        return source.table.c.dataset_version.in_(versions.with_only_columns(dataset_versions.c.id))
    used = sa.select(links.c.downstream).where(
        _here(source, links), links.c.type == "used", links.c.upstream.in_(versions)
    )
    return source.table.c.no.in_(used)


def _versions(source: Source, condition: Any) -> sa.Select[Any]:
    return sa.select(dataset_versions.c.no).where(_here(source, dataset_versions), condition)


def _of_models(source: Source, name: str, predicate: Predicate) -> sa.ColumnElement[bool]:
    """`name` is that of a model, a version's number, or an alias that means it."""
    versions = source.table if source.kind == "model_version" else model_versions
    if name == "name":
        owners = sa.select(models.c.id).where(_here(source, models), predicate(models.c.name))
        wanted: sa.ColumnElement[bool] = versions.c.model.in_(owners)
    elif name == "version":
        wanted = predicate(versions.c.version)
    else:
        meant = sa.select(aliases.c.target).where(_here(source, aliases), predicate(aliases.c.name))
        wanted = versions.c.no.in_(meant)
    if versions is source.table:
        return wanted
    return source.table.c.model_version.in_(sa.select(model_versions.c.id).where(_here(source, model_versions), wanted))

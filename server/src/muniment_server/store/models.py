"""What is asked of the versions of models together: which are the youngest, when they changed, what aliases mean."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment_server.store import current
from muniment_server.store.tables import aliases, model_versions

_CHUNK = 10_000
"""Values in one IN."""


def youngest_by_stage(connection: sa.Connection, project_id: int, models: list[str]) -> list[int]:
    """The numbers of the active versions that are the greatest of their model in their stage."""
    table = model_versions
    found: list[int] = []
    for start in range(0, len(models), _CHUNK):
        rank = sa.func.row_number().over(
            partition_by=[table.c.model, table.c.stage], order_by=table.c.version.desc()
        )  # fmt: skip
        ranked = (
            sa.select(table.c.no, rank.label("rank"))
            .where(*_of(project_id, models[start : start + _CHUNK]), table.c.lifecycle == "active")
            .subquery()
        )
        found.extend(connection.scalars(sa.select(ranked.c.no).where(ranked.c.rank == 1)))
    return found


def last_written(connection: sa.Connection, project_id: int, models: list[str]) -> dict[str, int]:
    """By model, the position at which any of its versions was last written; of models that have versions."""
    table = model_versions
    found: dict[str, int] = {}
    for start in range(0, len(models), _CHUNK):
        query = (
            sa.select(table.c.model, sa.func.max(table.c.valid_from).label("position"))
            .where(*_of(project_id, models[start : start + _CHUNK]))
            .group_by(table.c.model)
        )
        found.update((row.model, row.position) for row in connection.execute(query))
    return found


def in_stage(connection: sa.Connection, project_id: int, model: str, stage: str) -> list[str]:
    """The ids of a model's active versions in a stage."""
    table = model_versions
    query = sa.select(table.c.id).where(
        *_of(project_id, [model]), table.c.stage == stage, table.c.lifecycle == "active"
    )
    return list(connection.scalars(query))


def versions_of(connection: sa.Connection, project_id: int, models: list[str]) -> list[Any]:
    """The active versions of models, oldest first."""
    found: list[tuple[int, Any]] = []
    for start in range(0, len(models), _CHUNK):
        query = current.versions("model_version").where(
            *_of(project_id, models[start : start + _CHUNK]), model_versions.c.lifecycle == "active"
        )
        found.extend((row.no, current.to_record("model_version", row)) for row in connection.execute(query))
    return [version for _, version in sorted(found, key=lambda pair: pair[0])]


def _of(project_id: int, models: list[str]) -> list[Any]:
    table = model_versions
    return [table.c.project_id == project_id, current.at(table, None), table.c.model.in_(models)]


def meanings(connection: sa.Connection, project_id: int, models: list[int]) -> dict[int, dict[str, int]]:
    """By the number of a model, its aliases with the numbers of the versions that they mean."""
    found: dict[int, dict[str, int]] = {}
    for start in range(0, len(models), _CHUNK):
        query = (
            sa.select(aliases.c.record, aliases.c.name, aliases.c.target)
            .where(
                aliases.c.project_id == project_id, current.at(aliases, None),
                aliases.c.record.in_(models[start : start + _CHUNK]),
            )
            .order_by(aliases.c.name)
        )  # fmt: skip
        for row in connection.execute(query):
            found.setdefault(row.record, {})[row.name] = row.target
    return found

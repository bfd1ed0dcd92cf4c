"""Queries that questions need and searches do not: evaluations on some data or of a model, the youngest data."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment_server.store import current
from muniment_server.store.reader import Reader
from muniment_server.store.tables import dataset_versions, evaluations, runs


def evaluations_on(reader: Reader, dataset_version: str, part: str | None) -> list[Any]:
    """The evaluations on a dataset version, or on one of its slices alone."""
    where = [evaluations.c.dataset_version == dataset_version]
    if part is not None:
        where.append(evaluations.c.slice == part)
    return _evaluations(reader, *where)


def evaluations_of(reader: Reader, model_version: str) -> list[Any]:
    """The evaluations of a model version, oldest first."""
    return _evaluations(reader, evaluations.c.model_version == model_version)


def _evaluations(reader: Reader, *where: Any) -> list[Any]:
    query = (
        current.versions("evaluation")
        .where(
            evaluations.c.project_id == reader.project_id,
            current.at(evaluations, reader.as_of),
            evaluations.c.lifecycle == "active",
            *where,
        )
        .order_by(evaluations.c.no)
    )
    return [current.to_record("evaluation", row) for row in reader.connection.execute(query)]


def latest_dataset_versions(reader: Reader, limit: int) -> dict[int, Any]:
    """The youngest dataset versions, by number."""
    query = (
        current.versions("dataset_version")
        .where(
            dataset_versions.c.project_id == reader.project_id,
            current.at(dataset_versions, reader.as_of),
            dataset_versions.c.lifecycle == "active",
        )
        .order_by(dataset_versions.c.no.desc())
        .limit(limit)
    )
    return {row.no: current.to_record("dataset_version", row) for row in reader.connection.execute(query)}


def runs_of_job(reader: Reader, job: str, limit: int) -> list[int]:
    """The numbers of a job's youngest runs."""
    query = (
        sa.select(runs.c.no)
        .where(runs.c.project_id == reader.project_id, runs.c.job == job, current.at(runs, reader.as_of))
        .order_by(runs.c.no.desc())
        .limit(limit)
    )
    return list(reader.connection.scalars(query))

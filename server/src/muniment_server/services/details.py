"""What belongs to many records at once: their numbers, tags, facets, and when they were last changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from muniment.model.dataset import Dataset, DatasetVersion
from muniment_server.policy.access import Scope
from muniment_server.services import catalog
from muniment_server.services.workspace import Workspace
from muniment_server.store import belongings, ledger, links, runs, tables
from muniment_server.store.reader import Reader


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to one record.

    Attributes:
        number: counts the records of a project from 1, in the order in which they were made; never reused.
        tags: its tags.
        facets: the documents of its facets, of those that were asked for.
        changed_at: when the version of it that was given was written.
    """

    number: int
    tags: dict[str, str]
    facets: dict[str, Any]
    changed_at: datetime


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a dataset that a run used."""

    dataset: Dataset
    version: DatasetVersion
    role: str
    facets: dict[str, Any]
    """Of the version."""


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to a run, besides its params, tags and metrics."""

    facets: dict[str, Any]
    datasets: list[Used]
    models: list[str]
    """The ids of the model versions that it used."""


def of(
    workspace: Workspace, scope: Scope, project: str, records: Sequence[Any], facets: str | None = None
) -> list[Details]:
    """The details of records of any kinds, in their order; four queries however many they are.

    Args:
        workspace: the store.
        scope: who asks.
        project: where.
        records: as they are now.
        facets: how the names of the facets begin that are wanted; None is no facet.
    """
    if not records:
        return []
    return catalog.read(workspace, scope, project, None, lambda reader: read(reader, records, facets))


def read(reader: Reader, records: Sequence[Any], facets: str | None = None) -> list[Details]:
    """The same for who has a reader already."""
    numbers = reader.numbers(record.id for record in records)
    wanted = sorted(numbers.values())
    tags = runs.items(reader.connection, tables.tags, reader.project_id, wanted, None, None)
    documents = {} if facets is None else _facets(reader, wanted, facets)
    times = ledger.times(reader.connection, reader.project_id, (record.position for record in records))
    return [
        Details(
            number=number, tags=tags.get(number, {}), facets=documents.get(number, {}),
            changed_at=times[record.position],
        )
        for record in records
        for number in (numbers[record.id],)
    ]  # fmt: skip


def of_runs(workspace: Workspace, scope: Scope, project: str, ids: Sequence[str], facets: str) -> list[RunDetails]:
    """What belongs to runs, in their order; a handful of queries however many they are."""
    if not ids:
        return []

    def ask(reader: Reader) -> list[RunDetails]:
        numbers = reader.numbers(ids)
        found = of_numbers(reader, sorted(numbers.values()), facets)
        return [found[numbers[run]] for run in ids]

    return catalog.read(workspace, scope, project, None, ask)


def of_numbers(reader: Reader, numbers: list[int], facets: str) -> dict[int, RunDetails]:
    """The same by the runs' numbers, for who has a reader already."""
    documents = _facets(reader, numbers, facets)
    used = links.into(reader.connection, reader.project_id, numbers, "used")
    datasets, models = _used(reader, sorted({upstream for _, upstream, _ in used}), facets)
    found = {number: RunDetails(facets=documents.get(number, {}), datasets=[], models=[]) for number in numbers}
    for downstream, upstream, role in used:
        if upstream in datasets:
            found[downstream].datasets.append(msgspec.structs.replace(datasets[upstream], role=role))
        elif upstream in models:
            found[downstream].models.append(models[upstream])
    return found


def _used(reader: Reader, numbers: list[int], facets: str) -> tuple[dict[int, Used], dict[int, str]]:
    """(dataset versions, ids of model versions) among records by their numbers."""
    if not numbers:
        return {}, {}
    versions = reader.numbered("dataset_version", numbers)
    owners = reader.by_ids("dataset", (version.dataset for version in versions.values()))
    documents = _facets(reader, sorted(versions), facets)
    datasets = {
        number: Used(dataset=owners[version.dataset], version=version, role="", facets=documents.get(number, {}))
        for number, version in versions.items()
    }
    rest = [number for number in numbers if number not in versions]
    models = reader.numbered("model_version", rest) if rest else {}
    return datasets, {number: version.id for number, version in models.items()}


def _facets(reader: Reader, numbers: list[int], begin: str) -> dict[int, dict[str, Any]]:
    found = belongings.documents(reader.connection, reader.project_id, "facets", numbers, begin)
    return {number: {name: said["value"] for name, said in named.items()} for number, named in found.items()}


def numbered(workspace: Workspace, scope: Scope, project: str, kind: str, numbers: Sequence[int]) -> list[Any]:
    """The records of a kind with some numbers; of those there are."""
    wanted = sorted({number for number in numbers if 0 < number < 2**63})
    if not wanted:
        return []
    return catalog.read(workspace, scope, project, None, lambda reader: list(reader.numbered(kind, wanted).values()))


def by_ids(workspace: Workspace, scope: Scope, project: str, kind: str, ids: Sequence[str]) -> list[Any]:
    """The records of a kind with some ids; of those there are."""
    if not ids:
        return []
    return catalog.read(workspace, scope, project, None, lambda reader: list(reader.by_ids(kind, ids).values()))

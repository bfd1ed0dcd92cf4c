"""Use cases of datasets and their versions."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.dataset import (
    CONTENT,
    Dataset,
    DatasetChange,
    DatasetVersion,
    NewDataset,
    NewDatasetVersion,
)
from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.ids import new_id
from muniment.model.names import TEXT_LIMIT, check_name, check_text
from muniment.model.schema import check_bag, check_columns
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.references import refuse_deleted, resolve, resolve_version, writable
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt

PARTS_LIMIT = 1_000
"""Slices or sources of one version."""


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewDataset, receipt: Receipt | None = None
) -> Change[Dataset]:
    """Prepare a new dataset. One that exists with the same content is that one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    return Change(ref.no, scope.principal, "dataset.create", lambda draft: create_in(draft, new), receipt)


def check_new(new: NewDataset) -> None:
    """Check what can be checked without the store."""
    catalog.check_fields(new, names=("name", "namespace"), texts=("description",))


def create_in(draft: Draft, new: NewDataset) -> Dataset:
    """Create a dataset in a draft."""

    def make(position: int) -> Dataset:
        return Dataset(
            id=new_id(), namespace=new.namespace, name=new.name, description=new.description,
            created_at=draft.time, position=position,
        )  # fmt: skip

    held = catalog.create_named(draft, "dataset", (new.namespace, new.name), new, make)
    assert isinstance(held.record, Dataset)
    return held.record


def update(
    workspace: Workspace, scope: Scope, project: str, key: str, change: DatasetChange, receipt: Receipt | None = None
) -> Change[Dataset]:
    """Prepare a change of a dataset."""
    ref = workspace.project(scope, project, Permission.WRITE)
    catalog.check_fields(change, texts=("description",))

    def act(draft: Draft) -> Dataset:
        made = catalog.change_named(draft, "dataset", key, change)
        assert isinstance(made, Dataset)
        return made

    return Change(ref.no, scope.principal, "dataset.update", act, receipt)


def create_version(
    workspace: Workspace, scope: Scope, project: str, key: str, new: NewDatasetVersion, receipt: Receipt | None = None
) -> Change[DatasetVersion]:
    """Prepare a version of a dataset. One with the same version, or without one the same digest, is that one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_version(new)
    return Change(ref.no, scope.principal, "dataset.version", lambda draft: create_version_in(draft, key, new), receipt)


def check_version(new: NewDatasetVersion) -> None:
    """Check what can be checked without the store."""
    catalog.check_fields(new, names=("version", "digest", "license"))
    check_columns(new.schema, "schema")
    check_bag(new.profile, "profile")
    for field in ("slices", "sources"):
        if len(getattr(new, field)) > PARTS_LIMIT:
            raise TooLarge(f"{field} has {len(getattr(new, field)):,} items; the limit is {PARTS_LIMIT:,}", field=field)
    names = [check_name(part.name, "a name in slices") for part in new.slices]
    if len(set(names)) != len(names):
        raise InvalidInput("two slices have the same name", field="slices")
    for part in new.slices:
        catalog.check_fields(part, names=("digest",), texts=("filter",), within="slices.")
        _check_count(part.rows, "slices.rows")
    for source in new.sources:
        check_text(source.uri, "sources.uri", TEXT_LIMIT)
        catalog.check_fields(source, names=("format", "version"), within="sources.")
    _check_count(new.rows, "rows")
    _check_count(new.bytes, "bytes")


def _check_count(value: int | None, field: str) -> None:
    if value is not None and not 0 <= value < 2**63:
        raise InvalidInput(f"{field} must be 0 or more, and fit 64 bits", field=field)


def create_version_in(draft: Draft, key: str, new: NewDatasetVersion) -> DatasetVersion:
    """Create a version in a draft."""
    held = writable(draft, key, "dataset", "dataset")
    dataset = held.record.id
    there = _same_version(draft, dataset, new)
    run = None if new.run is None else writable(draft, new.run, "run", "run")
    if there is None:
        there = draft.create(
            "dataset_version",
            lambda position: DatasetVersion(
                id=new_id(), dataset=dataset, version=new.version or _number(draft, dataset),
                created_at=draft.time, position=position, **{field: getattr(new, field) for field in CONTENT},
            ),
        )  # fmt: skip
    if run is not None:
        refuse_deleted(draft, there, "the version", "version")
        draft.add_link(run, there, "generated", "", None, "explicit")
    assert isinstance(there.record, DatasetVersion)
    return there.record


def _number(draft: Draft, dataset: str) -> str:
    """The next number that no version is called by."""
    number = draft.last_number("dataset_version", dataset) + 1
    while draft.find_named("dataset_version", dataset, str(number)) is not None:
        number += 1
    return str(number)


def _same_version(draft: Draft, dataset: str, new: NewDatasetVersion) -> Held | None:
    """The version that this is, if it is recorded already.

    Raises:
        Conflict: it is recorded with other content.
    """
    there = None
    if new.version is not None:
        there = draft.find_named("dataset_version", dataset, new.version)
    elif new.digest is not None:
        there = draft.find_digest(dataset, new.digest)
    if there is None:
        return None
    assert isinstance(there.record, DatasetVersion)
    catalog.check_same_version(there.record, new, CONTENT, "record the new content as a version of its own")
    return there


def get(workspace: Workspace, scope: Scope, project: str, key: str, as_of: int | str | None = None) -> Dataset:
    """One dataset, now or as of the past."""
    found: Dataset = catalog.get(workspace, scope, project, "dataset", key, as_of)
    return found


def get_version(
    workspace: Workspace, scope: Scope, project: str, key: str, version: str, as_of: int | str | None = None
) -> DatasetVersion:
    """One version of a dataset, now or as of the past; ``latest`` is the youngest."""

    def ask(reader: Reader) -> Any:
        return resolve_version(reader, key, "dataset", version)[1].record

    made: DatasetVersion = catalog.read(workspace, scope, project, as_of, ask)
    return made


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """Every version of a dataset, oldest first."""

    versions: list[DatasetVersion]


def versions(workspace: Workspace, scope: Scope, project: str, key: str, as_of: int | str | None = None) -> Versions:
    """Every version of a dataset, now or as of the past."""

    def ask(reader: Reader) -> Versions:
        held = resolve(reader, key, "dataset", "dataset")
        return Versions(versions=reader.all_of("dataset_version", "dataset", held.record.id))

    return catalog.read(workspace, scope, project, as_of, ask)

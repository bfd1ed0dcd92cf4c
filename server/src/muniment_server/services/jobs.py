"""Use cases of jobs."""

from __future__ import annotations

from muniment.model.ids import new_id
from muniment.model.job import Job, JobChange, JobData, JobDataset, NewJob
from muniment.model.link import Direction
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.lineage import display_name, owners_of
from muniment_server.services.references import resolve
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import asking, links
from muniment_server.store.draft import Draft
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt

RUNS_LIMIT = 10_000
"""Runs of a job that are looked at for its data, the youngest."""


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewJob, receipt: Receipt | None = None
) -> Change[Job]:
    """Prepare a new job. One that exists with the same content is that one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    return Change(ref.no, scope.principal, "job.create", lambda draft: create_in(draft, new), receipt)


def check_new(new: NewJob) -> None:
    """Check what can be checked without the store."""
    catalog.check_fields(new, names=("name", "namespace", "type"), texts=("description",))


def create_in(draft: Draft, new: NewJob) -> Job:
    """Create a job in a draft."""

    def make(position: int) -> Job:
        return Job(
            id=new_id(), namespace=new.namespace, name=new.name, type=new.type, description=new.description,
            created_at=draft.time, position=position,
        )  # fmt: skip

    held = catalog.create_named(draft, "job", (new.namespace, new.name), new, make)
    assert isinstance(held.record, Job)
    return held.record


def update(
    workspace: Workspace, scope: Scope, project: str, key: str, change: JobChange, receipt: Receipt | None = None
) -> Change[Job]:
    """Prepare a change of a job."""
    ref = workspace.project(scope, project, Permission.WRITE)
    catalog.check_fields(change, names=("type",), texts=("description",))

    def act(draft: Draft) -> Job:
        made = catalog.change_named(draft, "job", key, change)
        assert isinstance(made, Job)
        return made

    return Change(ref.no, scope.principal, "job.update", act, receipt)


def data(workspace: Workspace, scope: Scope, project: str, key: str, as_of: int | str | None = None) -> JobData:
    """What a job reads and writes, now or as of the past."""

    def ask(reader: Reader) -> JobData:
        held = resolve(reader, key, "job", "job")
        assert isinstance(held.record, Job)
        numbers = asking.runs_of_job(reader, held.record.id, RUNS_LIMIT + 1)
        looked = numbers[:RUNS_LIMIT]
        return JobData(
            job=held.record,
            runs=len(looked),
            truncated=len(numbers) > RUNS_LIMIT,
            inputs=_datasets(reader, looked, "downstream", "used"),
            outputs=_datasets(reader, looked, "upstream", "generated"),
        )

    return catalog.read(workspace, scope, project, as_of, ask)


def _datasets(reader: Reader, runs: list[int], end: Direction, type_: str) -> list[JobDataset]:
    """The datasets of which versions are at the other end of the runs' links."""
    near, far = (0, 1) if end == "downstream" else (1, 0)
    rows = list(links.touching(reader.connection, reader.project_id, end, runs, reader.as_of, type_))
    versions = reader.names("dataset_version", sorted({row[far] for row in rows}))
    owners = owners_of(reader, versions.values())
    by_dataset: dict[str, tuple[set[int], int]] = {}
    for row in rows:
        if row[far] in versions:
            users, last = by_dataset.get(versions[row[far]].dataset, (set(), 0))
            by_dataset[versions[row[far]].dataset] = users | {row[near]}, max(last, row[6])
    found = [
        JobDataset(dataset=key, name=display_name("dataset", owners[key], owners), runs=len(users), position=last)
        for key, (users, last) in by_dataset.items()
    ]
    return sorted(found, key=lambda item: (-item.runs, item.name))

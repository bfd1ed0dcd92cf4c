"""Use cases of jobs."""

from __future__ import annotations

from muniment.model.ids import new_id
from muniment.model.job import Job, JobChange, NewJob
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store.draft import Draft
from muniment_server.store.receipts import Receipt


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

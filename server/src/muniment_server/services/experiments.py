"""Use cases of experiments."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from muniment.model.errors import Conflict, NotFound
from muniment.model.experiment import Experiment, ExperimentChange, NewExperiment
from muniment.model.facet import Facet
from muniment.model.ids import new_id
from muniment.model.names import TEXT_LIMIT, TITLE_LIMIT, check_map, check_text, check_title
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import moments
from muniment_server.services.workspace import Change, Workspace, refuse_erased
from muniment_server.store import experiments
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.receipts import Receipt

R = TypeVar("R", bound=msgspec.Struct)


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewExperiment, receipt: Receipt | None = None
) -> Change[Experiment]:
    """Prepare a new experiment. One that exists with the same content is that one."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    return Change(ref.no, scope.principal, "experiment.create", lambda draft: create_in(draft, new), receipt)


def create_first(
    workspace: Workspace,
    scope: Scope,
    project: str,
    new: NewExperiment,
    tags: dict[str, str],
    facets: dict[str, dict[str, Any]],
) -> Change[Experiment]:
    """Prepare an experiment, with tags and facets, that must not be there yet.

    The change raises `Conflict` if it is.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    check_map(tags, "tags")

    def act(draft: Draft) -> Experiment:
        if draft.find_named("experiment", new.name) is not None:
            raise Conflict(f"experiment {new.name!r} exists; choose another name", field="name")
        made = create_in(draft, new)
        held = held_by_key(draft, made.id)
        draft.change_tags(held, dict(tags))
        for name, value in facets.items():
            draft.set_belonging("facets", held, name, msgspec.to_builtins(Facet(value=value)))
        return made

    return Change(ref.no, scope.principal, "experiment.create", act)


def check_new(new: NewExperiment) -> None:
    """Check what can be checked without the store."""
    check_title(new.name, "name")
    if new.description is not None:
        check_text(new.description, "description", TEXT_LIMIT)


def create_in(draft: Draft, new: NewExperiment) -> Experiment:
    """Create an experiment in a draft."""
    there = draft.find_named("experiment", new.name)
    if there is not None:
        record = of(there)
        if new.description is None or record.description == new.description:
            return record
        raise Conflict(f"experiment {new.name!r} exists with another description; PATCH it instead", field="name")
    return of(
        draft.create(
            "experiment",
            lambda position: Experiment(
                id=new_id(), name=new.name, description=new.description, created_at=draft.time, position=position
            ),
        )
    )


def of(held: Held) -> Experiment:
    """The experiment of a held record."""
    assert isinstance(held.record, Experiment)
    return held.record


def held_by_key(draft: Draft, key: str) -> Held:
    """The experiment with this id or name.

    Raises:
        NotFound: there is none.
        Gone: it was erased.
    """
    check_text(key, "experiment", TITLE_LIMIT)
    found = draft.find_named("experiment", key)
    if found is None and len(key.replace("-", "")) == 32:
        found = draft.find("experiment", key.replace("-", "").lower())
    if found is None:
        raise NotFound(f"experiment {key[:100]!r} does not exist in this project; create it first", field="experiment")
    refuse_erased(of(found).lifecycle, f"experiment {of(found).id}")
    return found


def get(workspace: Workspace, scope: Scope, project: str, key: str, as_of: int | str | None = None) -> Experiment:
    """One experiment by id or name, now or as of the past."""
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        at = moments.position(connection, ref.no, as_of)
        return experiments.find(connection, scope, ref.no, key, as_of=at)


def update(
    workspace: Workspace,
    scope: Scope,
    project: str,
    key: str,
    change: ExperimentChange,
    receipt: Receipt | None = None,
) -> Change[Experiment]:
    """Prepare a change of an experiment."""
    ref = workspace.project(scope, project, Permission.WRITE)
    if isinstance(change.name, str):
        check_title(change.name, "name")
    if isinstance(change.description, str):
        check_text(change.description, "description", TEXT_LIMIT)
    return Change(ref.no, scope.principal, "experiment.update", lambda draft: update_in(draft, key, change), receipt)


def update_in(draft: Draft, key: str, change: ExperimentChange) -> Experiment:
    """Change an experiment in a draft."""
    held = held_by_key(draft, key)
    if isinstance(change.name, str):
        other = draft.find_named("experiment", change.name)
        if other is not None and other.no != held.no:
            raise Conflict(f"another experiment is named {change.name!r}; choose another name", field="name")
    return of(draft.replace("experiment", held, changed(of(held), change)))


def changed(record: R, change: msgspec.Struct) -> R:
    """`record` with the fields that `change` sets."""
    fields = {
        name: value
        for name in change.__struct_fields__
        if name in record.__struct_fields__ and (value := getattr(change, name)) is not msgspec.UNSET
    }
    return msgspec.structs.replace(record, **fields)

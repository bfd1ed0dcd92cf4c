"""Use cases of what a run read and wrote, told by producers who know datasets by name and digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.errors import Conflict, InvalidInput
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import datasets, facets, links, runs
from muniment_server.services.references import writable
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held


class NewInput(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that a run used.

    Attributes:
        dataset: made if it is not there.
        version: known by its digest; made if it is not there.
        role: in which it was used.
        about: a facet of the version, by name, if it is made now; if it has another there, this one is the run's, and
            its name is followed by ``/`` and the version's id.
        said: a facet of the run, if it has none; its name is followed by the version's id.
    """

    dataset: NewDataset
    version: NewDatasetVersion
    role: str
    about: Mapping[str, dict[str, Any]] = {}
    said: Mapping[str, dict[str, Any]] = {}


def log(
    workspace: Workspace,
    scope: Scope,
    project: str,
    run: str,
    given: Sequence[NewInput],
    models: Mapping[str, dict[str, Any]],
    facet: str,
) -> Change[links.Linked]:
    """Prepare that a run used datasets and versions of models, given by their ids with what is said of each.

    A model that the run made itself stays its output, since nothing can be its own ancestor; that it was also read
    stands in a facet of the run, `facet` and the version's id.

    A version that is there under the digest with other content stays as it is; what it was said to be now stands in a
    facet of the run, ``conflict/`` and the version's id.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    for item in given:
        datasets.check_new(item.dataset)
        datasets.check_version(item.version)

    def act(draft: Draft) -> links.Linked:
        held = runs.writable(draft, run)
        count = sum(_log_in(draft, held, item) for item in given)
        for model, said in models.items():
            version = writable(draft, model, "model_version", "models")
            try:
                count += draft.add_link(version, held, "used", "", None, "explicit")
            except InvalidInput:
                _say_first(draft, held, f"{facet}{model}", said)
        return links.Linked(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "run.inputs", act)


def _log_in(draft: Draft, run: Held, item: NewInput) -> bool:
    owner = datasets.create_in(draft, item.dataset)
    there = None if item.version.digest is None else draft.find_digest(owner.id, item.version.digest)
    try:
        version = datasets.create_version_in(draft, owner.id, item.version)
    except Conflict:
        assert there is not None
        version = there.record  # type: ignore[assignment]
        facets.set_facet_in(draft, run.record.id, f"conflict/{version.id}", msgspec.to_builtins(item.version))
    held = draft.find("dataset_version", version.id)
    assert held is not None
    for name, value in item.about.items():
        known = draft.belonging("facets", held, name)
        if there is None:
            facets.set_facet_in(draft, version.id, name, value)
        elif known is None or known["value"] != value:
            _say_first(draft, run, f"{name}/{version.id}", value)
    for name, value in item.said.items():
        _say_first(draft, run, f"{name}{version.id}", value)
    return draft.add_link(held, run, "used", item.role, None, "explicit")


def _say_first(draft: Draft, run: Held, name: str, value: dict[str, Any]) -> None:
    if draft.belonging("facets", run, name) is None:
        facets.set_facet_in(draft, run.record.id, name, value)


def log_models(
    workspace: Workspace, scope: Scope, project: str, run: str, made: Mapping[str, dict[str, Any]], facet: str
) -> Change[links.Linked]:
    """Prepare that a run wrote versions of models, by their ids, with what is said of each in a facet of the run.

    A model that the run also read stays its input: nothing can be its own ancestor.
    """
    ref = workspace.project(scope, project, Permission.WRITE)

    def act(draft: Draft) -> links.Linked:
        held = runs.writable(draft, run)
        count = 0
        for model, value in made.items():
            version = writable(draft, model, "model_version", "models")
            with suppress(InvalidInput):
                count += draft.add_link(held, version, "generated", "", None, "explicit")
            facets.set_facet_in(draft, held.record.id, f"{facet}{model}", value)
        return links.Linked(changed=count, position=draft.last_position)

    return Change(ref.no, scope.principal, "run.outputs", act)

"""The use case of erasing a record of any kind."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.dataset import DEFAULT_NAMESPACE
from muniment.model.ids import new_id, parse_id
from muniment.model.names import check_name
from muniment.model.record import LifecycleSet
from muniment.model.run import Run
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.records import removable
from muniment_server.services.references import resolve
from muniment_server.services.runs import held_by_id, of
from muniment_server.services.workspace import Change, Workspace
from muniment_server.store import erasure
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import KINDS, kind_of
from muniment_server.store.receipts import Receipt


class _Left(msgspec.Struct, frozen=True):
    """What is left of a record of a kind, beside its id and when it was made; every other field is as if never said.

    Attributes:
        stays: fields that say what it was of, or what sort of thing, and nothing that anybody wrote of it.
        said: what stands where a record must say something.
        named: the field by which others of its kind are told from it; it gets a name that says nothing.
    """

    stays: tuple[str, ...] = ()
    said: dict[str, Any] = {}
    named: str = ""


_LEFT = {
    "run": _Left(stays=("experiment", "kind", "state", "attempt"), said={"name": "erased"}),
    "experiment": _Left(named="name"),
    "job": _Left(said={"namespace": DEFAULT_NAMESPACE}, named="name"),
    "dataset": _Left(said={"namespace": DEFAULT_NAMESPACE}, named="name"),
    "dataset_version": _Left(stays=("dataset",), named="version"),
    "model": _Left(named="name"),
    "model_version": _Left(stays=("model", "version")),
    "evaluation": _Left(stays=("model_version", "dataset_version")),
    "note": _Left(stays=("author",), said={"text": "erased"}),
    "saved_view": _Left(said={"page": "erased", "state": {}}, named="name"),
    # its name is that of facets, which stay where they are
    "facet_type": _Left(stays=("name", "version"), said={"schema": {}, "mode": "off"}),
}


def erase_run(
    workspace: Workspace, scope: Scope, project: str, run_id: str, reason: str, receipt: Receipt | None = None
) -> Change[Run]:
    """Prepare the erasure of a run's content, for good. The reason (at most 250 characters) stays in the history."""
    ref = workspace.project(scope, project, Permission.ADMIN)
    run_id = parse_id(run_id, field="run")
    check_name(reason, "reason")

    def act(draft: Draft) -> Run:
        return of(_erase_in(draft, held_by_id(draft, run_id), reason))

    return Change(ref.no, scope.principal, "run.erase", act, receipt, alone=True)


def erase(
    workspace: Workspace, scope: Scope, project: str, record: str, reason: str, receipt: Receipt | None = None
) -> Change[LifecycleSet]:
    """Prepare the erasure of a record's content, for good. The reason (at most 250 characters) stays in the history."""
    ref = workspace.project(scope, project, Permission.ADMIN)
    check_name(reason, "reason")

    def act(draft: Draft) -> LifecycleSet:
        held = _erase_in(draft, removable(resolve(draft, record, None, "record")), reason)
        return LifecycleSet(
            record=held.record.id, kind=kind_of(held.record).name, lifecycle="erased", changed=True,
            position=draft.last_position,
        )  # fmt: skip

    return Change(ref.no, scope.principal, "record.erase", act, receipt, alone=True)


def _erase_in(draft: Draft, held: Held, reason: str) -> Held:
    kind = kind_of(held.record).name
    left = _left(draft, kind, held)
    # from here on the database is changed, so nothing that follows may fail
    emptied, erased = erasure.erase(draft.connection, draft.project_id, held)
    draft.held[held.record.id] = emptied
    made = draft.replace(kind, emptied, left)
    draft.remark(made, "reason", reason)
    draft.remark(made, "erased", msgspec.to_builtins(erased))
    return made


def _left(draft: Draft, kind: str, held: Held) -> Any:
    """What stands for a record from now on."""
    rule, record = _LEFT[kind], held.record
    said = {field: getattr(record, field) for field in ("id", "created_at", *rule.stays)} | rule.said
    made = KINDS[kind]
    if rule.named:
        said[rule.named] = f"erased-{record.id}"
        there = draft.find_named(kind, *(said[field] for field in made.key))
        if there is not None:  # somebody took that very name, and shall not keep this from being erased
            said[rule.named] = f"erased-{new_id()}"
    return made.struct(**said, lifecycle="erased", position=draft.position)

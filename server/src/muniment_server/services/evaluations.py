"""Use cases of evaluations."""

from __future__ import annotations

import math

from muniment.model.dataset import DatasetVersion
from muniment.model.errors import Conflict, InvalidInput, NotFound
from muniment.model.evaluation import Evaluation, NewEvaluation, verdict_of
from muniment.model.ids import new_id
from muniment.model.metric import WireNumber, to_wire
from muniment.model.names import ITEMS_LIMIT, check_name
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.references import refuse_deleted, resolve, writable
from muniment_server.services.workspace import Change, Workspace, refuse_erased
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.receipts import Receipt


def create(
    workspace: Workspace, scope: Scope, project: str, new: NewEvaluation, receipt: Receipt | None = None
) -> Change[Evaluation]:
    """Prepare an evaluation."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_new(new)
    return Change(ref.no, scope.principal, "evaluation.create", lambda draft: create_in(draft, new), receipt)


def check_new(new: NewEvaluation) -> None:
    """Check what can be checked without the store."""
    catalog.check_fields(new, names=("slice",))
    if not 0 < len(new.metrics) <= ITEMS_LIMIT:
        raise InvalidInput(f"metrics has {len(new.metrics):,} items; it takes 1 to {ITEMS_LIMIT:,}", field="metrics")
    for field in ("metrics", "thresholds"):
        for name in getattr(new, field):
            check_name(name, f"a key of {field}")
    for name, threshold in new.thresholds.items():
        if any(end is not None and not math.isfinite(end) for end in (threshold.min, threshold.max)):
            raise InvalidInput(
                f"thresholds[{name!r}] is not finite; leave out the end that is open", field="thresholds"
            )
        if threshold.min is None and threshold.max is None:
            raise InvalidInput(f"thresholds[{name!r}] has neither min nor max", field="thresholds")
        if threshold.min is not None and threshold.max is not None and threshold.min > threshold.max:
            raise InvalidInput(f"thresholds[{name!r}]: min is greater than max", field="thresholds")


def create_in(draft: Draft, new: NewEvaluation) -> Evaluation:
    """Record an evaluation in a draft, with its links."""
    metrics = {name: to_wire(float(value)) for name, value in new.metrics.items()}
    model = resolve(draft, new.model_version, "model_version", "model_version")
    dataset = resolve(draft, new.dataset_version, "dataset_version", "dataset_version")
    there = None if new.id is None else draft.find("evaluation", new.id)
    if there is not None:
        return _same(of(there), new, metrics, model.record.id, dataset.record.id)
    refuse_deleted(draft, model, new.model_version, "model_version")
    refuse_deleted(draft, dataset, new.dataset_version, "dataset_version")
    run = None if new.run is None else writable(draft, new.run, "run", "run")
    _check_slice(dataset, new.slice)
    if new.id is not None and draft.find_any(new.id) is not None:
        raise Conflict(f"id {new.id} is taken by a record of another kind", field="id")
    held = draft.create(
        "evaluation",
        lambda position: Evaluation(
            id=new.id or new_id(),
            model_version=model.record.id,
            dataset_version=dataset.record.id,
            slice=new.slice,
            run=new.run,
            metrics=metrics,
            thresholds=new.thresholds,
            verdict=verdict_of(metrics, new.thresholds),
            created_at=draft.time,
            position=position,
        ),
    )
    draft.add_link(model, held, "evaluates", "", None, "explicit")
    draft.add_link(dataset, held, "evaluated_on", new.slice or "", None, "explicit")
    if run is not None:
        draft.add_link(run, held, "generated", "", None, "explicit")
    return of(held)


def of(held: Held) -> Evaluation:
    """The evaluation of a held record."""
    assert isinstance(held.record, Evaluation)
    return held.record


def _check_slice(dataset: Held, name: str | None) -> None:
    assert isinstance(dataset.record, DatasetVersion)
    names = [part.name for part in dataset.record.slices]
    if name is not None and name not in names:
        known = ", ".join(names[:10]) or "none"
        raise NotFound(f"slice {name!r} does not exist in this dataset version; it has {known}", field="slice")


def _same(
    there: Evaluation, new: NewEvaluation, metrics: dict[str, WireNumber], model: str, dataset: str
) -> Evaluation:
    refuse_erased(there.lifecycle, f"evaluation {there.id}")
    alike = (
        (there.model_version, there.dataset_version, there.slice, there.run) == (model, dataset, new.slice, new.run)
        and there.metrics == metrics
        and there.thresholds == new.thresholds
    )
    if not alike:
        raise Conflict(f"evaluation {there.id} exists and was recorded differently; use a new id", field="id")
    return there

"""Records as another system has them: made if they are not there, brought up to date if they are.

Each function does it in a draft and returns whether anything is new by it. What is equal already is left alone, so
that bringing the same again writes nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.model.dataset import NewDataset, NewDatasetVersion
from muniment.model.experiment import Experiment, ExperimentChange, NewExperiment
from muniment.model.link import NewLink
from muniment.model.model import ModelChange, ModelVersionChange, NewModel, NewModelVersion
from muniment.model.othername import OtherName, spelled
from muniment.model.reference import short_name
from muniment.model.run import NewRun, RunChange
from muniment_server.services import datasets, experiments, facets, links, models, othernames, records, runs
from muniment_server.services.references import resolve
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held, is_active


def experiment_in(draft: Draft, called: OtherName, new: NewExperiment) -> bool:
    """An experiment by what its system calls it, or by its name; what it is renamed to there, it is renamed to here."""
    touched = draft.touched
    held = draft.find_called(spelled(called))
    if held is None or not isinstance(held.record, Experiment):
        record = experiments.create_in(draft, msgspec.structs.replace(new, description=None))
        held = experiments.held_by_key(draft, record.id)
    _revived(draft, held)
    experiments.update_in(draft, held.record.id, ExperimentChange(name=new.name))
    othernames.name_in(draft, experiments.held_by_key(draft, held.record.id), called, None)
    return draft.touched != touched


def run_in(draft: Draft, new: NewRun) -> bool:
    """A run by its id. A parent that is not there is left out."""
    run = new.id
    assert run is not None
    touched = draft.touched
    if new.parent is not None and draft.find("run", new.parent) is None:
        new = msgspec.structs.replace(new, parent=None)
    there = draft.find("run", run)
    if there is None:
        _revived(draft, experiments.held_by_key(draft, new.experiment))
        runs.create_in(draft, new, {})
        return True
    _revived(draft, there)
    said = {
        field: value
        for field in RunChange.__struct_fields__
        if field != "lifecycle" and (value := getattr(new, field)) is not None
    }
    runs.update_in(draft, run, RunChange(**said))
    return draft.touched != touched


def _revived(draft: Draft, held: Held) -> None:
    """Restore a record that is deleted, so that it can be written to."""
    if getattr(held.record, "lifecycle", "active") == "deleted":
        records.restore_in(draft, held.record.id)


def dataset_version_in(
    draft: Draft, dataset: NewDataset, new: NewDatasetVersion, facet: tuple[str, dict[str, Any]]
) -> Held:
    """A version of a dataset by its digest. The first that is recorded with a digest says what it is."""
    there = draft.find_named("dataset", dataset.namespace, dataset.name)
    if there is None:
        datasets.create_in(draft, dataset)
    reference = short_name("dataset", (dataset.namespace, dataset.name))
    owner = draft.find_named("dataset", dataset.namespace, dataset.name)
    assert owner is not None
    assert new.digest is not None
    found = draft.find_digest(owner.record.id, new.digest)
    if found is None:
        made = datasets.create_version_in(draft, reference, new)
        found = draft.find("dataset_version", made.id)
        assert found is not None
    if draft.belonging("facets", found, facet[0]) is None:
        facets.set_facet_in(draft, found.record.id, *facet)
    return found


def used_in(draft: Draft, version: Held, run: str, role: str) -> bool:
    """That a run read a version of a dataset."""
    return links.add_in(draft, NewLink(upstream=version.record.id, downstream=run, type="used", role=role))


def model_in(draft: Draft, new: NewModel) -> bool:
    """A model by its name."""
    touched = draft.touched
    held = draft.find_named("model", new.name)
    if held is None:
        models.create_in(draft, new)
    else:
        _revived(draft, held)
        held = resolve(draft, held.record.id, "model", "model")
        if new.description is not None:
            described = experiments.changed(models.of(held), ModelChange(description=new.description))
            draft.replace("model", held, described)
    return draft.touched != touched


def model_version_in(draft: Draft, model: str, new: NewModelVersion) -> tuple[str, bool]:
    """A version of a model by its id or number: its id, and whether anything is new by it.

    A run that is not there is left out. One that is deleted stays so, and the version is linked with it all the same.
    """
    touched = draft.touched
    run = None if new.run is None else draft.find("run", new.run)
    if run is None:
        new = msgspec.structs.replace(new, run=None)
    owner = draft.find_named("model", model)
    reference = model if owner is None else owner.record.id
    deleted = run is not None and not is_active(run)
    if run is not None and deleted:
        records.restore_in(draft, run.record.id)
    for found in (
        None if new.id is None else draft.find("model_version", new.id),
        None if owner is None or new.version is None else draft.find_named("model_version", reference, new.version),
    ):
        if found is not None:
            _revived(draft, found)
    made = models.create_version_in(draft, reference, new)
    if run is not None and deleted:
        records.delete_in(draft, run.record.id)
    held = draft.find("model_version", made.id)
    assert held is not None
    change = ModelVersionChange(stage=new.stage)
    if new.description is not None:
        change = ModelVersionChange(stage=new.stage, description=new.description)
    draft.replace("model_version", held, experiments.changed(models.version_in(held), change))
    return made.id, draft.touched != touched

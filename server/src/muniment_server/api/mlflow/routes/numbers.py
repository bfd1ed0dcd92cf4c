"""Experiments by the numbers that MLflow's clients know them by.

An experiment's number is that of its record, and never changes; experiment 0 is the one that MLflow calls Default. What
has been found once is remembered: it cannot become wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from muniment.model.batch import Batch, CreateExperiment, GiveName
from muniment.model.errors import Denied, NotFound
from muniment.model.mlflow import (
    DEFAULT_EXPERIMENT,
    DEFAULT_EXPERIMENT_ID,
    DEFAULT_EXPERIMENT_NAME,
    FACET,
    SYSTEM,
)
from muniment.model.othername import OtherName
from muniment_server.api.mlflow.translate import kept
from muniment_server.api.mlflow.translate.experiments import artifact_location
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.wire.checks import experiment_number
from muniment_server.api.mlflow.wire.exchange import project_of
from muniment_server.api.mlflow.wire.refusals import missing
from muniment_server.api.routing import Call
from muniment_server.services import batch, details, othernames
from muniment_server.services.workspace import Workspace

REMEMBERED = 50_000
"""Experiments that are remembered of a project."""
_DEFAULT = OtherName(system=SYSTEM, name=DEFAULT_EXPERIMENT_NAME)


class _Known:
    """What is known of one project's experiments."""

    def __init__(self) -> None:
        self.by_id: dict[str, Place] = {}
        self.by_number: dict[str, Place] = {}
        self.default: str | None = None

    def remember(self, place: Place) -> Place:
        if len(self.by_id) >= REMEMBERED:
            self.by_id.clear()
            self.by_number.clear()
        self.by_id[place.id] = self.by_number[place.number] = place
        return place


_known: WeakKeyDictionary[Workspace, dict[str, _Known]] = WeakKeyDictionary()


async def of_number(call: Call, number: str) -> Place:
    """The experiment that MLflow's clients call by a number.

    Raises:
        Refusal: there is none, or it is no number.
    """
    found = (await of_numbers(call, [number])).get(number)
    if found is None:
        raise missing(f"No Experiment with id={number.strip()} exists")
    return found


async def of_numbers(call: Call, numbers: Sequence[str]) -> dict[str, Place]:
    """The experiments that MLflow's clients call by some numbers; of those there are.

    Raises:
        Refusal: one is no number.
    """
    known = await _of(call)
    found = {number: known.by_number[number] for number in numbers if number in known.by_number}
    counted = {number: experiment_number(number) for number in numbers if number not in found}
    if not counted:
        return found
    given = list(counted.values())
    records = await asyncio.to_thread(
        details.numbered, call.workspace, call.scope, project_of(call), "experiment", given
    )
    ids = {record.id for record in records} - {known.default}
    if 0 in given and known.default is not None:
        ids.add(known.default)
    places = {int(place.number): place for place in (await _learn(call, known, ids)).values()}
    return {**found, **{number: places[at] for number, at in counted.items() if at in places}}


async def of_ids(call: Call, ids: set[str]) -> dict[str, Place]:
    """Experiments by their ids here."""
    known = await _of(call)
    found = {record: known.by_id[record] for record in ids if record in known.by_id}
    return {**found, **await _learn(call, known, ids - found.keys())}


async def _of(call: Call) -> _Known:
    projects = _known.setdefault(call.workspace, {})
    known = projects.get(project_of(call))
    if known is None or known.default is None:
        known = known or _Known()
        known.default = await _default(call)
        projects[project_of(call)] = known
    return known


async def _default(call: Call) -> str | None:
    """The id of experiment 0, which is made when it is first asked for, as MLflow's server makes it when it starts."""
    project = project_of(call)
    try:
        found = await asyncio.to_thread(othernames.find, call.workspace, call.scope, project, _DEFAULT)
    except NotFound as error:
        if error.field != "name":  # the project
            raise
    else:
        return found.record
    first: list[Any] = [
        CreateExperiment(name=DEFAULT_EXPERIMENT),
        GiveName(
            system=_DEFAULT.system, name=_DEFAULT.name, record=f"experiment:{DEFAULT_EXPERIMENT}"
        ),
    ]  # fmt: skip
    try:
        made = await call.commit(batch.run(call.workspace, call.scope, project, Batch(commands=first)))
    except Denied:  # a reader finds none
        return None
    return str(made.results[0].id)


async def _learn(call: Call, known: _Known, ids: set[str]) -> dict[str, Place]:
    ids = {one for one in ids if kept.is_id(one)}
    if not ids:
        return {}
    common = (call.workspace, call.scope, project_of(call))
    found = await asyncio.to_thread(details.by_ids, *common, "experiment", sorted(ids))
    about = await asyncio.to_thread(details.of, *common, found, FACET)
    learnt = {}
    for experiment, one in zip(found, about, strict=True):
        number = DEFAULT_EXPERIMENT_ID if experiment.id == known.default else str(one.number)
        said = kept.about(one.facets).get("artifact_location")
        learnt[experiment.id] = known.remember(Place(experiment.id, number, artifact_location(number, said)))
    return learnt

"""Logged models as other operations find them."""

from __future__ import annotations

import asyncio

from muniment.model.errors import Gone, NotFound
from muniment.model.mlflow import FACET, model_id, version_id
from muniment_server.api.mlflow.routes import numbers
from muniment_server.api.mlflow.translate import logged as translate
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.wire.exchange import project_of
from muniment_server.api.mlflow.wire.refusals import Refusal, missing
from muniment_server.api.routing import Call
from muniment_server.services import registry
from muniment_server.services.registry import Version


async def place_of(call: Call, found: Version) -> Place:
    """The experiment of a logged model."""
    experiment = translate.said_of(found).experiment
    place = (await numbers.of_ids(call, {experiment})).get(experiment)
    if place is None:  # a facet that the door did not write may name one that is not there
        raise none(model_id(found.version.id))
    return place


async def find(call: Call, model: str, *, deleted: bool = False) -> Version | None:
    """A logged model, if there is one of this id; `deleted` finds deleted ones, too."""
    record = version_id(model)
    if record is None:
        return None
    try:
        found = await asyncio.to_thread(
            registry.by_id, call.workspace, call.scope, project_of(call), record, FACET
        )  # fmt: skip
    except (NotFound, Gone):
        return None
    there = deleted or (found.version.lifecycle, found.model.lifecycle) == ("active", "active")
    return found if there and translate.is_logged(found.details.facets.get(FACET)) else None


async def read(call: Call, model: str, *, deleted: bool = False) -> Version:
    """A logged model, or the refusal that says there is none."""
    found = await find(call, model, deleted=deleted)
    if found is None:
        raise none(model)
    return found


async def check(call: Call, model: str) -> str:
    """The id of the record that a logged model is, without reading what was measured of it.

    Raises:
        Refusal: there is no such logged model.
    """
    record = record_of(model)
    said = await asyncio.to_thread(registry.facet_of, call.workspace, call.scope, project_of(call), record, FACET)
    if not translate.is_logged(said):
        raise none(model)
    return record


def none(model: str) -> Refusal:
    """What is answered where there is no logged model of an id."""
    return missing(f"Logged model with ID '{model}' not found.")


def record_of(model: str) -> str:
    """The id of the record that a logged model is."""
    record = version_id(model)
    if record is None:
        raise none(model)
    return record


def source_run(found: Version) -> str:
    """The run that is said to have made a logged model; empty if none is."""
    return translate.said_of(found).source_run_id


async def location(call: Call, found: Version) -> str:
    """Where a logged model's artifacts are."""
    return translate.artifact_uri(await place_of(call, found), model_id(found.version.id))

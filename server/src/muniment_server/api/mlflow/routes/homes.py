"""Runs and logged models as the homes of artifacts: which record a path is of, and where its artifacts are said to be.

What has been found once is remembered: neither a run nor a logged model ever changes its experiment.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

import msgspec

from muniment.model.errors import Gone, InvalidInput, NotFound
from muniment.model.mlflow import FACET, FAMILY_TAG, model_id
from muniment.model.model import ModelVersion
from muniment.model.run import Run
from muniment_server.api.mlflow.routes import numbers
from muniment_server.api.mlflow.translate import artifacts as translate
from muniment_server.api.mlflow.translate import kept
from muniment_server.api.mlflow.translate import runs as spelling
from muniment_server.api.mlflow.wire.exchange import project_of
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.routing import Call
from muniment_server.services import details, folders, records
from muniment_server.services.workspace import Workspace

REMEMBERED = 50_000
"""Homes that are remembered of a store."""
_LAYOUT = (
    "this server keeps the artifacts of runs and logged models: {experiment id}/{run id}/artifacts/… and "
    "{experiment id}/models/{model id}/artifacts/…"
)


class Home(msgspec.Struct, frozen=True):
    """A run or a logged model.

    Attributes:
        record: its id here.
        of_model: whether it is a logged model.
        addresses: of its artifacts; clients are told the first.
    """

    record: str
    of_model: bool
    addresses: tuple[str, ...]

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"logged model {model_id(self.record)}" if self.of_model else f"run {self.record}"

    def is_deleted(self) -> Refusal:
        """What is answered to a change of it, if it is deleted."""
        return invalid(f"The {self.name} must be in the 'active' state. Current state is deleted.")

    def is_here(self) -> str:
        """Where its artifacts are, if they are here.

        Raises:
            Refusal: they lie elsewhere, where clients go themselves.
        """
        if translate.inside(self.addresses[0]) is None:
            raise invalid(
                f"The artifacts of {self.name} lie at {self.addresses[0]}, which this server does not read; clients "
                "with access to that place list and read them there."
            )
        return self.addresses[0]


_known: WeakKeyDictionary[Workspace, dict[tuple[str, str], Home]] = WeakKeyDictionary()


async def of_path(call: Call, path: str) -> tuple[Home, str]:
    """(the home whose artifact a path is, where it is among them).

    Raises:
        Refusal: there is none, or the path is not one by which this server gives it out.
    """
    spot = translate.spot(path)
    if spot is None:
        raise missing(f"No such artifact: '{path}'; {_LAYOUT}")
    home = await of_record(call, spot.record, of_model=spot.of_model)
    if spot.root not in {translate.inside(uri) for uri in home.addresses}:
        raise missing(f"No such artifact: '{path}'; {home.name} is not of experiment {spot.before}")
    return home, spot.rest


async def of_record(call: Call, record: str, *, of_model: bool = False) -> Home:
    """A run or a logged model by its id here.

    Raises:
        Refusal: there is none.
    """
    homes = _known.setdefault(call.workspace, {})
    key = (project_of(call), record)
    home = homes.get(key) or await _found(call, record)
    if home is None or home.of_model != of_model:
        what = f"Logged model with ID '{model_id(record)}'" if of_model else f"Run with id={record}"
        raise missing(f"{what} not found")
    if len(homes) >= REMEMBERED:
        homes.clear()
    homes[key] = home
    return home


async def _found(call: Call, record: str) -> Home | None:
    where = (call.workspace, call.scope, project_of(call))
    try:
        found = await asyncio.to_thread(folders.holder, *where, record)
    except (NotFound, Gone, InvalidInput):
        return None
    if isinstance(found, Run):
        experiment: str | None = found.experiment
    elif isinstance(found, ModelVersion):
        family = await asyncio.to_thread(records.tags_of, *where, found.model)
        experiment = family.tags.get(FAMILY_TAG)
    else:
        experiment = None
    if experiment is None:  # what is registered has no artifacts of its own there
        return None
    (about,) = await asyncio.to_thread(details.of, *where, [found], FACET)
    said = kept.about(about.facets).get("artifact_uri")
    place = (await numbers.of_ids(call, {experiment})).get(experiment)
    if place is None:
        return None
    if isinstance(found, Run):
        derived = spelling.artifact_uri(place, record)
    else:
        derived = f"{place.artifacts.rstrip('/')}/models/{model_id(record)}/artifacts"
    addresses = (said, derived) if said else (derived,)
    return Home(record, isinstance(found, ModelVersion), addresses)

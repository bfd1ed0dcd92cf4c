"""What runs read and wrote: datasets and logged models."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from muniment.model.batch import SetTags
from muniment.model.errors import Conflict, Gone, NotFound
from muniment.model.mlflow import FACET, version_id
from muniment.model.search import PAGE_LIMIT, Query
from muniment_server.api.mlflow.routes import numbers
from muniment_server.api.mlflow.routes.runs import commit, read, refused, run_of
from muniment_server.api.mlflow.translate import filters
from muniment_server.api.mlflow.translate.inputs import new_input
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.translate.runs import OUTPUT, USED
from muniment_server.api.mlflow.wire import checks
from muniment_server.api.mlflow.wire.exchange import Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import INT64, STRING, STRINGS, many, one
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.routing import Call
from muniment_server.policy.access import Permission
from muniment_server.services import details, inputs, search

_HISTORY = "mlflow.log-model.history"
_OF_MODEL = frozenset(("artifact_path", "flavors", "run_id", "utc_time_created"))
EXPERIMENTS_LIMIT, SUMMARIES_LIMIT = 20, 1_000
"""Experiments in one question about datasets, and datasets in its answer."""


async def log_inputs(call: Call, given: Given) -> dict[str, Any]:
    """Say which datasets and logged models a run used."""
    checks.check_run_id(given.get("run_id", ""))
    run = run_of(given)
    every = [new_input(item) for item in given.get("datasets", [])]
    first = {
        (item.dataset.name, item.version.digest): item for item in reversed(every)
    }  # of two alike the first counts
    new = [*reversed(first.values())]
    models = {_model(item): {"model_id": item["model_id"]} for item in given.get("models", [])}
    await _commit(call, run, inputs.log(call.workspace, call.scope, project_of(call), run, new, models, USED))
    return {}


def _model(given: dict[str, Any]) -> str:
    said = given.get("model_id", "")
    found = version_id(said)
    if found is None:
        raise missing(f"Logged model with ID '{said}' not found.")
    return found


async def log_outputs(call: Call, given: Given) -> dict[str, Any]:
    """Say which logged models a run wrote, and at which step."""
    run = run_of(given)
    made = {_model(item): item for item in given["models"]}
    if len(made) != len(given["models"]):
        raise Refusal("BAD_REQUEST", "A model is given twice; a run writes a model once.")
    steps = {model: {"model_id": item["model_id"], "step": item.get("step", 0)} for model, item in made.items()}
    await _commit(call, run, inputs.log_models(call.workspace, call.scope, project_of(call), run, steps, OUTPUT))
    return {}


async def log_model(call: Call, given: Given) -> dict[str, Any]:
    """Say which model a run wrote, as clients did before there were logged models: it is added to a tag."""
    text = given["model_json"]
    try:
        said = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        raise invalid(f"Malformed model info. \n {text} \n is not a valid JSON.") from None
    missing_fields = sorted(_OF_MODEL - set(said if isinstance(said, dict) else ()))
    if missing_fields:
        raise invalid(f"Model json is missing mandatory fields: {{{', '.join(map(repr, missing_fields))}}}")
    run = run_of(given)
    found = await read(call, run)
    try:
        known = msgspec.json.decode(found.tags.get(_HISTORY, "[]"))
    except ValueError:
        known = []
    kept = {name: said.get(name) for name in ("run_id", "artifact_path", "utc_time_created", "model_uuid", "flavors")}
    history = json.dumps([*(known if isinstance(known, list) else []), kept])
    await commit(call, run, SetTags(run=run, tags={_HISTORY: history}))
    return {}


async def _commit(call: Call, run: str, change: Any) -> None:
    try:
        await call.commit(change)
    except (NotFound, Gone, Conflict) as error:
        if error.field == "models":
            raise missing("A logged model that the request names is not there.") from None
        raise await refused(call, run, error, {}) from None


async def search_datasets(call: Call, given: Given) -> dict[str, Any]:
    """The datasets that runs of some experiments used, each once with its context."""
    asked = given.get("experiment_ids", [])
    if not asked:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(asked) > EXPERIMENTS_LIMIT:
        raise invalid(
            f"SearchDatasets request cannot specify more than {EXPERIMENTS_LIMIT} experiment_ids. "
            f"Received {len(asked)} experiment_ids."
        )
    found: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for number in dict.fromkeys(asked):
        try:
            place = await numbers.of_number(call, number)
        except Refusal as refusal:
            if refusal.status == 404:
                continue
            raise
        await _datasets_of(call, place, found)
    summaries = [found[key] for key in sorted(found)][:SUMMARIES_LIMIT]
    return {"dataset_summaries": summaries} if summaries else {}


async def _datasets_of(call: Call, place: Place, found: dict[tuple[str, str, str, str], dict[str, str]]) -> None:
    where = f"experiment = {filters.quoted(place.id)} AND dataset.name LIKE '%'"
    query = Query(where=where, limit=PAGE_LIMIT, columns=[])
    page = await asyncio.to_thread(search.search, call.workspace, call.scope, project_of(call), query)
    ids = [data.run.id for data in page.runs]
    about = await asyncio.to_thread(details.of_runs, call.workspace, call.scope, project_of(call), ids, FACET)
    for used in (used for run in about for used in run.datasets):
        digest = used.version.digest or used.version.version
        summary = {"experiment_id": place.number, "name": used.dataset.name, "digest": digest}
        if used.role:
            summary["context"] = used.role
        found[place.number, used.dataset.name, digest, used.role] = summary


_DATASET = one(
    name=STRING, digest=STRING, source_type=STRING, source=STRING, schema=STRING, profile=STRING
)  # fmt: skip
ENDPOINTS = [
    Endpoint(
        method="POST", path="/runs/log-inputs", handler=log_inputs, permission=Permission.WRITE,
        message={
            "run_id": STRING, "datasets": many(tags=many(key=STRING, value=STRING), dataset=_DATASET),
            "models": many(model_id=STRING),
        },
        checks=(("run_id", ("required", "string")), ("datasets", ("array",)), ("models", ("array",))),
    ),
    Endpoint(
        method="POST", path="/runs/outputs", handler=log_outputs, permission=Permission.WRITE,
        message={"run_id": STRING, "models": many(model_id=STRING, step=INT64)},
        checks=(("run_id", ("required", "string")), ("models", ("required", "array"))),
    ),
    Endpoint(
        method="POST", path="/runs/log-model", handler=log_model, permission=Permission.WRITE,
        message={"run_id": STRING, "model_json": STRING},
        checks=(("run_id", ("string", "required")), ("model_json", ("string", "required"))),
    ),
    Endpoint(
        method="POST", path="/experiments/search-datasets", handler=search_datasets, permission=Permission.READ,
        message={"experiment_ids": STRINGS}, prefixes=("/ajax-api/2.0/mlflow",),
    ),
]  # fmt: skip

"""Experiments."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from muniment.model.batch import (
    COMMANDS_LIMIT,
    Batch,
    DeleteRecord,
    RestoreRecord,
    SetRecordTags,
    UpdateExperiment,
    UpdateRun,
)
from muniment.model.errors import Conflict, InvalidInput, NotFound
from muniment.model.experiment import Experiment, NewExperiment
from muniment.model.mlflow import FACET
from muniment.model.search import PAGE_LIMIT, Page, Query
from muniment_server.api.mlflow.routes import numbers
from muniment_server.api.mlflow.translate import experiments as translate
from muniment_server.api.mlflow.translate import filters
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.wire import checks
from muniment_server.api.mlflow.wire.exchange import Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import INT64, STRING, STRINGS, enum, many
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.routing import Call
from muniment_server.policy.access import Permission
from muniment_server.services import batch, details, experiments, search

VIEWS = enum("ACTIVE_ONLY", "DELETED_ONLY", "ALL")
LIFECYCLES = {"ACTIVE_ONLY": "active", "DELETED_ONLY": "deleted", "ALL": "any"}
TAG = many(key=STRING, value=STRING)
LISTED_LIMIT = 50_000
"""Experiments in one page."""
_ID = ("experiment_id", ("required", "string"))


async def create_experiment(call: Call, given: Given) -> dict[str, str]:
    """Create an experiment."""
    name, tags = given["name"], {tag.get("key", ""): tag.get("value", "") for tag in given.get("tags", [])}
    checks.check_experiment_name(name)
    for key, value in tags.items():
        checks.check_record_tag(key, value, checks.EXPERIMENT_TAG_LIMIT)
    await numbers.of_ids(call, set())  # experiment 0 comes first
    location = given.get("artifact_location")
    if location:
        checks.check_location(location)
    try:
        made = await call.commit(
            experiments.create_first(
                call.workspace, call.scope, project_of(call), NewExperiment(name=name), tags,
                {FACET: {"artifact_location": location}} if location else {},
            )
        )  # fmt: skip
    except Conflict:
        raise Refusal("RESOURCE_ALREADY_EXISTS", f"Experiment(name={name}) already exists.") from None
    return {"experiment_id": (await numbers.of_ids(call, {made.id}))[made.id].number}


async def get_experiment(call: Call, given: Given) -> dict[str, Any]:
    """One experiment by its number."""
    place = await numbers.of_number(call, given["experiment_id"])
    return {"experiment": await _whole(call, place.id)}


async def get_experiment_by_name(call: Call, given: Given) -> dict[str, Any]:
    """One experiment by its name."""
    name = given["experiment_name"]
    await numbers.of_ids(call, set())
    try:
        found = await asyncio.to_thread(experiments.get, call.workspace, call.scope, project_of(call), name)
    except NotFound:
        found = None
    if found is None or found.name != name:  # an id is no name
        raise missing(f"Could not find experiment with name '{name}'")
    return {"experiment": await _whole(call, found.id)}


async def _whole(call: Call, record: str) -> dict[str, Any]:
    found = await asyncio.to_thread(experiments.get, call.workspace, call.scope, project_of(call), record)
    return (await _listed(call, [found]))[0]


async def _listed(call: Call, found: list[Experiment]) -> list[dict[str, Any]]:
    about = await asyncio.to_thread(details.of, call.workspace, call.scope, project_of(call), found, FACET)
    places = await numbers.of_ids(call, {experiment.id for experiment in found})
    return [
        translate.to_mlflow(experiment, one, places[experiment.id].number, project_of(call))
        for experiment, one in zip(found, about, strict=True)
    ]


async def search_experiments(call: Call, given: Given) -> dict[str, Any]:
    """Experiments that match a filter."""
    limit = given.get("max_results", 0)
    if not 0 < limit <= LISTED_LIMIT:
        bound = "a positive integer" if limit <= 0 else f"at most {LISTED_LIMIT}"
        raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied. It must be {bound}")
    await numbers.of_ids(call, set())
    query = Query(
        kind="experiment",
        where=await _where(call, given.get("filter", "")),
        order_by=filters.experiment_order(given.get("order_by", [])),
        limit=min(limit, PAGE_LIMIT),
        page=given.get("page_token") or None,
        lifecycle=LIFECYCLES[given.get("view_type", "ACTIVE_ONLY")],  # type: ignore[arg-type]
    )
    page = await searched(call, query)
    answer: dict[str, Any] = {}
    if page.experiments:
        answer["experiments"] = await _listed(call, page.experiments)
    if page.next is not None:
        answer["next_page_token"] = page.next
    return answer


async def searched(call: Call, query: Query) -> Page:
    """A page of answers, or MLflow's refusal of its token."""
    with paging():
        return await asyncio.to_thread(search.search, call.workspace, call.scope, project_of(call), query)


@contextmanager
def paging() -> Iterator[None]:
    """MLflow's refusal of a page's token, where ours would come."""
    try:
        yield
    except InvalidInput as error:
        if error.field == "page":
            raise invalid("Invalid page token, could not base64-decode") from None
        raise


async def _where(call: Call, text: str) -> str:
    """The filter in our own language, in which experiments go by their ids."""
    clauses = filters.parse_experiments(text)
    meant = {}
    for clause in clauses:
        if clause.key == "experiment_id":
            meant[clause.value] = await _meant(call, str(clause.value))
    return filters.where(clauses, meant)


async def _meant(call: Call, number: str) -> str:
    try:
        return (await numbers.of_number(call, number)).id
    except Refusal:
        return "0" * 32


async def update_experiment(call: Call, given: Given) -> dict[str, Any]:
    """Rename an experiment."""
    name = given["new_name"]
    checks.check_experiment_name(name)
    place = await numbers.of_number(call, given["experiment_id"])
    found = await asyncio.to_thread(experiments.get, call.workspace, call.scope, project_of(call), place.id)
    if found.lifecycle != "active":
        raise Refusal("INVALID_STATE", "Cannot rename a non-active experiment.", 400)
    try:
        await _do(call, UpdateExperiment(experiment=place.id, name=name))
    except Conflict:
        raise Refusal("RESOURCE_ALREADY_EXISTS", f"Experiment(name={name}) already exists.") from None
    return {}


async def delete_experiment(call: Call, given: Given) -> dict[str, Any]:
    """Delete an experiment with its runs; it can be restored, and its name stays taken."""
    return await _move(call, given, "active", "deleted")


async def restore_experiment(call: Call, given: Given) -> dict[str, Any]:
    """Restore an experiment with its runs."""
    return await _move(call, given, "deleted", "active")


async def _move(call: Call, given: Given, before: str, after: str) -> dict[str, Any]:
    """Delete or restore an experiment. Its runs go first: whoever was cut off between them sends the request again."""
    place = await numbers.of_number(call, given["experiment_id"])
    found = await asyncio.to_thread(experiments.get, call.workspace, call.scope, project_of(call), place.id)
    if found.lifecycle != before:
        raise missing(f"No Experiment with id={place.number} exists")
    await _set_runs(call, place.id, before, after)
    await _do(call, DeleteRecord(record=place.id) if after == "deleted" else RestoreRecord(record=place.id))
    await _set_runs(call, place.id, before, after)  # those that were started meanwhile
    return {}


async def _set_runs(call: Call, experiment: str, before: str, after: str) -> None:
    """Delete or restore an experiment's runs, some thousand at a time."""
    query = Query(
        where=f"experiment = '{experiment}'", lifecycle=before, limit=COMMANDS_LIMIT, columns=[]  # type: ignore[arg-type]
    )  # fmt: skip
    while True:
        page = await asyncio.to_thread(search.search, call.workspace, call.scope, project_of(call), query)
        if not page.runs:
            return
        await _do(call, *(UpdateRun(run=found.run.id, lifecycle=after) for found in page.runs))  # type: ignore[arg-type]


async def set_experiment_tag(call: Call, given: Given) -> dict[str, Any]:
    """Set a tag of an experiment."""
    key, value = given["key"], given.get("value", "")
    checks.check_record_tag(key, value, checks.EXPERIMENT_TAG_LIMIT)
    place = await numbers.of_number(call, given["experiment_id"])
    await _tag(call, place, {key: value})
    return {}


async def delete_experiment_tag(call: Call, given: Given) -> dict[str, Any]:
    """Remove a tag of an experiment."""
    place = await numbers.of_number(call, given["experiment_id"])
    done = await _tag(call, place, {given["key"]: None})
    if not done.results[0].changed:
        raise missing(f"No tag with name: {given['key']} in experiment with id {place.number}")
    return {}


async def _tag(call: Call, place: Place, tags: dict[str, str | None]) -> Any:
    try:
        return await _do(call, SetRecordTags(record=place.id, tags=tags))
    except Conflict:
        raise invalid(
            f"The experiment {place.number} must be in the 'active' state. Current state is deleted."
        ) from None


async def _do(call: Call, *commands: Any) -> Any:
    given = Batch(commands=list(commands))
    return await call.commit(batch.run(call.workspace, call.scope, project_of(call), given))


_SEARCH = {
    "max_results": INT64, "page_token": STRING, "filter": STRING, "order_by": STRINGS, "view_type": VIEWS,
}  # fmt: skip
_SEARCHED: Any = (
    ("view_type", ("integer",)), ("max_results", ("integer",)), ("order_by", ("array",)), ("filter", ("string",)),
    ("page_token", ("string",)),
)  # fmt: skip

ENDPOINTS = [
    Endpoint(
        method="POST", path="/experiments/create", handler=create_experiment, permission=Permission.WRITE,
        message={"name": STRING, "artifact_location": STRING, "tags": TAG},
        checks=(("name", ("required", "string")), ("artifact_location", ("string",)), ("tags", ("array",))),
    ),
    Endpoint(
        method="GET", path="/experiments/get", handler=get_experiment, permission=Permission.READ,
        message={"experiment_id": STRING}, checks=(_ID,),
    ),
    Endpoint(
        method="GET", path="/experiments/get-by-name", handler=get_experiment_by_name, permission=Permission.READ,
        message={"experiment_name": STRING}, checks=(("experiment_name", ("required", "string")),),
    ),
    Endpoint(
        method="POST", path="/experiments/search", handler=search_experiments, permission=Permission.READ,
        message=_SEARCH, checks=_SEARCHED,
    ),
    Endpoint(
        method="GET", path="/experiments/search", handler=search_experiments, permission=Permission.READ,
        message=_SEARCH, checks=_SEARCHED,
    ),
    Endpoint(
        method="POST", path="/experiments/update", handler=update_experiment, permission=Permission.WRITE,
        message={"experiment_id": STRING, "new_name": STRING}, checks=(_ID, ("new_name", ("string", "required"))),
    ),
    Endpoint(
        method="POST", path="/experiments/delete", handler=delete_experiment, permission=Permission.WRITE,
        message={"experiment_id": STRING}, checks=(_ID,),
    ),
    Endpoint(
        method="POST", path="/experiments/restore", handler=restore_experiment, permission=Permission.WRITE,
        message={"experiment_id": STRING}, checks=(_ID,),
    ),
    Endpoint(
        method="POST", path="/experiments/set-experiment-tag", handler=set_experiment_tag, permission=Permission.WRITE,
        message={"experiment_id": STRING, "key": STRING, "value": STRING},
        checks=(_ID, ("key", ("required", "string")), ("value", ("string",))),
    ),
    Endpoint(
        method="POST", path="/experiments/delete-experiment-tag", handler=delete_experiment_tag,
        permission=Permission.WRITE, message={"experiment_id": STRING, "key": STRING},
        checks=(_ID, ("key", ("required", "string"))),
    ),
]  # fmt: skip

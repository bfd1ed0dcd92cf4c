"""Runs: start, change, end, params, tags, search."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec

from muniment.model.batch import Batch, LogParams, SetTags, UpdateRun
from muniment.model.errors import Conflict, Gone, MunimentError, NotFound
from muniment.model.mlflow import FACET, RUN_NAME
from muniment.model.run import RunData
from muniment.model.search import PAGE_LIMIT, Query
from muniment_server.api.mlflow.routes import numbers
from muniment_server.api.mlflow.routes.experiments import LIFECYCLES, TAG, VIEWS, paging
from muniment_server.api.mlflow.translate import filters
from muniment_server.api.mlflow.translate import runs as translate
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.wire import checks
from muniment_server.api.mlflow.wire.exchange import Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import INT32, INT64, STRING, STRINGS, enum
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.routing import Call, Sent
from muniment_server.policy.access import Permission
from muniment_server.services import batch, runs, snapshots

PAGE = 1_000
"""Runs in a page if nobody says how many."""
PAGES_LIMIT = 50_000
_RUN_ID = re.compile(r"[0-9a-f]{32}\Z")


def is_run(text: str) -> bool:
    """Whether a text can be the id of a run."""
    return _RUN_ID.match(text) is not None


def run_of(given: Given) -> str:
    """The id of the run that a request is about.

    Raises:
        Refusal: it can be none.
    """
    run = str(given.get("run_id") or given.get("run_uuid") or "")
    if not _RUN_ID.match(run):
        raise missing(f"Run with id={run} not found")
    return run


async def create_run(call: Call, given: Given) -> dict[str, Any]:
    """Start a run."""
    tags = {tag.get("key", ""): tag.get("value", "") for tag in given.get("tags", [])}
    if len(tags) != len(given.get("tags", [])):
        raise Refusal("BAD_REQUEST", "A tag is given twice; a run has one value of each.")
    name, by_tag = given.get("run_name"), tags.get(RUN_NAME)
    if name and by_tag and name != by_tag:
        raise invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{name}', mlflow.runName='{by_tag}')."
        )
    place = await numbers.of_number(call, given.get("experiment_id") or "0")
    new = translate.new_run(given, tags, place.id, await _parent(call, tags))
    try:
        run = await call.commit(runs.create(call.workspace, call.scope, project_of(call), new))
    except Conflict:
        raise invalid(
            f"The experiment {place.number} must be in the 'active' state. Current state is deleted."
        ) from None
    whole = translate.to_mlflow(snapshots.of_new(run, new.tags), place)
    del whole["outputs"]
    return {"run": whole}


async def _parent(call: Call, tags: dict[str, str]) -> str | None:
    """The run that a run says it is nested in, if there is such a run; the tag is kept in any case."""
    parent = translate.parent_of(tags)
    if parent is None or not _RUN_ID.match(parent):
        return None
    try:
        await asyncio.to_thread(runs.get, call.workspace, call.scope, project_of(call), parent)
    except (NotFound, Gone):
        return None
    return parent


async def get_run(call: Call, given: Given) -> dict[str, Any]:
    """A run with its params, tags, latest metrics, inputs and outputs."""
    run = run_of(given)
    try:
        found = await asyncio.to_thread(snapshots.get, call.workspace, call.scope, project_of(call), run, FACET)
    except (NotFound, Gone):
        raise _no_run(run) from None
    experiment = found.data.run.experiment
    place = (await numbers.of_ids(call, {experiment}))[experiment]
    return {"run": translate.to_mlflow(found, place)}


def _no_run(run: str) -> Refusal:
    return missing(f"Run with id={run} not found")


async def read(call: Call, run: str) -> RunData:
    """A run, or the refusal that says there is none."""
    try:
        return await asyncio.to_thread(runs.get, call.workspace, call.scope, project_of(call), run)
    except (NotFound, Gone):
        raise _no_run(run) from None


async def update_run(call: Call, given: Given) -> dict[str, Any]:
    """Change a run: its name, its status, its end."""
    run = run_of(given)
    change = translate.change(given)
    done = await commit(
        call, run, SetTags(run=run, tags={}), UpdateRun(run=run, **_said(change))
    )  # the first refuses if it is deleted
    made = done.results[1]
    place = (await numbers.of_ids(call, {made.experiment}))[made.experiment]
    return {"run_info": translate.info(made, place)}


def _said(change: Any) -> dict[str, Any]:
    return {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not msgspec.UNSET}


async def delete_run(call: Call, given: Given) -> dict[str, Any]:
    """Delete a run; it can be restored."""
    run = run_of(given)
    await commit(call, run, UpdateRun(run=run, lifecycle="deleted"))
    return {}


async def restore_run(call: Call, given: Given) -> dict[str, Any]:
    """Restore a run that was deleted."""
    run = run_of(given)
    await commit(call, run, UpdateRun(run=run, lifecycle="active"))
    return {}


async def log_param(call: Call, given: Given) -> dict[str, Any]:
    """Log one param."""
    key = given["key"]
    value = checks.checked_param(key, given.get("value", ""))
    run = run_of(given)
    try:
        await call.commit(runs.log_params(call.workspace, call.scope, project_of(call), run, {key: value}))
    except (NotFound, Gone, Conflict) as error:
        refusal = await refused(call, run, error, {key: value})
        if refusal.code == "INVALID_PARAMETER_VALUE" and isinstance(error, Conflict) and "already" in refusal.message:
            known = (await read(call, run)).params[key]
            raise invalid(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                f"value='{known}' for run ID='{run}'. Attempted logging new value '{value}'."
            ) from None
        raise refusal from None
    return {}


async def set_tag(call: Call, given: Given) -> dict[str, Any]:
    """Set a tag of a run."""
    key, value = given["key"], given.get("value", "")
    value = checks.checked_tag(key, value)
    run = run_of(given)
    await commit(call, run, *tagging(run, {key: value}))
    return {}


def tagging(run: str, tags: dict[str, str]) -> list[Any]:
    """The commands that set tags; one of them is the run's name."""
    commands: list[Any] = [SetTags(run=run, tags={key: tags[key] for key in tags if key != RUN_NAME})]
    if tags.get(RUN_NAME):
        commands.append(UpdateRun(run=run, name=tags[RUN_NAME]))
    return commands


async def delete_tag(call: Call, given: Given) -> dict[str, Any]:
    """Remove a tag of a run. Its name stays."""
    key, run = given["key"], run_of(given)
    if key == RUN_NAME:
        await commit(call, run, SetTags(run=run, tags={}))
        return {}
    done = await commit(call, run, SetTags(run=run, tags={key: None}))
    if not done.results[0].changed:
        raise missing(f"No tag with name: {key} in run with id {run}")
    return {}


async def commit(call: Call, run: str, *commands: Any) -> Any:
    """Carry out commands about a run, all of them or none.

    Raises:
        Refusal: in MLflow's words.
    """
    params = {key: value for one in commands if isinstance(one, LogParams) for key, value in one.params.items()}
    try:
        return await call.commit(
            batch.run(call.workspace, call.scope, project_of(call), Batch(commands=list(commands)))
        )
    except (NotFound, Gone, Conflict) as error:
        raise await refused(call, run, error, params) from None


async def refused(call: Call, run: str, error: MunimentError, params: dict[str, Any]) -> Refusal:
    """What MLflow's server says where we say something else: the run is not there, deleted, or has the params."""
    try:
        found = await asyncio.to_thread(runs.get, call.workspace, call.scope, project_of(call), run)
    except (NotFound, Gone):
        return _no_run(run)
    if found.run.lifecycle != "active":
        return invalid(f"The run {run} must be in the 'active' state. Current state is deleted.")
    other = [
        {"key": key, "old_value": found.params[key], "new_value": value}
        for key, value in params.items()
        if found.params.get(key, value) != value
    ]
    if other:
        return invalid(
            f"Changing param values is not allowed. Params were already logged='{other}' for run ID='{run}'."
        )
    raise error


async def search_runs(call: Call, given: Given) -> Sent | dict[str, Any]:
    """Runs that match a filter, in order."""
    limit = given.get("max_results", PAGE)
    if limit < 1:
        raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer")
    clauses = filters.parse(given.get("filter", ""), filters.RUNS)
    order = filters.run_order(given.get("order_by", []))
    places = await numbers.of_numbers(call, given.get("experiment_ids", []))
    if not places:  # an experiment that is not there has no runs
        return {}
    query = Query(
        where=filters.where(clauses, places=list(places.values())), order_by=order, limit=min(limit, PAGE_LIMIT),
        page=given.get("page_token") or None,
        lifecycle=LIFECYCLES[given.get("run_view_type", "ACTIVE_ONLY")],  # type: ignore[arg-type]
    )  # fmt: skip
    with paging():
        return await asyncio.to_thread(_found, call, query, {place.id: place for place in places.values()}, limit)


def _found(call: Call, query: Query, places: dict[str, Place], limit: int) -> Sent:
    """The answer to a search, page by page of our own until there are enough."""
    common, within = (call.workspace, call.scope, project_of(call)), sorted(places)
    made: list[dict[str, Any]] = []
    while True:
        found, token = snapshots.find(*common, query, within, FACET)
        made += [translate.to_mlflow(one, places[one.data.run.experiment]) for one in found]
        if token is None or len(made) >= limit:
            break
        query = msgspec.structs.replace(query, page=token, limit=min(limit - len(made), PAGE_LIMIT))
    answer: dict[str, Any] = {"runs": made} if made else {}
    if token is not None:
        answer["next_page_token"] = token
    return Sent(200, msgspec.json.encode(answer))


_STATUS = enum("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_RUN = {"run_id": STRING, "run_uuid": STRING}
_NAMED = ("run_id", ("required", "string"))


ENDPOINTS = [
    Endpoint(
        method="POST", path="/runs/create", handler=create_run, permission=Permission.WRITE,
        message={
            "experiment_id": STRING, "user_id": STRING, "run_name": STRING, "start_time": INT64, "tags": TAG,
        },
        checks=(("experiment_id", ("string",)), ("start_time", ("integer",)), ("run_name", ("string",))),
    ),
    Endpoint(method="GET", path="/runs/get", handler=get_run, permission=Permission.READ, message=_RUN,
             checks=(_NAMED,)),
    Endpoint(
        method="POST", path="/runs/update", handler=update_run, permission=Permission.WRITE,
        message={**_RUN, "status": _STATUS, "end_time": INT64, "run_name": STRING},
        checks=(_NAMED, ("end_time", ("integer",)), ("status", ("string",)), ("run_name", ("string",))),
    ),
    Endpoint(method="POST", path="/runs/delete", handler=delete_run, permission=Permission.WRITE,
             message={"run_id": STRING}, checks=(_NAMED,)),
    Endpoint(method="POST", path="/runs/restore", handler=restore_run, permission=Permission.WRITE,
             message={"run_id": STRING}, checks=(_NAMED,)),
    Endpoint(
        method="POST", path="/runs/log-parameter", handler=log_param, permission=Permission.WRITE,
        message={**_RUN, "key": STRING, "value": STRING},
        checks=(_NAMED, ("key", ("required", "string")), ("value", ("string",))),
    ),
    Endpoint(
        method="POST", path="/runs/set-tag", handler=set_tag, permission=Permission.WRITE,
        message={**_RUN, "key": STRING, "value": STRING},
        checks=(_NAMED, ("key", ("required", "string")), ("value", ("string",))),
    ),
    Endpoint(
        method="POST", path="/runs/delete-tag", handler=delete_tag, permission=Permission.WRITE,
        message={"run_id": STRING, "key": STRING}, checks=(_NAMED, ("key", ("required", "string"))),
    ),
    Endpoint(
        method="POST", path="/runs/search", handler=search_runs, permission=Permission.READ,
        message={
            "experiment_ids": STRINGS, "filter": STRING, "run_view_type": VIEWS, "max_results": INT32,
            "order_by": STRINGS, "page_token": STRING,
        },
        checks=(
            ("experiment_ids", ("array",)), ("filter", ("string",)),
            ("max_results", ("integer", lambda limit: int(limit) <= PAGES_LIMIT)),
            ("order_by", ("array", "strings")),
        ),
    ),
]  # fmt: skip

"""Logged models: what a run or a program has logged, before anyone registers it."""

from __future__ import annotations

import asyncio
from typing import Any

from muniment.model.errors import Conflict, Gone, InvalidInput, MunimentError, NotFound
from muniment.model.ids import new_id
from muniment.model.mlflow import FACET, FAMILY_TAG, family_name, model_id
from muniment.model.model import NewModel, NewModelVersion
from muniment.model.run import RunChange
from muniment.model.search import Query
from muniment_server.api.mlflow.routes import numbers, runs
from muniment_server.api.mlflow.routes.experiments import TAG
from muniment_server.api.mlflow.routes.models import check, find, location, none, place_of, read
from muniment_server.api.mlflow.routes.registry import everything, paged, tag
from muniment_server.api.mlflow.translate import filters, loggedfilters, mlmodel
from muniment_server.api.mlflow.translate import logged as translate
from muniment_server.api.mlflow.translate.artifacts import files, is_safe, plain
from muniment_server.api.mlflow.translate.kept import STATUSES
from muniment_server.api.mlflow.wire.exchange import Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import BOOL, INT32, STRING, STRINGS, enum, many
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.routing import Call
from muniment_server.language.parser import LIST_LIMIT
from muniment_server.policy.access import Permission
from muniment_server.services import artifacts, experiments, facets, folders, models, records, registry
from muniment_server.services import runs as run_cases
from muniment_server.services.registry import Version

PAGE = 100
"""Models in a page if nobody says how many."""
_STATUS = enum(*STATUSES, first=0)


async def create_logged_model(call: Call, given: Given) -> dict[str, Any]:
    """Begin a logged model. Its files come next, and then it is finalized."""
    record = new_id()
    name = given.get("name") or f"model-{record[-8:]}"
    translate.check_name(name)
    params, tags = translate.once(given.get("params", []), "param"), translate.once(given.get("tags", []), "tag")
    place = await numbers.of_number(call, given["experiment_id"])
    experiment = await asyncio.to_thread(experiments.get, call.workspace, call.scope, project_of(call), place.id)
    if experiment.lifecycle != "active":
        raise invalid(f"The experiment {place.number} must be in the 'active' state. Current state is deleted.")
    source_run_id = given.get("source_run_id", "")
    said = translate.document(
        name=name, model_type=given.get("model_type", ""), experiment=place.id, source_run_id=source_run_id,
        params=params,
    )  # fmt: skip
    new = NewModelVersion(
        id=record, run=await known_run(call, source_run_id), uri=translate.artifact_uri(place, model_id(record)),
    )  # fmt: skip
    await call.commit(
        registry.add_version(
            call.workspace, call.scope, project_of(call), NewModel(name=family_name(place.id, name)), new,
            tags=tags, documents={FACET: said}, owner_tags={FAMILY_TAG: place.id},
        )
    )  # fmt: skip
    return await _answer(call, model_id(record))


async def known_run(call: Call, run: str) -> str | None:
    """The run, if there is one to which something may be linked."""
    try:
        found = (await runs.read(call, runs.run_of({"run_id": run}))).run
    except Refusal:
        return None
    return found.id if found.lifecycle == "active" else None


async def _answer(call: Call, model: str, *, deleted: bool = False) -> dict[str, Any]:
    found = await read(call, model, deleted=deleted)
    return {"model": translate.to_mlflow(found, await place_of(call, found))}


async def of_run(call: Call, run: str, name: str) -> Version | None:
    """The youngest logged model of a run that is called so."""
    try:
        run = runs.run_of({"run_id": run})
    except Refusal:
        return None
    told = [one for one in await _of_run(call, run) if translate.said_of(one).name == name]
    return told[-1] if told else None


async def _of_run(call: Call, run: str) -> list[Version]:
    """The logged models of a run, oldest first."""
    query = Query(kind="model_version", where=f"run = '{run}' AND model.lifecycle = 'active'", order_by=["position"])
    found = await everything(call, query, "model_versions")
    told = await asyncio.to_thread(registry.versions, call.workspace, call.scope, project_of(call), found, FACET)
    return [one for one in told if translate.is_logged(one.details.facets.get(FACET))]


async def get_logged_model(call: Call, given: Given) -> dict[str, Any]:
    """One logged model by its id."""
    return await _answer(call, call.path["model_id"], deleted=given.get("allow_deleted") == "true")


async def finalize_logged_model(call: Call, given: Given) -> dict[str, Any]:
    """Say what became of a logged model; of one that is ready its files are read for what they say of it."""
    model, status = call.path["model_id"], given.get("status", "")
    if not status:  # a status that is none is read as if it were not there
        raise invalid(f"Invalid value for 'status': it must be one of {', '.join(STATUSES)}.")
    found = await read(call, model)
    await _change(
        call, model,
        facets.amend(
            call.workspace, call.scope, project_of(call), found.version.id, FACET,
            lambda said, at: translate.with_status(said, status, at),
        ),
    )  # fmt: skip
    if status == translate.READY:
        await _complete(call, found)
    return await _answer(call, model)


async def _change(call: Call, model: str, change: Any) -> Any:
    try:
        return await call.commit(change)
    except (NotFound, Gone, Conflict):
        raise none(model) from None
    except InvalidInput as error:
        raise Refusal("BAD_REQUEST", error.message) from None


async def _complete(call: Call, found: Version) -> None:
    """Fill in what the files of a logged model say of it, and of what it was made in."""
    record, project = found.version.id, project_of(call)
    kept = await _files(call, record)
    if not kept:
        return
    small = {}
    for name in mlmodel.FILES:
        artifact = kept.get(name)
        if artifact is not None and artifact.size <= mlmodel.SIZE_LIMIT:
            chunks = artifacts.content(call.workspace, artifact, 0, artifact.size)
            small[name] = b"".join([chunk async for chunk in chunks])
    told = await asyncio.to_thread(mlmodel.read, small)
    digest = mlmodel.digest({path: artifact.digest for path, artifact in kept.items()})
    for said in ({"signature": told.signature}, {"framework": told.framework}, {"digest": digest}):
        try:
            await call.commit(models.complete_version(call.workspace, call.scope, project, record, **said))
        except MunimentError:  # it was finalized before with other files, and what a version says is said once
            continue
    if found.version.run is not None and told.environment is not None:
        data = await runs.read(call, found.version.run)
        if data.run.environment is None and data.run.lifecycle == "active":
            change = RunChange(environment=told.environment)
            await call.commit(run_cases.update(call.workspace, call.scope, project, data.run.id, change))


async def _files(call: Call, record: str) -> dict[str, Any]:
    """The artifacts of a logged model by their paths."""
    found: dict[str, Any] = {}
    after = ""
    while True:
        page = await asyncio.to_thread(
            artifacts.of_record, call.workspace, call.scope, project_of(call), record, after=after
        )
        found.update((item.path, item.artifact) for item in page.artifacts)
        if page.next is None:
            return found
        after = page.next


async def delete_logged_model(call: Call, given: Given) -> dict[str, Any]:
    """Delete a logged model."""
    del given
    found = await read(call, call.path["model_id"], deleted=True)
    await call.commit(records.delete(call.workspace, call.scope, project_of(call), found.version.id))
    return {}


async def set_logged_model_tags(call: Call, given: Given) -> dict[str, Any]:
    """Set tags of a logged model."""
    record = await check(call, call.path["model_id"])
    tags: dict[str, str | None] = {item.get("key", ""): item.get("value", "") for item in given.get("tags", [])}
    if tags:
        await tag(call, record, tags)
    return {}


async def delete_logged_model_tag(call: Call, given: Given) -> dict[str, Any]:
    """Remove a tag of a logged model."""
    del given
    model, key = call.path["model_id"], call.path["tag_key"]
    found = await read(call, model)
    if key not in found.details.tags:
        raise missing(f"No tag with key {key!r} found for model with ID {model!r}.")
    await tag(call, found.version.id, {key: None})
    return {}


async def log_logged_model_params(call: Call, given: Given) -> dict[str, Any]:
    """Log params of a logged model."""
    model = call.path["model_id"]
    record = await check(call, model)
    params = translate.once(given.get("params", []), "param")
    if params:
        await _change(
            call, model,
            facets.amend(
                call.workspace, call.scope, project_of(call), record, FACET,
                lambda said, at: translate.with_params(said, params),  # noqa: ARG005 - the time does not matter
            ),
        )  # fmt: skip
    return {}


async def list_logged_model_artifacts(call: Call, given: Given) -> dict[str, Any]:
    """What is in a folder of a logged model's files."""
    path = given.get("artifact_directory_path", "")
    if not is_safe(path):
        raise invalid("Invalid path")
    found, folder = await read(call, call.path["model_id"]), plain(path)
    entries = await asyncio.to_thread(
        folders.entries, call.workspace, call.scope, project_of(call), found.version.id, folder
    )  # fmt: skip
    return {"root_uri": await location(call, found), **files(entries, f"{folder}/" if folder else "")}


async def search_logged_models(call: Call, given: Given) -> dict[str, Any]:
    """Logged models that match a filter, in order.

    All logged models of the experiments are read with their metrics and decided upon here, unless the filter says of
    which run they are, or which one it is: some ten thousand in an experiment are the limit of what is quick.
    """
    limit = given.get("max_results", 0) or PAGE
    if limit < 0:
        raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer")
    clauses = loggedfilters.parse(given.get("filter", ""))
    datasets = [
        loggedfilters.Dataset(said.get("dataset_name", ""), said.get("dataset_digest", ""))
        for said in given.get("datasets", [])
    ]
    if not all(data.name for data in datasets):
        raise invalid("`dataset_name` in the `datasets` clause must be specified.")
    places = {}
    for number in given["experiment_ids"]:
        try:
            place = await numbers.of_number(call, number)
        except Refusal as refusal:
            if refusal.status != 404:  # an experiment that is not there has no models
                raise
            continue
        places[place.id] = place
    found = [
        loggedfilters.asked(one, places[translate.said_of(one).experiment])
        for one in await _candidates(call, clauses, list(places))
    ]
    matching = [model for model in found if loggedfilters.meets(model, clauses, datasets)]
    order = loggedfilters.ordered(matching, given.get("order_by", []))
    page, token = paged(order, given.get("page_token") or None, limit)
    answer: dict[str, Any] = {}
    if page:
        answer["models"] = [
            translate.to_mlflow(model.found, places[translate.said_of(model.found).experiment]) for model in page
        ]
    if token is not None:
        answer["next_page_token"] = token
    return answer


async def _candidates(call: Call, clauses: list[filters.Clause], among: list[str]) -> list[Version]:
    """Logged models of some experiments, all that a filter may hold for."""
    if not among:
        return []
    model, run = loggedfilters.narrowed(clauses, "model_id"), loggedfilters.narrowed(clauses, "source_run_id")
    known = None if run is None else await known_run(call, run)
    if model is not None:
        one = await find(call, model)
        found = [] if one is None else [one]
    elif known is not None:
        found = await _of_run(call, known)
    else:
        families = []
        for start in range(0, len(among), LIST_LIMIT):
            texts = ", ".join(map(filters.quoted, among[start : start + LIST_LIMIT]))
            query = Query(kind="model", where=f"tags.`{FAMILY_TAG}` IN ({texts})")
            families.extend(await everything(call, query, "models"))
        found = await asyncio.to_thread(
            registry.active_versions, call.workspace, call.scope, project_of(call), families, FACET
        )  # fmt: skip
    return [
        one
        for one in found
        if translate.is_logged(one.details.facets.get(FACET)) and translate.said_of(one).experiment in among
    ]


_ONE, _ID = "/logged-models/{model_id}", ("model_id", ("string", "required"))
_PARAMS = many(key=STRING, value=STRING)

ENDPOINTS = [
    Endpoint(
        method="POST", path="/logged-models", handler=create_logged_model, permission=Permission.WRITE,
        message={
            "experiment_id": STRING, "name": STRING, "model_type": STRING, "source_run_id": STRING, "params": _PARAMS,
            "tags": TAG,
        },
        checks=(
            ("experiment_id", ("string", "required")), ("name", ("string",)), ("model_type", ("string",)),
            ("source_run_id", ("string",)), ("params", ("array",)), ("tags", ("array",)),
        ),
    ),
    Endpoint(
        method="POST", path="/logged-models/search", handler=search_logged_models, permission=Permission.READ,
        message={
            "experiment_ids": STRINGS, "filter": STRING, "max_results": INT32, "page_token": STRING,
            "datasets": many(dataset_name=STRING, dataset_digest=STRING),
            "order_by": many(field_name=STRING, ascending=BOOL, dataset_name=STRING, dataset_digest=STRING),
        },
        checks=(
            ("experiment_ids", ("array", "strings", "required")), ("filter", ("string",)), ("datasets", ("array",)),
            ("max_results", ("integer",)), ("order_by", ("array",)), ("page_token", ("string",)),
        ),
    ),
    Endpoint(
        method="GET", path=_ONE, handler=get_logged_model, permission=Permission.READ,
        message={"allow_deleted": STRING},
    ),
    Endpoint(
        method="PATCH", path=_ONE, handler=finalize_logged_model, permission=Permission.WRITE,
        message={"model_id": STRING, "status": _STATUS}, checks=(_ID, ("status", ("required",))),
    ),
    Endpoint(method="DELETE", path=_ONE, handler=delete_logged_model, permission=Permission.WRITE),
    Endpoint(
        method="PATCH", path=f"{_ONE}/tags", handler=set_logged_model_tags, permission=Permission.WRITE,
        message={"tags": TAG}, checks=(("tags", ("array",)),),
    ),
    Endpoint(
        method="DELETE", path=f"{_ONE}/tags/{{tag_key}}", handler=delete_logged_model_tag,
        permission=Permission.WRITE,
    ),
    Endpoint(
        method="POST", path=f"{_ONE}/params", handler=log_logged_model_params, permission=Permission.WRITE,
        message={"model_id": STRING, "params": _PARAMS}, checks=(_ID, ("params", ("array",))),
    ),
    Endpoint(
        method="GET", path=f"{_ONE}/artifacts/directories", handler=list_logged_model_artifacts,
        permission=Permission.READ, message={"artifact_directory_path": STRING},
    ),
]  # fmt: skip

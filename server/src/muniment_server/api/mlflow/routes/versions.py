"""Versions of registered models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from muniment.model.errors import NotFound
from muniment.model.ids import new_id
from muniment.model.mlflow import FACET
from muniment.model.model import ModelVersion, ModelVersionChange, NewModel, NewModelVersion
from muniment.model.search import PAGE_LIMIT, Query
from muniment_server.api.mlflow.routes import logged, numbers, runs
from muniment_server.api.mlflow.routes import models as loggedmodels
from muniment_server.api.mlflow.routes.experiments import TAG, searched
from muniment_server.api.mlflow.routes.registry import (
    asked,
    done,
    everything,
    paged,
    record_tags,
    sorted_by,
    tag,
)
from muniment_server.api.mlflow.translate import kept, registryfilters, sources
from muniment_server.api.mlflow.translate import registry as translate
from muniment_server.api.mlflow.translate.registryfilters import IS_PROMPT
from muniment_server.api.mlflow.translate.runs import artifact_uri
from muniment_server.api.mlflow.wire import checks
from muniment_server.api.mlflow.wire.exchange import Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import BOOL, INT64, STRING, STRINGS
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid, missing
from muniment_server.api.routing import Call
from muniment_server.policy.access import Permission
from muniment_server.services import details, models, registry
from muniment_server.services.references import LATEST
from muniment_server.services.registry import Version

PAGE, PAGES_LIMIT = 10_000, 200_000
"""Versions in a page if nobody says how many, and at the most."""
_COLUMNS = {"version": "version", "created": "created_at", "changed": "position"}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version comes from, after all has been looked up.

    Attributes:
        source: as it is kept.
        run_id: of the run that made it; empty if that is not known.
        model_id: of the logged model that it is a version of; empty if it is of none.
        storage: where its files are.
        version: the version here that it was made from.
    """

    source: str
    run_id: str = ""
    model_id: str = ""
    storage: str
    version: Version | None = None


async def create_model_version(call: Call, given: Given) -> dict[str, Any]:
    """Register a version of a model."""
    tags = {item.get("key", ""): item.get("value", "") for item in given.get("tags", [])}
    is_prompt = tags.get(IS_PROMPT, "").lower() == "true"
    source = given["source"]
    if is_prompt and source not in sources.PROMPTS:
        raise invalid(f"Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder.")
    sources.check_host(source)
    origin = Origin(source=source, run_id=given.get("run_id", ""), storage=source)
    if not is_prompt:
        origin = await _origin(call, given)
    name, tags = translate.check_name(given["name"]), record_tags(given)
    made_from = None if origin.version is None else origin.version.version
    run = await logged.known_run(call, origin.run_id)
    new = NewModelVersion(
        id=new_id(), run=run, uri=origin.source, description=given.get("description", ""), **_content(made_from),
    )  # fmt: skip
    said = translate.document(
        run_id=origin.run_id, run_link=given.get("run_link", ""), model_id=origin.model_id, known_run=run is not None,
        storage=origin.storage if origin.storage != origin.source else "",
    )  # fmt: skip
    mention = None
    if origin.model_id and made_from is not None:
        make: Callable[[str | None, int], str] = partial(translate.mention, name)
        mention = registry.Mention(
            record=loggedmodels.record_of(origin.model_id), key=translate.MODEL_VERSIONS, make=make
        )
    made = await done(
        call, name,
        registry.add_version(
            call.workspace, call.scope, project_of(call), NewModel(name=name), new, tags=tags,
            documents={FACET: said} if said else {}, mention=mention,
            derived_from=None if made_from is None else made_from.id,
        ),
    )  # fmt: skip
    return await _answer(call, name, made.version)


def _content(before: ModelVersion | None) -> dict[str, Any]:
    """What a version says of itself as the one does that it was made from."""
    if before is None:
        return {}
    return {"digest": before.digest, "signature": before.signature, "framework": before.framework}


async def _origin(call: Call, given: Given) -> Origin:
    """Where a version comes from that is said to come from somewhere."""
    source, run, model = given["source"], given.get("run_id", ""), given.get("model_id", "")
    storage, before = source, None
    if sources.scheme_of(source) == "models":
        said = sources.of_model(source)
        if said.model_id is None:
            before = await _before(call, given, said)
            source, storage = f"models:/{said.name}/{before.version.version}", translate.download_uri(before)
            known = kept.about(before.details.facets)
            run = run or translate.version(before)["run_id"]
            model = model or known.get("model_id", "")
    found = await loggedmodels.find(call, model) if model else None
    sources.check(source, run, model, await _root(call, source, run, found, model))
    if model and found is None:
        raise loggedmodels.none(model)
    if found is not None:
        run = run or loggedmodels.source_run(found)
        if sources.scheme_of(source) == "models" and before is None:
            storage = await loggedmodels.location(call, found)
    elif sources.scheme_of(source) == "runs":
        found = await logged.of_run(call, run, sources.path_of(source))
    return Origin(source=source, run_id=run, model_id=model, storage=storage, version=before or found)


async def _before(call: Call, given: Given, said: sources.Source) -> Version:
    """The registered version that a source means."""
    name = translate.check_name(said.name)
    found = await _meant(call, name, said)
    if found.details.tags.get(IS_PROMPT, "").lower() == "true":
        raise invalid(
            f"Invalid model version source: '{given['source']}'. Prompt versions cannot be used as model version "
            "sources."
        )
    model = kept.about(found.details.facets).get("model_id", "")
    known = {"run_id": translate.version(found)["run_id"], "model_id": model}
    if any(field in given and given[field] != value for field, value in known.items()):
        raise invalid(
            f"Invalid model version source: '{given['source']}'. The run_id and model_id request parameters must match "
            "the referenced model version."
        )
    return found


async def _meant(call: Call, name: str, said: sources.Source) -> Version:
    if said.stage is not None:
        model = await asked(call, name, registry.named)
        stage = translate.stage(said.stage)
        (standing,) = await asyncio.to_thread(
            registry.standing, call.workspace, call.scope, project_of(call), [model], FACET
        )  # fmt: skip
        found = next((one for one in standing.youngest if one.version.stage == stage), None)
        if found is None:
            raise missing(f"No versions of model with name '{name}' and stage '{said.stage}' found")
        return found
    wanted: int | str = LATEST if said.alias is None else said.alias
    if said.version is not None:
        wanted = translate.number(said.version)
    try:
        return await asked(call, name, registry.version, wanted, FACET)
    except NotFound:
        if said.alias is not None:
            raise invalid(f"Registered model alias {said.alias} not found.") from None
        raise translate.no_version(name, said.version or LATEST) from None


async def _root(call: Call, source: str, run: str, found: Version | None, model: str) -> str | None:
    """Where the artifacts of the model or run lie that a source must lie in, if it must."""
    if sources.scheme_of(source) != "mlflow-artifacts":
        return None
    if model:
        return None if found is None else await loggedmodels.location(call, found)
    try:
        data = await runs.read(call, runs.run_of({"run_id": run}))
    except Refusal:
        return None
    place = (await numbers.of_ids(call, {data.run.experiment}))[data.run.experiment]
    (about,) = await asyncio.to_thread(
        details.of_runs, call.workspace, call.scope, project_of(call), [data.run.id], FACET
    )  # fmt: skip
    return str(kept.about(about.facets).get("artifact_uri") or artifact_uri(place, data.run.id))


async def _answer(call: Call, name: str, number: int) -> dict[str, Any]:
    found = await _version(call, name, str(number))
    return {"model_version": translate.version(found)}


async def _version(call: Call, name: str, number: str) -> Version:
    """A version, or the refusal that says there is none."""
    wanted = translate.number(number)
    try:
        return await asyncio.to_thread(
            registry.version, call.workspace, call.scope, project_of(call), translate.check_name(name), wanted, FACET
        )
    except NotFound as error:
        if error.field not in {"model", "version"}:
            raise
        raise translate.no_version(name, wanted) from None


async def get_model_version(call: Call, given: Given) -> dict[str, Any]:
    """One version of a model."""
    return {"model_version": translate.version(await _version(call, given["name"], given["version"]))}


async def update_model_version(call: Call, given: Given) -> dict[str, Any]:
    """Change what is said of a version."""
    found = await _version(call, given["name"], given["version"])
    number = found.version.version
    change = ModelVersionChange(description=given.get("description"))
    await call.commit(
        models.update_version(call.workspace, call.scope, project_of(call), found.model.id, str(number), change)
    )
    return await _answer(call, found.model.name, number)


async def transition_model_version_stage(call: Call, given: Given) -> dict[str, Any]:
    """Move a version to a stage, and archive the others there if that is asked for."""
    stage, archive = translate.stage(given["stage"]), given.get("archive_existing_versions", False)
    if archive and stage not in {"staging", "production"}:
        raise invalid(
            f"Model version transition cannot archive existing model versions because '{given['stage']}' is not an "
            f"Active stage. Valid stages are {list(translate.ACTIVE_STAGES)}"
        )
    found = await _version(call, given["name"], given["version"])
    name, number = found.model.name, found.version.version
    await call.commit(
        registry.set_stage(call.workspace, call.scope, project_of(call), name, number, stage, archive=archive)
    )
    return await _answer(call, name, number)


async def delete_model_version(call: Call, given: Given) -> dict[str, Any]:
    """Delete a version; aliases that mean it end."""
    found = await _version(call, given["name"], given["version"])
    await call.commit(
        registry.end_version(
            call.workspace, call.scope, project_of(call), found.model.name, found.version.version
        )
    )  # fmt: skip
    return {}


async def get_model_version_download_uri(call: Call, given: Given) -> dict[str, Any]:
    """Where the files of a version are."""
    found = await _version(call, given.get("name", ""), given.get("version", ""))
    return {"artifact_uri": translate.download_uri(found)}


async def set_model_version_tag(call: Call, given: Given) -> dict[str, Any]:
    """Set a tag of a version."""
    key, value = given["key"], given.get("value", "")
    translate.number(given["version"])
    checks.check_record_tag(key, value, checks.REGISTRY_TAG_LIMIT)
    await tag(call, (await _version(call, given["name"], given["version"])).version.id, {key: value})
    return {}


async def delete_model_version_tag(call: Call, given: Given) -> dict[str, Any]:
    """Remove a tag of a version, if it has it."""
    checks.check_key(given["key"], "key")
    await tag(call, (await _version(call, given["name"], given["version"])).version.id, {given["key"]: None})
    return {}


async def search_model_versions(call: Call, given: Given) -> dict[str, Any]:
    """Versions that match a filter.

    In an order by names, or by numbers over several models, all that match are read to be sorted.
    """
    limit = given.get("max_results", PAGE)
    if limit < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {limit}")
    where, clauses = registryfilters.of_versions(given.get("filter", ""))
    order = registryfilters.version_order(given.get("order_by", []))
    one_model = any((clause.key, clause.op) == ("model.name", "=") for clause in clauses)
    page_token, query = given.get("page_token") or None, Query(kind="model_version", where=where)
    if one_model or order[0].name in {"created", "changed"}:
        keys = [key for key in order if key.name != "name"]
        columns = [f"{_COLUMNS[key.name]} {'DESC' if key.descending else 'ASC'}" for key in keys]
        found, token = await _page(call, msgspec.structs.replace(query, order_by=columns), limit, page_token)
        told = await _told(call, found)
    else:
        every = await _told(call, await everything(call, query, "model_versions"))
        told, token = paged(sorted_by(every, order, _KEYS), page_token, limit)
    answer: dict[str, Any] = {}
    if told:
        answer["model_versions"] = [translate.version(one) for one in told]
    if token is not None:
        answer["next_page_token"] = token
    return answer


_KEYS: dict[str, Callable[[Version], Any]] = {
    "name": lambda one: one.model.name,
    "version": lambda one: one.version.version,
    "created": lambda one: one.version.created_at,
    "changed": lambda one: one.version.position,
}


async def _told(call: Call, found: list[ModelVersion]) -> list[Version]:
    return await asyncio.to_thread(registry.versions, call.workspace, call.scope, project_of(call), found, FACET)


async def _page(call: Call, query: Query, limit: int, token: str | None) -> tuple[list[ModelVersion], str | None]:
    """As many as are asked for, in pages of as many as a search gives."""
    found: list[ModelVersion] = []
    query = msgspec.structs.replace(query, page=token, limit=min(limit, PAGE_LIMIT))
    while True:
        page = await searched(call, query)
        found.extend(page.model_versions)
        if page.next is None or len(found) >= limit:
            return found, page.next
        query = msgspec.structs.replace(query, page=page.next, limit=min(limit - len(found), PAGE_LIMIT))


_NAME = ("name", ("string", "required"))
_VERSION = ("version", ("string", "required"))
_KEY = ("key", ("string", "required"))
_ONE: Any = {"message": {"name": STRING, "version": STRING}, "checks": (_NAME, _VERSION)}

ENDPOINTS = [
    Endpoint(
        method="POST", path="/model-versions/create", handler=create_model_version, permission=Permission.WRITE,
        message={
            "name": STRING, "source": STRING, "run_id": STRING, "tags": TAG, "run_link": STRING, "description": STRING,
            "model_id": STRING,
        },
        checks=(
            _NAME, ("source", ("string", "required")), ("run_id", ("string",)), ("tags", ("array",)),
            ("run_link", ("string",)), ("description", ("string",)), ("model_id", ("string",)),
        ),
    ),
    Endpoint(
        method="GET", path="/model-versions/get", handler=get_model_version, permission=Permission.READ, **_ONE,
    ),
    Endpoint(
        method="PATCH", path="/model-versions/update", handler=update_model_version, permission=Permission.WRITE,
        message={"name": STRING, "version": STRING, "description": STRING},
        checks=(_NAME, _VERSION, ("description", ("string",))),
    ),
    Endpoint(
        method="POST", path="/model-versions/transition-stage", handler=transition_model_version_stage,
        permission=Permission.WRITE,
        message={"name": STRING, "version": STRING, "stage": STRING, "archive_existing_versions": BOOL},
        checks=(_NAME, _VERSION, ("stage", ("string", "required")), ("archive_existing_versions", ("bool",))),
    ),
    Endpoint(
        method="DELETE", path="/model-versions/delete", handler=delete_model_version, permission=Permission.WRITE,
        **_ONE,
    ),
    Endpoint(
        method="GET", path="/model-versions/get-download-uri", handler=get_model_version_download_uri,
        permission=Permission.READ, message={"name": STRING, "version": STRING},
    ),
    Endpoint(
        method="POST", path="/model-versions/set-tag", handler=set_model_version_tag, permission=Permission.WRITE,
        message={"name": STRING, "version": STRING, "key": STRING, "value": STRING},
        checks=(_NAME, _VERSION, _KEY, ("value", ("string",))),
    ),
    Endpoint(
        method="DELETE", path="/model-versions/delete-tag", handler=delete_model_version_tag,
        permission=Permission.WRITE, message={"name": STRING, "version": STRING, "key": STRING},
        checks=(_NAME, _VERSION, _KEY),
    ),
    Endpoint(
        method="GET", path="/model-versions/search", handler=search_model_versions, permission=Permission.READ,
        message={"filter": STRING, "max_results": INT64, "order_by": STRINGS, "page_token": STRING},
        checks=(
            ("filter", ("string",)), ("max_results", ("integer", lambda limit: int(limit) <= PAGES_LIMIT)),
            ("order_by", ("array", "strings")), ("page_token", ("string",)),
        ),
    ),
]  # fmt: skip

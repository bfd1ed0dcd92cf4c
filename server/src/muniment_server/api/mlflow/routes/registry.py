"""Registered models, and the aliases of their versions."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from muniment.model.errors import Conflict, NotFound
from muniment.model.mlflow import FACET
from muniment.model.model import Model, ModelChange, NewModel
from muniment.model.search import PAGE_LIMIT, Query
from muniment_server.api.mlflow.routes.experiments import TAG, searched
from muniment_server.api.mlflow.translate import registry as translate
from muniment_server.api.mlflow.translate import registryfilters
from muniment_server.api.mlflow.translate.registryfilters import Key
from muniment_server.api.mlflow.wire import checks
from muniment_server.api.mlflow.wire.exchange import Endpoint, Given, project_of
from muniment_server.api.mlflow.wire.message import INT64, STRING, STRINGS
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid
from muniment_server.api.routing import Call
from muniment_server.policy.access import Permission
from muniment_server.services import models, records, registry, search
from muniment_server.services.references import LATEST
from muniment_server.services.registry import Standing

T = TypeVar("T")
PAGE, PAGES_LIMIT = 100, 1_000
"""Models in a page if nobody says how many, and at the most."""
_OFFSET = b"after:"


async def create_registered_model(call: Call, given: Given) -> dict[str, Any]:
    """Register a model."""
    name, tags = translate.check_name(given["name"]), record_tags(given)
    new = NewModel(name=name, description=given.get("description") or None)
    try:
        made = await call.commit(registry.register(call.workspace, call.scope, project_of(call), new, tags, {}))
    except Conflict:
        raise _taken(name) from None
    return await _answer(call, made)


def record_tags(given: Given) -> dict[str, str]:
    """The tags of a request about the registry; of a tag that is given twice the later."""
    tags = {tag.get("key", ""): tag.get("value", "") for tag in given.get("tags", [])}
    for key, value in tags.items():
        checks.check_record_tag(key, value, checks.REGISTRY_TAG_LIMIT)
    return tags


def _taken(name: str) -> Refusal:
    return Refusal("RESOURCE_ALREADY_EXISTS", f"Registered Model (name={name}) already exists.")


async def _answer(call: Call, model: Model) -> dict[str, Any]:
    (standing,) = await _standing(call, [model])
    return {"registered_model": translate.model(standing)}


async def _standing(call: Call, found: list[Model]) -> list[Standing]:
    return await asyncio.to_thread(registry.standing, call.workspace, call.scope, project_of(call), found, FACET)


async def asked(call: Call, name: str, function: Callable[..., T], *rest: Any) -> T:
    """What a use case that reads answers, or MLflow's words for a model that is not there."""
    try:
        return await asyncio.to_thread(function, call.workspace, call.scope, project_of(call), name, *rest)
    except NotFound as error:
        raise _none(error, name) from None


async def done(call: Call, name: str, change: Any) -> Any:
    """Carry out a change of a model."""
    try:
        return await call.commit(change)
    except NotFound as error:
        raise _none(error, name) from None


def _none(error: NotFound, name: str) -> Exception:
    return translate.no_model(name) if error.field == "model" else error


async def _named(call: Call, name: str) -> Model:
    return await asked(call, translate.check_name(name), registry.named)


async def get_registered_model(call: Call, given: Given) -> dict[str, Any]:
    """One model by its name."""
    return await _answer(call, await _named(call, given["name"]))


async def update_registered_model(call: Call, given: Given) -> dict[str, Any]:
    """Change what is said of a model."""
    found = await _named(call, given["name"])
    change = ModelChange(description=given.get("description") or None)
    made = await call.commit(models.update(call.workspace, call.scope, project_of(call), found.id, change))
    return await _answer(call, made)


async def rename_registered_model(call: Call, given: Given) -> dict[str, Any]:
    """Give a model another name."""
    name, new_name = given["name"], translate.check_name(given["new_name"], "new_name")
    translate.check_name(name)
    try:
        made = await done(
            call, name, registry.rename(call.workspace, call.scope, project_of(call), name, new_name)
        )  # fmt: skip
    except Conflict:
        raise _taken(new_name) from None
    return await _answer(call, made)


async def delete_registered_model(call: Call, given: Given) -> dict[str, Any]:
    """Delete a model with its versions; its name is free again."""
    name = translate.check_name(given["name"])
    await done(call, name, registry.retire(call.workspace, call.scope, project_of(call), name))
    return {}


async def search_registered_models(call: Call, given: Given) -> dict[str, Any]:
    """Models that match a filter. In the order of their last change all that match are read to be sorted."""
    limit = given.get("max_results", PAGE)
    if limit < 0:
        raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer")
    where, _ = registryfilters.of_models(given.get("filter", ""))
    order = registryfilters.model_order(given.get("order_by", []))
    page_token = given.get("page_token") or None
    if order[0].name == "name":
        query = Query(
            kind="model", where=where, order_by=[f"name {'DESC' if order[0].descending else 'ASC'}"], limit=limit,
            page=page_token,
        )  # fmt: skip
        page = await searched(call, query)
        found, token = page.models, page.next
    else:
        every = await everything(call, Query(kind="model", where=where), "models")
        changed = await asyncio.to_thread(registry.changed, call.workspace, call.scope, project_of(call), every)
        named: dict[str, Callable[[Model], Any]] = {
            "name": lambda model: model.name,
            "changed": lambda model: changed[model.id],
        }
        found, token = paged(sorted_by(every, order, named), page_token, limit)
    answer: dict[str, Any] = {}
    if found:
        standing = await _standing(call, found)
        answer["registered_models"] = [translate.model(translate.by_stage(one)) for one in standing]
    if token is not None and limit:
        answer["next_page_token"] = token
    return answer


async def everything(call: Call, query: Query, field: str) -> list[Any]:
    """All that a search finds."""
    query = msgspec.structs.replace(query, limit=PAGE_LIMIT)
    found: list[Any] = []
    while True:
        page = await asyncio.to_thread(search.search, call.workspace, call.scope, project_of(call), query)
        found.extend(getattr(page, field))
        if page.next is None:
            return found
        query = msgspec.structs.replace(query, page=page.next)


def sorted_by(found: list[T], order: list[Key], keys: dict[str, Callable[[T], Any]]) -> list[T]:
    """What was found in an order."""
    for key in reversed(order):
        found = sorted(found, key=keys[key.name], reverse=key.descending)
    return found


def paged(found: list[T], token: str | None, limit: int) -> tuple[list[T], str | None]:
    """A page of what is in order already, and the token of the next."""
    start = 0 if token is None else _offset(token)
    end = start + limit
    following = base64.urlsafe_b64encode(_OFFSET + str(end).encode()).decode() if end < len(found) else None
    return found[start:end], following


def _offset(token: str) -> int:
    try:
        decoded = base64.urlsafe_b64decode(token.encode())
    except (binascii.Error, ValueError):
        decoded = b""
    number = decoded.removeprefix(_OFFSET)
    if not decoded.startswith(_OFFSET) or not number.isdigit() or len(number) > 15:
        raise invalid("Invalid page token, could not base64-decode")
    return int(number)


async def get_latest_versions(call: Call, given: Given) -> dict[str, Any]:
    """The latest version in each stage, or in those that are asked for."""
    found = await _named(call, given["name"])
    stages = {translate.stage(stage) for stage in given.get("stages", [])}
    (standing,) = await _standing(call, [found])
    listed = [
        translate.version(version) for version in standing.youngest if not stages or version.version.stage in stages
    ]
    return {"model_versions": listed} if listed else {}


async def set_registered_model_tag(call: Call, given: Given) -> dict[str, Any]:
    """Set a tag of a model."""
    name, key, value = translate.check_name(given["name"]), given["key"], given.get("value", "")
    checks.check_record_tag(key, value, checks.REGISTRY_TAG_LIMIT)
    await tag(call, (await _named(call, name)).id, {key: value})
    return {}


async def delete_registered_model_tag(call: Call, given: Given) -> dict[str, Any]:
    """Remove a tag of a model, if it has it."""
    name = translate.check_name(given["name"])
    checks.check_key(given["key"], "key")
    await tag(call, (await _named(call, name)).id, {given["key"]: None})
    return {}


async def tag(call: Call, record: str, tags: dict[str, str | None]) -> Any:
    """Set tags of a record, or remove those that are null."""
    return await call.commit(records.set_tags(call.workspace, call.scope, project_of(call), record, tags))


async def set_registered_model_alias(call: Call, given: Given) -> dict[str, Any]:
    """Let an alias mean a version."""
    name, alias, number = translate.check_name(given["name"]), given["alias"], translate.number(given["version"])
    translate.check_free_alias(alias)
    try:
        found = await asyncio.to_thread(
            registry.version, call.workspace, call.scope, project_of(call), name, number, FACET
        )  # fmt: skip
    except NotFound:
        raise translate.no_version(name, given["version"]) from None
    await _alias(call, found.model.id, alias, str(number))
    return {}


async def _alias(call: Call, model: str, alias: str, version: str | None) -> None:
    await call.commit(models.set_alias(call.workspace, call.scope, project_of(call), model, alias, version))


async def delete_registered_model_alias(call: Call, given: Given) -> dict[str, Any]:
    """Let an alias mean nothing; one that means nothing stays so."""
    found, alias = await _named(call, given["name"]), given["alias"]
    translate.check_alias(alias)
    if alias != LATEST and not alias.isdigit():  # these never mean a version here by being aliases
        await _alias(call, found.id, alias, None)
    return {}


async def get_model_version_by_alias(call: Call, given: Given) -> dict[str, Any]:
    """The version that an alias means."""
    name, alias = translate.check_name(given["name"]), given["alias"]
    translate.check_alias(alias)
    wanted = LATEST if alias.lower() == LATEST else alias
    try:
        found = await asked(call, name, registry.version, wanted, FACET)
    except NotFound:
        if wanted == LATEST:
            raise Refusal("RESOURCE_DOES_NOT_EXIST", f"Latest version not found for model {name}.") from None
        raise invalid(f"Registered model alias {alias} not found.") from None
    return {"model_version": translate.version(found)}


_NAME = ("name", ("string", "required"))
_KEY = ("key", ("string", "required"))
_ALIAS = ("alias", ("string", "required"))
_LATEST: Any = {
    "path": "/registered-models/get-latest-versions", "handler": get_latest_versions, "permission": Permission.READ,
    "message": {"name": STRING, "stages": STRINGS}, "checks": (_NAME, ("stages", ("array", "strings"))),
}  # fmt: skip

ENDPOINTS = [
    Endpoint(
        method="POST", path="/registered-models/create", handler=create_registered_model,
        permission=Permission.WRITE, message={"name": STRING, "tags": TAG, "description": STRING},
        checks=(_NAME, ("tags", ("array",)), ("description", ("string",))),
    ),
    Endpoint(
        method="GET", path="/registered-models/get", handler=get_registered_model, permission=Permission.READ,
        message={"name": STRING}, checks=(_NAME,),
    ),
    Endpoint(
        method="PATCH", path="/registered-models/update", handler=update_registered_model,
        permission=Permission.WRITE, message={"name": STRING, "description": STRING},
        checks=(_NAME, ("description", ("string",))),
    ),
    Endpoint(
        method="POST", path="/registered-models/rename", handler=rename_registered_model,
        permission=Permission.WRITE, message={"name": STRING, "new_name": STRING},
        checks=(_NAME, ("new_name", ("string", "required"))),
    ),
    Endpoint(
        method="DELETE", path="/registered-models/delete", handler=delete_registered_model,
        permission=Permission.WRITE, message={"name": STRING}, checks=(_NAME,),
    ),
    Endpoint(
        method="GET", path="/registered-models/search", handler=search_registered_models,
        permission=Permission.READ,
        message={"filter": STRING, "max_results": INT64, "order_by": STRINGS, "page_token": STRING},
        checks=(
            ("filter", ("string",)), ("max_results", ("integer", lambda limit: int(limit) <= PAGES_LIMIT)),
            ("order_by", ("array", "strings")), ("page_token", ("string",)),
        ),
    ),
    Endpoint(method="GET", **_LATEST),
    Endpoint(method="POST", **_LATEST),
    Endpoint(
        method="POST", path="/registered-models/set-tag", handler=set_registered_model_tag,
        permission=Permission.WRITE, message={"name": STRING, "key": STRING, "value": STRING},
        checks=(_NAME, _KEY, ("value", ("string",))),
    ),
    Endpoint(
        method="DELETE", path="/registered-models/delete-tag", handler=delete_registered_model_tag,
        permission=Permission.WRITE, message={"name": STRING, "key": STRING}, checks=(_NAME, _KEY),
    ),
    Endpoint(
        method="POST", path="/registered-models/alias", handler=set_registered_model_alias,
        permission=Permission.WRITE, message={"name": STRING, "alias": STRING, "version": STRING},
        checks=(_NAME, _ALIAS, ("version", ("string", "required"))),
    ),
    Endpoint(
        method="DELETE", path="/registered-models/alias", handler=delete_registered_model_alias,
        permission=Permission.WRITE, message={"name": STRING, "alias": STRING}, checks=(_NAME, _ALIAS),
    ),
    Endpoint(
        method="GET", path="/registered-models/alias", handler=get_model_version_by_alias,
        permission=Permission.READ, message={"name": STRING, "alias": STRING}, checks=(_NAME, _ALIAS),
    ),
]  # fmt: skip

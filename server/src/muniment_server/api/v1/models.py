"""Models, their versions and aliases."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from muniment.model.model import (
    Model,
    ModelChange,
    ModelData,
    ModelVersion,
    ModelVersionChange,
    NewModel,
    NewModelVersion,
)
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import models

_ONE = "/v1/projects/{project}/models/{model}"
_VERSIONS = f"{_ONE}/versions"
_ALIAS = f"{_ONE}/aliases/{{alias}}"


class Meaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an alias shall mean: a version's number, or another alias of the model for the version that it means."""

    version: Annotated[int, msgspec.Meta(ge=1, lt=models.VERSION_LIMIT)] | str


async def create_model(call: Call) -> Model:
    """Create a model; one that exists with the same content is answered as it is."""
    return await call.commit(models.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_model(call: Call) -> ModelData:
    """One model with its versions and aliases, by id or name, now or as of the past."""
    return await asyncio.to_thread(
        models.get, call.workspace, call.scope, call.project, call.path["model"], call.query.as_of
    )


async def update_model(call: Call) -> Model:
    """Change a model; a rename keeps its id, versions and links."""
    return await call.commit(
        models.update(call.workspace, call.scope, call.project, call.path["model"], call.body, call.receipt)
    )


async def create_model_version(call: Call) -> ModelVersion:
    """Register a version; one with the same number and content is answered as it is."""
    return await call.commit(
        models.create_version(call.workspace, call.scope, call.project, call.path["model"], call.body, call.receipt)
    )


async def get_model_version(call: Call) -> ModelVersion:
    """One version of a model, by number, alias or `latest`, now or as of the past."""
    return await asyncio.to_thread(
        models.get_version,
        call.workspace, call.scope, call.project, call.path["model"], call.path["version"], call.query.as_of,
    )  # fmt: skip


async def update_model_version(call: Call) -> ModelVersion:
    """Change where a version stands; what it is never changes."""
    path = call.path
    return await call.commit(
        models.update_version(
            call.workspace, call.scope, call.project, path["model"], path["version"], call.body, call.receipt
        )
    )


async def set_model_alias(call: Call) -> models.AliasSet:
    """Let an alias mean a version from now on; the past keeps what it meant."""
    path, version = call.path, str(call.body.version)
    return await call.commit(
        models.set_alias(call.workspace, call.scope, call.project, path["model"], path["alias"], version, call.receipt)
    )


async def remove_model_alias(call: Call) -> models.AliasSet:
    """Let an alias mean nothing from now on."""
    path = call.path
    return await call.commit(
        models.set_alias(call.workspace, call.scope, call.project, path["model"], path["alias"], None, call.receipt)
    )


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/models", handler=create_model, permission=Permission.WRITE,
        body=NewModel, answer=Model, status=201,
    ),
    Route(method="GET", path=_ONE, handler=get_model, permission=Permission.READ, query=AsOf, answer=ModelData),
    Route(
        method="PATCH", path=_ONE, handler=update_model, permission=Permission.WRITE, body=ModelChange, answer=Model
    ),
    Route(
        method="POST", path=_VERSIONS, handler=create_model_version, permission=Permission.WRITE,
        body=NewModelVersion, answer=ModelVersion, status=201,
    ),
    Route(
        method="GET", path=f"{_VERSIONS}/{{version}}", handler=get_model_version, permission=Permission.READ,
        query=AsOf, answer=ModelVersion,
    ),
    Route(
        method="PATCH", path=f"{_VERSIONS}/{{version}}", handler=update_model_version, permission=Permission.WRITE,
        body=ModelVersionChange, answer=ModelVersion,
    ),
    Route(
        method="PUT", path=_ALIAS, handler=set_model_alias, permission=Permission.WRITE, body=Meaning,
        answer=models.AliasSet,
    ),
    Route(
        method="DELETE", path=_ALIAS, handler=remove_model_alias, permission=Permission.WRITE, answer=models.AliasSet
    ),
]  # fmt: skip

"""Datasets and their versions."""

from __future__ import annotations

import asyncio

from muniment.model.dataset import Dataset, DatasetChange, DatasetVersion, NewDataset, NewDatasetVersion
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import datasets

_ONE = "/v1/projects/{project}/datasets/{dataset}"
_VERSIONS = f"{_ONE}/versions"


async def create_dataset(call: Call) -> Dataset:
    """Create a dataset; one that exists with the same content is answered as it is."""
    return await call.commit(datasets.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_dataset(call: Call) -> Dataset:
    """One dataset, by id or name, now or as of the past."""
    return await asyncio.to_thread(
        datasets.get, call.workspace, call.scope, call.project, call.path["dataset"], call.query.as_of
    )


async def update_dataset(call: Call) -> Dataset:
    """Change a dataset; what is left out stays."""
    return await call.commit(
        datasets.update(call.workspace, call.scope, call.project, call.path["dataset"], call.body, call.receipt)
    )


async def create_dataset_version(call: Call) -> DatasetVersion:
    """Record a version; one with the same version or digest and content is answered as it is."""
    return await call.commit(
        datasets.create_version(call.workspace, call.scope, call.project, call.path["dataset"], call.body, call.receipt)
    )


async def list_dataset_versions(call: Call) -> datasets.Versions:
    """Every version of a dataset, oldest first, now or as of the past."""
    return await asyncio.to_thread(
        datasets.versions, call.workspace, call.scope, call.project, call.path["dataset"], call.query.as_of
    )


async def get_dataset_version(call: Call) -> DatasetVersion:
    """One version of a dataset, now or as of the past; `latest` is the youngest."""
    return await asyncio.to_thread(
        datasets.get_version,
        call.workspace, call.scope, call.project, call.path["dataset"], call.path["version"], call.query.as_of,
    )  # fmt: skip


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/datasets", handler=create_dataset, permission=Permission.WRITE,
        body=NewDataset, answer=Dataset, status=201,
    ),
    Route(method="GET", path=_ONE, handler=get_dataset, permission=Permission.READ, query=AsOf, answer=Dataset),
    Route(
        method="PATCH", path=_ONE, handler=update_dataset, permission=Permission.WRITE, body=DatasetChange,
        answer=Dataset,
    ),
    Route(
        method="POST", path=_VERSIONS, handler=create_dataset_version, permission=Permission.WRITE,
        body=NewDatasetVersion, answer=DatasetVersion, status=201,
    ),
    Route(
        method="GET", path=_VERSIONS, handler=list_dataset_versions, permission=Permission.READ, query=AsOf,
        answer=datasets.Versions,
    ),
    Route(
        method="GET", path=f"{_VERSIONS}/{{version}}", handler=get_dataset_version, permission=Permission.READ,
        query=AsOf, answer=DatasetVersion,
    ),
]  # fmt: skip

"""Experiments."""

from __future__ import annotations

import asyncio

import msgspec

from muniment.model.experiment import Experiment, ExperimentChange, NewExperiment
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission
from muniment_server.services import experiments

_ONE = "/v1/projects/{project}/experiments/{experiment}"


class AsOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the answer was true: a position or an RFC 3339 time; now if left out."""

    as_of: str | None = None


async def create_experiment(call: Call) -> Experiment:
    """Create an experiment; one that exists with the same content is answered as it is."""
    return await call.commit(experiments.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_experiment(call: Call) -> Experiment:
    """One experiment, by id or name, now or as of the past."""
    return await asyncio.to_thread(
        experiments.get, call.workspace, call.scope, call.project, call.path["experiment"], call.query.as_of
    )


async def update_experiment(call: Call) -> Experiment:
    """Change an experiment; what is left out stays. `lifecycle` deletes and restores."""
    return await call.commit(
        experiments.update(call.workspace, call.scope, call.project, call.path["experiment"], call.body, call.receipt)
    )


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/experiments", handler=create_experiment,
        permission=Permission.WRITE, body=NewExperiment, answer=Experiment, status=201,
    ),
    Route(
        method="GET", path=_ONE, handler=get_experiment, permission=Permission.READ, query=AsOf, answer=Experiment
    ),
    Route(
        method="PATCH", path=_ONE, handler=update_experiment, permission=Permission.WRITE, body=ExperimentChange,
        answer=Experiment,
    ),
]  # fmt: skip

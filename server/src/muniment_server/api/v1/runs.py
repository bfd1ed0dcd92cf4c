"""Runs, their params and tags."""

from __future__ import annotations

import asyncio

import msgspec

from muniment.model.record import NewErasure, NewTags
from muniment.model.run import NewRun, Run, RunChange, RunData
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import erasure, runs

_ONE = "/v1/projects/{project}/runs/{run}"


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Params to log. Numbers and booleans are kept as their text."""

    params: dict[str, str | int | float | bool]


async def create_run(call: Call) -> Run:
    """Start a run, with its first params and tags. An `id` of the producer's makes the call repeatable."""
    return await call.commit(runs.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_run(call: Call) -> RunData:
    """One run with its params, tags and summaries, now or as of the past."""
    return await asyncio.to_thread(
        runs.get, call.workspace, call.scope, call.project, call.path["run"], call.query.as_of
    )


async def update_run(call: Call) -> Run:
    """Change a run; what is left out stays. `state` finishes it, `lifecycle` deletes and restores."""
    return await call.commit(
        runs.update(call.workspace, call.scope, call.project, call.path["run"], call.body, call.receipt)
    )


async def begin_attempt(call: Call) -> Run:
    """Begin the next attempt of a run that has ended; the earlier one stays in its history."""
    return await call.commit(
        runs.begin_attempt(call.workspace, call.scope, call.project, call.path["run"], call.receipt)
    )


async def log_params(call: Call) -> runs.Logged:
    """Log params. A param never changes: one that is there with another value is refused, and nothing is written."""
    return await call.commit(
        runs.log_params(call.workspace, call.scope, call.project, call.path["run"], call.body.params, call.receipt)
    )


async def set_tags(call: Call) -> runs.Logged:
    """Set tags, or remove those given as null."""
    return await call.commit(
        runs.set_tags(call.workspace, call.scope, call.project, call.path["run"], call.body.tags, call.receipt)
    )


async def erase_run(call: Call) -> Run:
    """Erase the content of a run for good; its entries and their proofs stay. This cannot be undone."""
    return await call.commit(
        erasure.erase_run(call.workspace, call.scope, call.project, call.path["run"], call.body.reason, call.receipt)
    )


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/runs", handler=create_run, permission=Permission.WRITE,
        body=NewRun, answer=Run, status=201,
    ),
    Route(method="GET", path=_ONE, handler=get_run, permission=Permission.READ, query=AsOf, answer=RunData),
    Route(
        method="PATCH", path=_ONE, handler=update_run, permission=Permission.WRITE, body=RunChange, answer=Run
    ),
    Route(method="POST", path=f"{_ONE}/attempts", handler=begin_attempt, permission=Permission.WRITE, answer=Run),
    Route(
        method="POST", path=f"{_ONE}/params", handler=log_params, permission=Permission.WRITE, body=Params,
        answer=runs.Logged,
    ),
    Route(
        method="POST", path=f"{_ONE}/tags", handler=set_tags, permission=Permission.WRITE, body=NewTags,
        answer=runs.Logged,
    ),
    Route(
        method="POST", path=f"{_ONE}/erase", handler=erase_run, permission=Permission.ADMIN, body=NewErasure,
        answer=Run,
    ),
]  # fmt: skip

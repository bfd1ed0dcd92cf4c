"""Evaluations."""

from __future__ import annotations

import asyncio

from muniment.model.evaluation import Evaluation, NewEvaluation
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import catalog, evaluations


async def create_evaluation(call: Call) -> Evaluation:
    """Record how good a model version is on a dataset version or a slice of it; thresholds give the verdict."""
    return await call.commit(evaluations.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_evaluation(call: Call) -> Evaluation:
    """One evaluation, now or as of the past."""
    found: Evaluation = await asyncio.to_thread(
        catalog.get, call.workspace, call.scope, call.project, "evaluation", call.path["evaluation"], call.query.as_of
    )
    return found


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/evaluations", handler=create_evaluation,
        permission=Permission.WRITE, body=NewEvaluation, answer=Evaluation, status=201,
    ),
    Route(
        method="GET", path="/v1/projects/{project}/evaluations/{evaluation}", handler=get_evaluation,
        permission=Permission.READ, query=AsOf, answer=Evaluation,
    ),
]  # fmt: skip

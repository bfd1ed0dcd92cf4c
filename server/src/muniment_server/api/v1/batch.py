"""Many commands in one request."""

from __future__ import annotations

from muniment.model.batch import Batch, BatchDone
from muniment_server.api.routing import Call, Route
from muniment_server.policy.access import Permission
from muniment_server.services import batch


async def run_batch(call: Call) -> BatchDone:
    """Carry out many commands, all of them or none, as one entry of the history."""
    return await call.commit(batch.run(call.workspace, call.scope, call.project, call.body, call.receipt))


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/batch", handler=run_batch, permission=Permission.WRITE,
        body=Batch, answer=BatchDone,
    ),
]  # fmt: skip

"""Jobs."""

from __future__ import annotations

import asyncio

from muniment.model.job import Job, JobChange, JobData, NewJob
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import catalog, jobs

_ONE = "/v1/projects/{project}/jobs/{job}"


async def create_job(call: Call) -> Job:
    """Create a job; one that exists with the same content is answered as it is."""
    return await call.commit(jobs.create(call.workspace, call.scope, call.project, call.body, call.receipt))


async def get_job(call: Call) -> Job:
    """One job, by id or name, now or as of the past."""
    found: Job = await asyncio.to_thread(
        catalog.get, call.workspace, call.scope, call.project, "job", call.path["job"], call.query.as_of
    )
    return found


async def get_job_data(call: Call) -> JobData:
    """The datasets that a job reads and writes, rolled up from the links of its runs, now or as of the past."""
    return await asyncio.to_thread(
        jobs.data, call.workspace, call.scope, call.project, call.path["job"], call.query.as_of
    )


async def update_job(call: Call) -> Job:
    """Change a job; what is left out stays."""
    return await call.commit(
        jobs.update(call.workspace, call.scope, call.project, call.path["job"], call.body, call.receipt)
    )


ROUTES = [
    Route(
        method="POST", path="/v1/projects/{project}/jobs", handler=create_job, permission=Permission.WRITE,
        body=NewJob, answer=Job, status=201,
    ),
    Route(method="GET", path=_ONE, handler=get_job, permission=Permission.READ, query=AsOf, answer=Job),
    Route(
        method="GET", path=f"{_ONE}/data", handler=get_job_data, permission=Permission.READ, query=AsOf, answer=JobData
    ),
    Route(method="PATCH", path=_ONE, handler=update_job, permission=Permission.WRITE, body=JobChange, answer=Job),
]  # fmt: skip

"""Questions as single calls."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from muniment.model.question import (
    HITS_LIMIT,
    AncestryDifference,
    Best,
    BestQuery,
    Compare,
    Comparison,
    History,
    Path,
    Reproducibility,
    SimilarRuns,
)
from muniment_server.api.routing import Call, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import comparisons, lineage, questions, reports

_PROJECT = "/v1/projects/{project}"


class SimilarQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many, and when."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=HITS_LIMIT)] = 20
    as_of: str | None = None


class StepsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which part of the history."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=comparisons.HISTORY_PAGE)] = comparisons.HISTORY_PAGE
    as_of: str | None = None


async def find_best(call: Call) -> Best:
    """The runs that scored best on a dataset version or a slice of it, best first."""
    return await asyncio.to_thread(questions.best, call.workspace, call.scope, call.project, call.query)


async def find_similar_runs(call: Call) -> SimilarRuns:
    """Runs on data like that of a run, most similar first, each with its reasons."""
    return await asyncio.to_thread(
        questions.similar, call.workspace, call.scope, call.project, call.path["run"],
        limit=call.query.limit, as_of=call.query.as_of,
    )  # fmt: skip


async def get_reproducibility(call: Call) -> Reproducibility:
    """Everything that made a model version, and what is missing to make it again."""
    return await asyncio.to_thread(
        reports.reproducibility,
        call.workspace, call.scope, call.project, call.path["model"], call.path["version"], call.query.as_of,
    )  # fmt: skip


async def compare_records(call: Call) -> Comparison:
    """Only the fields in which some records of one kind differ: runs, versions, or any other."""
    return await asyncio.to_thread(comparisons.compare, call.workspace, call.scope, call.project, call.body)


async def get_changes_of(call: Call) -> History:
    """Everything that happened to a record, oldest first, each field before and after."""
    query: StepsQuery = call.query
    return await asyncio.to_thread(
        comparisons.history, call.workspace, call.scope, call.project, call.path["record"],
        after=query.after, limit=query.limit, as_of=query.as_of,
    )  # fmt: skip


async def find_path(call: Call) -> Path:
    """How data came from one record to another, by the fewest links."""
    return await asyncio.to_thread(
        lineage.path, call.workspace, call.scope, call.project, call.path["first"], call.path["last"], call.query.as_of
    )


async def compare_ancestry(call: Call) -> AncestryDifference:
    """What only one of two records descends from."""
    return await asyncio.to_thread(
        lineage.difference,
        call.workspace, call.scope, call.project, call.path["first"], call.path["second"], call.query.as_of,
    )  # fmt: skip


ROUTES = [
    Route(
        method="GET", path=f"{_PROJECT}/best", handler=find_best, permission=Permission.READ, query=BestQuery,
        answer=Best,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/runs/{{run}}/similar", handler=find_similar_runs, permission=Permission.READ,
        query=SimilarQuery, answer=SimilarRuns,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/models/{{model}}/versions/{{version}}/reproducibility",
        handler=get_reproducibility, permission=Permission.READ, query=AsOf, answer=Reproducibility,
    ),
    Route(
        method="POST", path=f"{_PROJECT}/compare", handler=compare_records, permission=Permission.READ, body=Compare,
        answer=Comparison,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/records/{{record}}/changes", handler=get_changes_of,
        permission=Permission.READ, query=StepsQuery, answer=History,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/lineage/{{first}}/path/{{last}}", handler=find_path,
        permission=Permission.READ, query=AsOf, answer=Path,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/lineage/{{first}}/difference/{{second}}", handler=compare_ancestry,
        permission=Permission.READ, query=AsOf, answer=AncestryDifference,
    ),
]  # fmt: skip

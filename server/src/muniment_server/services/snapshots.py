"""Runs as they are now, with all that belongs to them, of one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.ids import parse_id
from muniment.model.run import Run
from muniment.model.search import Query
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import details, search
from muniment_server.services.details import RunDetails
from muniment_server.services.workspace import Workspace
from muniment_server.store import runs
from muniment_server.store.reader import Reader
from muniment_server.store.runs import Item, Latest
from muniment_server.store.summaries import Last

__all__ = ["Last", "Snapshot", "find", "get", "of_new"]


class Snapshot(msgspec.Struct, frozen=True):
    """One run: with its params, tags and last points, and what else belongs to it."""

    data: Latest
    about: RunDetails


def find(
    workspace: Workspace, scope: Scope, project: str, query: Query, experiments: Sequence[str], facets: str
) -> tuple[list[Snapshot], str | None]:
    """(one page of runs, the token of the next).

    Args:
        workspace: the store.
        scope: who asks.
        project: where.
        query: what is asked of runs, now.
        experiments: the ids of those that they must be of.
        facets: how the names of the facets begin that are wanted.
    """
    with search.found(workspace, scope, project, query, experiments) as page:
        reader = Reader(page.connection, scope, page.project_id, None)
        return _of_rows(reader, page.rows, facets), page.next


def get(workspace: Workspace, scope: Scope, project: str, run_id: str, facets: str) -> Snapshot:
    """One run.

    Raises:
        NotFound: it does not exist.
    """
    ref = workspace.project(scope, project, Permission.READ)
    with workspace.store.read() as connection:
        row = runs.row_of(connection, scope, ref.no, parse_id(run_id, field="run"), None)
        return _of_rows(Reader(connection, scope, ref.no, None), [row], facets)[0]


def of_new(run: Run, tags: Mapping[str, str]) -> Snapshot:
    """A run that was made just now."""
    items = [Item(key, value) for key, value in sorted(tags.items())]
    return Snapshot(
        Latest(no=0, run=run, params=[], tags=items, metrics=[]), RunDetails(facets={}, datasets=[], models=[])
    )  # fmt: skip


def _of_rows(reader: Reader, rows: Sequence[sa.Row[Any]], facets: str) -> list[Snapshot]:
    about = details.of_numbers(reader, [row.no for row in rows], facets)
    return [Snapshot(data, about[data.no]) for data in runs.latest(reader.connection, reader.project_id, rows)]

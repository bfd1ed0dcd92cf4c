"""The use case of asking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.search import Page, Query
from muniment_server.language.parser import parse_column, parse_order, parse_where
from muniment_server.language.tree import Order
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import moments
from muniment_server.services.workspace import Workspace
from muniment_server.store import current, heads, runs
from muniment_server.store.search import pages
from muniment_server.store.search.source import Source, fields_of, mentions_words

ORDER_LIMIT = 8
"""Sort keys in one search."""
EXPERIMENTS_LIMIT = 30_000
"""Experiments that the runs of one search may be of."""
COLUMN_LIMIT = 1_000
"""Columns in one search."""
_FAMILIES = frozenset(("params", "tags", "metrics"))


class Found(msgspec.Struct, frozen=True):
    """One page of rows, in order."""

    connection: sa.Connection
    project_id: int
    rows: list[sa.Row[Any]]
    next: str | None
    total: int | None
    as_of: int | None


def search(workspace: Workspace, scope: Scope, project: str, query: Query) -> Page:
    """One page of the records that match.

    Args:
        workspace: the store.
        scope: who asks.
        project: where.
        query: what is asked.
    """
    columns = _columns(query)
    with found(workspace, scope, project, query) as page:
        position = page.as_of if page.as_of is not None else heads.read(page.connection, page.project_id).position
        if query.kind == "run":
            made: list[Any] = runs.with_data(page.connection, page.project_id, page.rows, columns, page.as_of)
        else:
            made = [current.to_record(query.kind, row) for row in page.rows]
    return Page(**{f"{query.kind}s": made}, next=page.next, total=page.total, position=position)


@contextmanager
def found(
    workspace: Workspace, scope: Scope, project: str, query: Query, experiments: Sequence[str] | None = None
) -> Iterator[Found]:
    """The rows of one page, with the snapshot in which they were found.

    Args:
        workspace: the store.
        scope: who asks.
        project: where.
        query: what is asked.
        experiments: of runs, the ids of the experiments that they must be of, however many; None is any.
    """
    ref = workspace.project(scope, project, Permission.READ)
    where = parse_where(query.where, query.kind)
    orders = _orders(query)
    with workspace.store.read() as connection:
        at = moments.position(connection, ref.no, query.as_of)
        if at is not None and mentions_words(where):
            raise InvalidInput(
                "text MATCH looks at the present; leave as_of out, or use LIKE on a field", field="as_of"
            )
        fields = [*fields_of(where), *(order.field for order in orders)]
        source = Source(connection, scope, ref.no, query.kind, at, fields)
        question = pages.question_of(ref.id, query.kind, query.where, query.order_by, at, query.lifecycle, experiments)
        extra = _lifecycle(source, query)
        if experiments is not None:
            if len(experiments) > EXPERIMENTS_LIMIT:
                raise TooLarge(
                    f"{len(experiments):,} experiments in one search; the limit is {EXPERIMENTS_LIMIT:,}",
                    field="experiments",
                )
            extra = sa.and_(extra, pages.among_experiments(source, experiments))
        rows, token = pages.page(source, where, orders, extra, query.limit, question, query.page)
        total = pages.count(source, where, extra) if query.count else None
        yield Found(connection, ref.no, rows, token, total, at)


def _orders(query: Query) -> list[Order]:
    if len(query.order_by) > ORDER_LIMIT:
        raise TooLarge(f"{len(query.order_by)} sort keys; the limit is {ORDER_LIMIT}", field="order_by")
    return [parse_order(text, query.kind) for text in query.order_by]


def _lifecycle(source: Source, query: Query) -> Any:
    return sa.true() if query.lifecycle == "any" else source.table.c.lifecycle == query.lifecycle


def _columns(query: Query) -> runs.Columns:
    if query.columns is None:
        return runs.EVERYTHING
    if len(query.columns) > COLUMN_LIMIT:
        raise TooLarge(f"{len(query.columns)} columns; the limit is {COLUMN_LIMIT}", field="columns")
    chosen: dict[str, set[str] | None] = {family: set() for family in _FAMILIES}
    for text in query.columns:
        if text in _FAMILIES:
            chosen[text] = None
            continue
        field = parse_column(text, query.kind)
        if field.kind not in {"param", "tag", "metric"}:
            raise InvalidInput(
                f"{text[:80]!r} always comes with a run; columns choose params, tags and metrics", field="columns"
            )
        names = chosen[f"{field.kind}s"]
        if names is not None:
            names.add(field.name)
    frozen = {family: None if names is None else frozenset(names) for family, names in chosen.items()}
    return runs.Columns(**frozen)

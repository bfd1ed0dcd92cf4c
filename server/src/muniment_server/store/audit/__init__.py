"""Verification: is what is stored what was committed? Every check names the first position that is wrong.

`chain` checks seals, entries and tiles; `rows` recomputes current rows from their revisions; `series` recomputes
summaries, digests and segment indexes from points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa

Report = Callable[[str, int, int], None]
"""Is told what is being checked, how much of it is done, and how much there is."""


Columns = tuple[sa.Column[int], ...]
Found = Literal["min", "max"]


def reached(
    connection: sa.Connection, project_id: int, found: Found, columns: Columns, after: int | None = None
) -> list[int | None]:
    """The least or the greatest number of a project in each column; None where there is none.

    Args:
        connection: a snapshot.
        project_id: the project.
        found: which.
        columns: of tables that have a `project_id`.
        after: leave out this number and those before it.
    """
    given = {"project_id": project_id} | ({} if after is None else {"after": after})
    return list(connection.execute(_reaching(found, columns, beyond=after is not None), given).one())


@cache
def _reaching(found: Found, columns: Columns, *, beyond: bool) -> sa.Select[Any]:
    """One statement, in which each column has a question of its own that an index answers."""
    questions = []
    for column in columns:
        query = sa.select(getattr(sa.func, found)(column)).where(
            column.table.c.project_id == sa.bindparam("project_id")
        )
        questions.append((query.where(column > sa.bindparam("after")) if beyond else query).scalar_subquery())
    return sa.select(*questions)


def spans(connection: sa.Connection, project_id: int, columns: Columns, size: int) -> Iterator[tuple[int, int, int]]:
    """(first, last, greatest) of spans of record numbers that hold every number that any row speaks of.

    Numbers that nothing speaks of are stepped over, so that one row of a record far away does not make for ever of it.
    """

    def known(found: Found, after: int | None = None) -> list[int]:
        return [number for number in reached(connection, project_id, found, columns, after) if number is not None]

    greatest = max(known("max"), default=0)
    after: int | None = None
    while rest := known("min", after):
        first = min(rest)
        after = first + size - 1
        yield first, after, greatest

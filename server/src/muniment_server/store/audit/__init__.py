"""Verification: is what is stored what was committed? Every check names the first position that is wrong.

`chain` checks seals, entries and tiles; `rows` recomputes current rows from their revisions; `series` recomputes
summaries, digests and segment indexes from points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

Report = Callable[[str, int, int], None]
"""Is told what is being checked, how much of it is done, and how much there is."""


def spans(
    connection: sa.Connection, project_id: int, columns: Sequence[sa.Column[int]], size: int
) -> Iterator[tuple[int, int, int]]:
    """(first, last, greatest) of spans of record numbers that hold every number that any row speaks of.

    Numbers that nothing speaks of are stepped over, so that one row of a record far away does not make for ever of it.
    """

    def furthest(column: sa.Column[int], found: Callable[..., Any], after: int | None) -> int | None:
        query = sa.select(found(column)).where(column.table.c.project_id == project_id)
        return connection.execute(query if after is None else query.where(column > after)).scalar()

    def over(found: Callable[..., Any], after: int | None = None) -> list[int]:
        reached = [furthest(column, found, after) for column in columns]  # one at a time, which an index answers
        return [number for number in reached if number is not None]

    greatest = max(over(sa.func.max), default=0)
    after: int | None = None
    while rest := over(sa.func.min, after):
        first = min(rest)
        after = first + size - 1
        yield first, after, greatest

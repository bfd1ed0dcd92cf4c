"""Links in the store: whether one holds, and walking them.

Walks go level by level, one query each: on both engines that was measured to beat a recursive query, the more so where
paths meet again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from muniment.model.link import Direction
from muniment_server.store.dialects import among, filtered, listed, numbers_for
from muniment_server.store.statements import Prepared
from muniment_server.store.tables import links, records

LinkKey = tuple[int, int, str, str, int]
"""(downstream, upstream, type, role, run) by number; 0 is no run."""
PATH_LIMIT = 100_000
"""Records looked at to see whether a link would close a circle."""
_AT_ONCE = 10_000
"""Records asked about in one query."""
_WALKED = [links.c[name] for name in ("downstream", "upstream", "type", "role", "run", "source", "valid_from")]


def holds(connection: sa.Connection, project_id: int, key: LinkKey) -> bool:
    """Whether a link holds now."""
    names = ("downstream", "upstream", "type", "role", "run")
    same = [links.c[name] == part for name, part in zip(names, key, strict=True)]
    query = sa.select(sa.literal(1)).where(links.c.project_id == project_id, *same, links.c.valid_to.is_(None))
    return connection.execute(query).first() is not None


_INTO = Prepared(
    lambda _: sa.select(links.c.downstream, links.c.upstream, links.c.role)
    .where(
        links.c.project_id == sa.bindparam("project_id"), links.c.type == sa.bindparam("type"),
        links.c.valid_to.is_(None), among(links.c.downstream, listed("numbers")),
    )
    .order_by(links.c.downstream, links.c.valid_from, links.c.upstream, links.c.role)
)  # fmt: skip


def into(connection: sa.Connection, project_id: int, numbers: Sequence[int], type_: str) -> list[tuple[int, int, str]]:
    """(downstream, upstream, role) of the links of a type that lead to records now, in the order of their making."""
    given = numbers_for(connection.dialect.name, list(numbers))
    return _INTO.rows(connection, {"project_id": project_id, "type": type_, "numbers": given})


class Waiting(Protocol):
    """A draft, as far as links are concerned."""

    project_id: int

    @property
    def connection(self) -> sa.Connection:
        """Reads under the lock of the project's head."""
        ...

    @property
    def old(self) -> int:
        """The greatest number of a record that was there before this transaction."""
        ...

    def waiting_downstream(self, number: int) -> Iterator[int]:
        """Where data flows from a record by links that are not in the database yet."""
        ...


def reaches(draft: Waiting, start: int, goal: int) -> bool:
    """Whether data can flow from one record to another, over links that hold now; also if they are the same."""
    if start == goal:
        return True
    seen, level = {start}, [start]
    while level and len(seen) < PATH_LIMIT:
        known = [number for number in level if number <= draft.old]
        found = {row[0] for row in touching(draft.connection, draft.project_id, "upstream", known, None)}
        found.update(number for item in level for number in draft.waiting_downstream(item))
        if goal in found:
            return True
        level = [number for number in found if number not in seen]
        seen.update(level)
    return False


class Found(msgspec.Struct):
    """What a walk found.

    Attributes:
        depths: records by number, with how many links away they are.
        links: (downstream, upstream, type, role, run, source, valid_from) of every link walked.
        truncated: whether there is more.
    """

    depths: dict[int, int]
    links: list[tuple[int, int, str, str, int, str, int]]
    truncated: bool


def walk(
    connection: sa.Connection,
    project_id: int,
    start: int,
    direction: Direction,
    *,
    depth: int,
    limit: int,
    as_of: int | None,
    goal: int | None = None,
) -> Found:
    """Everything that a record descends from, or that descends from it, nearest first.

    Args:
        connection: a snapshot.
        project_id: the project.
        start: the record's number.
        direction: against the flow of data, or with it.
        depth: links to follow at the most.
        limit: records to find at the most, the first one included.
        as_of: the position at which the links held; None is now.
        goal: a record at which to stop.
    """
    made = Found({start: 0}, [], truncated=False)
    level = [start]
    near: Direction = "downstream" if direction == "upstream" else "upstream"
    far = 1 if direction == "upstream" else 0
    for distance in range(1, depth + 1):
        reached: list[int] = []
        # once it is known that there is more, only the links among what was found are of interest: they are few
        within = sorted(made.depths) if made.truncated else None
        # in order, so that the same question is cut short at the same record on every engine
        for row in sorted(map(tuple, touching(connection, project_id, near, level, as_of, within=within))):
            number = row[far]
            if number not in made.depths:
                if len(made.depths) >= limit:
                    made.truncated = True
                    continue
                made.depths[number] = distance
                reached.append(number)
            made.links.append(row)
        level = reached
        if not level or goal in made.depths:
            return made
    made.truncated = made.truncated or any(
        row[far] not in made.depths for row in touching(connection, project_id, near, level, as_of)
    )
    return made


def touching(
    connection: sa.Connection,
    project_id: int,
    end: Direction,
    numbers: Sequence[int],
    as_of: int | None,
    type_: str | None = None,
    within: Sequence[int] | None = None,
) -> Iterator[Any]:
    """The links at whose `end` some records are.

    Args:
        connection: a snapshot, or the writer's.
        project_id: the project.
        end: ``upstream`` for what flows from the records, ``downstream`` for what flows into them.
        numbers: the records.
        as_of: the position at which the links held; None is now.
        type_: only links of this type.
        within: only links at whose other end one of these is.

    Yields:
        (downstream, upstream, type, role, run, source, valid_from) by number.
    """
    query = _touching(end, past=as_of is not None, typed=type_ is not None, bounded=within is not None)
    given = {"project_id": project_id, "as_of": as_of, "type": type_}
    if within is not None:
        given["within"] = numbers_for(connection.dialect.name, within)
    for start in range(0, len(numbers), _AT_ONCE):
        chunk = sorted(numbers[start : start + _AT_ONCE])
        yield from query.rows(connection, {**given, "numbers": numbers_for(connection.dialect.name, chunk)})


@lru_cache
def _touching(end: Direction, *, past: bool, typed: bool, bounded: bool) -> Prepared:
    """The query of `touching`."""
    conditions = [links.c.project_id == sa.bindparam("project_id"), among(links.c[end], sa.bindparam("numbers"))]
    if past:
        at: Any = sa.bindparam("as_of")
        conditions += [links.c.valid_from <= at, sa.or_(links.c.valid_to.is_(None), links.c.valid_to > at)]
    else:
        conditions.append(links.c.valid_to.is_(None))
    if typed:
        conditions.append(links.c.type == sa.bindparam("type"))
    if bounded:
        other: Direction = "upstream" if end == "downstream" else "downstream"
        conditions.append(filtered(links.c[other], sa.bindparam("within")))
    return Prepared(lambda _: sa.select(*_WALKED).where(*conditions))


def records_of(connection: sa.Connection, project_id: int, found: Found) -> dict[int, tuple[str, str]]:
    """(id, kind) of every record that a walk found or went through, by number."""
    wanted = {*found.depths, *(row[4] for row in found.links if row[4])}
    numbers = sorted(wanted)
    made: dict[int, tuple[str, str]] = {}
    dialect = connection.dialect.name
    for start in range(0, len(numbers), _AT_ONCE):
        query = sa.select(records.c.no, records.c.id, records.c.kind).where(
            records.c.project_id == project_id,
            among(
                records.c.no, sa.literal(numbers_for(dialect, numbers[start : start + _AT_ONCE]), sa.types.NullType())
            ),
        )
        for number, record_id, kind in connection.execute(query):
            made[number] = (record_id, kind)
    return made

"""What belongs to a record by a name: meanings of aliases, artifacts by path, facets, what other systems call it.

All four are kept alike: one row for as long as a name has the same content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment.model.canonical import canonical, untagged
from muniment_server.store import current, tables
from muniment_server.store.dialects import among, listed, numbers_for
from muniment_server.store.held import Held
from muniment_server.store.statements import Prepared
from muniment_server.store.tables import records


class Family(msgspec.Struct, frozen=True):
    """One sort of belongings.

    Attributes:
        name: as it is spelled in revisions.
        table: its rows.
        refers: whether the content is another record; otherwise it is a document.
    """

    name: str
    table: sa.Table
    refers: bool

    @property
    def column(self) -> sa.Column[Any]:
        """The column of the content: the number of a record, or canonical JSON."""
        return self.table.c["target" if self.refers else "value"]


FAMILIES = {
    family.name: family
    for family in (
        Family("aliases", tables.aliases, refers=True),
        Family("artifacts", tables.attachments, refers=True),
        Family("facets", tables.facets, refers=False),
        Family("names", tables.names, refers=False),
    )
}
LEVEL_PAGE = 500
"""Names that are read at once to find out what lies in a folder."""
Key = tuple[str, int, str]
"""(family, number of the record, name)."""


class Content(msgspec.Struct, frozen=True):
    """What a name has.

    Attributes:
        said: the id of a record, or a document.
        stored: the number of the record, or the document as canonical JSON.
    """

    said: Any
    stored: int | str


def content_of(given: Any) -> Content | None:
    """The content that is a record, a document, or nothing."""
    if given is None:
        return None
    if isinstance(given, Held):
        return Content(given.record.id, given.no)
    return Content(given, canonical(given).decode())


def _query(family: Family, project_id: int, record: int, at: int | None) -> sa.Select[Any]:
    table = family.table
    said: Any = records.c.id if family.refers else sa.null()
    query = sa.select(table.c.name, family.column.label("stored"), said.label("said"))
    if family.refers:
        joined = sa.and_(records.c.project_id == table.c.project_id, records.c.no == table.c.target)
        query = query.select_from(table.join(records, joined))
    return query.where(table.c.project_id == project_id, table.c.record == record, current.at(table, at))


def _content(row: sa.Row[Any]) -> Content:
    return Content(untagged(msgspec.json.decode(row.stored)) if row.said is None else row.said, row.stored)


def find(
    connection: sa.Connection, project_id: int, family: str, record: int, name: str, at: int | None = None
) -> Content | None:
    """What a name of a record has, now or at a position."""
    chosen = FAMILIES[family]
    query = _query(chosen, project_id, record, at).where(chosen.table.c.name == name)
    row = connection.execute(query).first()
    return None if row is None else _content(row)


def all_of(
    connection: sa.Connection,
    project_id: int,
    family: str,
    record: int,
    at: int | None = None,
    *,
    after: str = "",
    prefix: str = "",
    limit: int | None = None,
) -> dict[str, Content]:
    """What the names of a record have, by name.

    Args:
        connection: a snapshot.
        project_id: the project.
        family: which sort.
        record: whose.
        at: a position; None is now.
        after: only names after this one.
        prefix: only names that begin so.
        limit: so many at the most.
    """
    chosen = FAMILIES[family]
    name = chosen.table.c.name
    query = _query(chosen, project_id, record, at).where(name > after).order_by(name).limit(limit)
    if prefix:
        query = query.where(name >= prefix, sa.func.substr(name, 1, len(prefix)) == prefix)
    return {row.name: _content(row) for row in connection.execute(query)}


def level(
    connection: sa.Connection, project_id: int, family: str, record: int, begin: str = ""
) -> dict[str, Content | None]:
    """What lies one level below `begin` in names that are paths: what a name has, or None for a folder of such names.

    Of a folder no more than a page of names is read, however many it holds.

    Args:
        connection: a snapshot.
        project_id: the project.
        family: which sort.
        record: whose.
        begin: empty, or a path that ends in a slash.
    """
    chosen = FAMILIES[family]
    name = chosen.table.c.name
    query = _query(chosen, project_id, record, None).order_by(name).limit(LEVEL_PAGE)
    if begin:
        query = query.where(name < _beyond(begin))
    found: dict[str, Content | None] = {}
    least, rows = begin, LEVEL_PAGE
    while rows == LEVEL_PAGE:
        rows = 0
        for row in connection.execute(query.where(name >= least)):
            rows += 1
            if row.name < least:
                continue
            head, inside, _ = row.name[len(begin) :].partition("/")
            found[head] = None if inside else _content(row)
            least = _beyond(f"{begin}{head}/") if inside else f"{row.name}\x01"  # no name holds such a character
    return found


def _beyond(folder: str) -> str:
    """The first name behind all that begin with a path that ends in a slash."""
    return f"{folder[:-1]}0"  # which follows the slash


def _documents(table: sa.Table) -> Prepared:
    begins = sa.func.substr(table.c.name, sa.literal_column("1"), sa.bindparam("length"))
    query = sa.select(table.c.record, table.c.name, table.c.value).where(
        table.c.project_id == sa.bindparam("project_id"), among(table.c.record, listed("numbers")),
        current.at(table, None), begins == sa.bindparam("begin"),
    )  # fmt: skip
    return Prepared(lambda _: query)


_DOCUMENTS = {name: _documents(family.table) for name, family in FAMILIES.items() if "value" in family.table.c}


def documents(
    connection: sa.Connection, project_id: int, family: str, numbers: list[int], begin: str
) -> dict[int, dict[str, Any]]:
    """Current documents of many records whose names begin so, by number and name."""
    rows = _DOCUMENTS[family].rows(connection, {
        "project_id": project_id, "numbers": numbers_for(connection.dialect.name, numbers), "length": len(begin),
        "begin": begin,
    })  # fmt: skip
    found: dict[int, dict[str, Any]] = {}
    for record, name, value in rows:
        found.setdefault(record, {})[name] = untagged(msgspec.json.decode(value))
    return found


def record_called(connection: sa.Connection, project_id: int, name: str, at: int | None = None) -> str | None:
    """The id of the record that another system's name means, now or at a position."""
    table = tables.names
    query = (
        sa.select(records.c.id)
        .join(table, sa.and_(table.c.project_id == records.c.project_id, table.c.record == records.c.no))
        .where(table.c.project_id == project_id, table.c.name == name, current.at(table, at))
    )
    return connection.execute(query).scalar_one_or_none()


class Waiting:
    """Belongings that a draft or a transaction is about to change."""

    def __init__(self) -> None:
        self.changed: dict[Key, tuple[Content | None, bool]] = {}
        """What each shall have, and whether the database has something there."""
        self._called: dict[str, tuple[int, str]] = {}

    def put(self, key: Key, held: Held, content: Content | None, *, had: bool) -> None:
        """Let a name of a record have something else, or nothing."""
        self.changed[key] = content, self.changed[key][1] if key in self.changed else had
        if key[0] == "names" and content is not None:
            self._called[key[2]] = key[1], held.record.id

    def called(self, name: str) -> str | None:
        """The id of the record that was given another system's name, and has it still."""
        record = self._called.get(name)
        if record is None or self.changed["names", record[0], name][0] is None:
            return None
        return record[1]

    def take(self, later: Waiting) -> None:
        """Take over what a draft has changed."""
        self.changed.update(later.changed)
        self._called.update(later._called)


def rows(project_id: int, position: int, key: Key, content: Content | None) -> tuple[Mapping[str, Any], Any]:
    """Where the current row of a belonging is, and its next row, if there is one."""
    family, record, name = key
    row = None
    if content is not None:
        row = {"project_id": project_id, "record": record, "name": name, "valid_from": position, "valid_to": None,
               FAMILIES[family].column.name: content.stored}  # fmt: skip
    return {"at_record": record, "at_name": name}, row

"""What every table is built from."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment_server.store.types import Integer, Small

SYSTEM_PROJECT = 0
"""`project_id` of the system project ``_``."""
PREFIX = 64
"""Characters of a param or tag value that its index holds; PostgreSQL refuses index rows over 2,704 bytes."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

PARTITIONS = 8
"""Partitions of a large table on PostgreSQL."""
SHARDED: dict[str, Any] = {"postgresql_partition_by": "HASH (project_id)", "info": {"sharded": True}}
"""Options of a table that is partitioned by project."""
CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}
"""Options of a table that lies in the order of its key."""


def table(name: str, *items: sa.schema.SchemaItem, **options: Any) -> sa.Table:
    """A table of the schema."""
    return sa.Table(name, metadata, *items, sqlite_strict=True, **options)


def column(name: str, type_: Any, *, null: bool = False, key: bool = False) -> sa.Column[Any]:
    """A column, which must hold something unless `null` is said."""
    return sa.Column(name, type_, nullable=null, primary_key=key, autoincrement=False)


def versions() -> tuple[sa.Column[Any], ...]:
    """The columns by which every version of a record is known."""
    return (
        column("project_id", Small, key=True),
        column("no", Integer, key=True),
        column("valid_from", Integer, key=True),
        column("valid_to", Integer, null=True),
    )


def of_record(name: str) -> sa.ForeignKeyConstraint:
    """The tie of a version to its record."""
    return sa.ForeignKeyConstraint(["project_id", "no"], ["records.project_id", "records.no"], name=f"{name}_record")


def _current(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.valid_to.is_(None)


def index(name: str, table: sa.Table, *columns: Any, current: bool = False, unique: bool = False) -> None:
    """An index, of current rows alone if so said."""
    where: dict[str, Any] = {"sqlite_where": _current(table), "postgresql_where": _current(table)} if current else {}
    sa.Index(name, *columns, unique=unique, **where)


def prefix(table: sa.Table) -> sa.Function[str]:
    """What the value index holds, spelled as the index is, or SQLite would not see that it is the same."""
    return sa.func.substr(table.c.value, sa.literal_column("1"), sa.literal_column(str(PREFIX)))

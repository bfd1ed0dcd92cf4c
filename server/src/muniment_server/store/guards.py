"""What SQLAlchemy has no words for: partitions by project, and triggers that refuse to rewrite history.

The triggers are a guard against mistakes and against SQL injected elsewhere; what they cannot stop (somebody who owns
the file) the seals make visible.
"""

from __future__ import annotations

import sqlalchemy as sa

from muniment_server.store import tables, words

_UNCHANGEABLE = {
    "ledger": "a ledger entry",
    "seals": "a seal",
}
_ERASED = (
    "new.body IS NULL AND new.project_id = old.project_id AND new.position = old.position "
    "AND new.record = old.record AND new.kind = old.kind AND new.hash = old.hash"
)
_GROWN = (
    "new.project_id = old.project_id AND new.height = old.height AND new.number = old.number "
    "AND substr(new.hashes, 1, length(old.hashes)) = old.hashes"
)
_CONDITIONAL = {
    "revisions": ("a revision can only be erased", _ERASED),
    "tiles": (
        "a tile only grows",
        _GROWN,
    ),
}


def statements(dialect: str) -> list[str]:
    """The DDL that completes a freshly created schema, in order."""
    if dialect == "sqlite":
        return [*_sqlite(), *words.DDL[dialect], *statistics()]
    return [*_postgresql(), *words.DDL[dialect]]


_ROWS = 1_000_000
_ALIKE = {"project_id": _ROWS, "key": 10_000, "kind": _ROWS // 4, "experiment": 1_000, "job": 1_000, "state": 1_000}
"""Rows that have the same value of a column, where it is not about ten."""


def statistics() -> list[str]:
    """What SQLite's planner is told of every table: that a project is large, and that an index finds few rows in it.

    Without it SQLite takes any first column of a key to find ten rows, and so reads a whole project by its key rather
    than a few rows by an index. Nobody runs ANALYZE on an embedded store, and on an empty one it would say nothing.
    """
    made = ["ANALYZE sqlite_schema", "DELETE FROM sqlite_stat1"]
    for table in tables.metadata.sorted_tables:
        if not table.info.get("sharded"):
            continue
        keys = [(table.name, [column.name for column in table.primary_key.columns], True)]
        keys += [
            (str(index.name), [getattr(part, "name", "") for part in index.expressions], bool(index.unique))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
        for name, columns, unique in keys:
            alike, figures = _ROWS, [_ROWS]
            for column in columns:
                alike = min(alike, _ALIKE.get(column, 10))
                figures.append(alike)
            if unique:
                figures[-1] = 1
            text = " ".join(map(str, figures))
            made.append(f"INSERT INTO sqlite_stat1 VALUES ('{table.name}', '{name}', '{text}')")  # noqa: S608 - our own
    return [*made, "ANALYZE sqlite_schema"]


def _sqlite() -> list[str]:
    made = [
        _sqlite_trigger(table, verb, "", f"{what} is never changed")
        for table, what in _UNCHANGEABLE.items()
        for verb in ("UPDATE", "DELETE")
    ]
    for table, (message, allowed) in _CONDITIONAL.items():
        made.append(_sqlite_trigger(table, "UPDATE", f"WHEN NOT ({allowed}) ", message))
        made.append(_sqlite_trigger(table, "DELETE", "", message))
    return made


def _sqlite_trigger(table: str, verb: str, when: str, message: str) -> str:
    return (
        f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} {when}"
        f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def _postgresql() -> list[str]:
    made = [
        f"CREATE TABLE {table.name}_{part} PARTITION OF {table.name} "
        f"FOR VALUES WITH (MODULUS {tables.PARTITIONS}, REMAINDER {part})"
        for table in tables.metadata.sorted_tables
        if table.info.get("sharded")
        for part in range(tables.PARTITIONS)
    ]
    # payloads are compressed already; PostgreSQL's own compression of them was measured to cost three inserts
    made.extend(f"ALTER TABLE {table} ALTER COLUMN payload SET STORAGE EXTERNAL" for table in ("points", "segments"))
    made.append(
        "CREATE FUNCTION muniment_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table, what in _UNCHANGEABLE.items():
        made.append(_postgresql_trigger(table, "UPDATE OR DELETE", "", f"{what} is never changed"))
    for table, (message, allowed) in _CONDITIONAL.items():
        made.append(_postgresql_trigger(table, "UPDATE", f"WHEN (NOT ({allowed})) ", message))
        made.append(_postgresql_trigger(table, "DELETE", "", message))
    return made


def _postgresql_trigger(table: str, verb: str, when: str, message: str) -> str:
    name = verb.lower().replace(" or ", "_")
    return (
        f"CREATE TRIGGER {table}_refuse_{name} BEFORE {verb} ON {table} "
        f"FOR EACH ROW {when}EXECUTE FUNCTION muniment_refuse('{message}')"
    )


def create_all(connection: sa.Connection) -> None:
    """The whole schema as the tables are today. Stores are made by migrations; this is what those must equal."""
    tables.metadata.create_all(connection)
    for statement in statements(connection.dialect.name):
        connection.exec_driver_sql(statement)

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
    return [*(_sqlite() if dialect == "sqlite" else _postgresql()), *words.DDL[dialect]]


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

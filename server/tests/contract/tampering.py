"""Changing one thing behind the store's back, in a transaction that is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from muniment_server.store import tables
from muniment_server.store.engine import Store

Change = Callable[[Any], Any]


def _flipped(value: Any) -> Any:
    """Bytes with one bit changed in the middle."""
    data = bytearray(value)
    data[len(data) // 2] ^= 1
    return bytes(data)


def _more(value: Any) -> Any:
    return (value or 0) + (1 if (value or 0) < 2**62 else -1)


def _other(value: Any) -> Any:
    return f"{value or ''}x"


def _digit(text: Any) -> Any:
    """A JSON text with one letter changed, still JSON."""
    return text.replace("a", "b", 1) if "a" in text else text.replace("e", "i", 1)


_LIVE = "payload IS NOT NULL"
CHANGES: tuple[tuple[str, str, Change | None, str], ...] = (
    ("ledger", "time", _more, ""), ("ledger", "action", _other, ""), ("ledger", "payload", _flipped, ""),
    ("ledger", "salt", _flipped, ""), ("ledger", "payload_hash", _flipped, ""), ("ledger", "", None, ""),
    ("revisions", "body", _digit, "body IS NOT NULL"), ("revisions", "hash", _flipped, ""), ("revisions", "", None, ""),
    ("points", "payload", _flipped, _LIVE), ("points", "digest", _flipped, _LIVE), ("points", "time", _more, ""),
    ("points", "count", _more, _LIVE), ("points", "step_max", _more, _LIVE), ("points", "", None, ""),
    ("segments", "payload", _flipped, ""), ("segments", "digest", _flipped, ""), ("segments", "last", _more, ""),
    ("segments", "points", _more, ""), ("segments", "", None, ""),
    ("segment_runs", "step_min", _more, ""), ("segment_runs", "timestamp_max", _more, ""),
    ("segment_runs", "", None, ""),
    ("runs", "name", _other, ""), ("runs", "attempt", _more, ""), ("runs", "valid_to", _more, "valid_to IS NOT NULL"),
    ("runs", "valid_from", _more, ""), ("runs", "", None, ""),
    ("experiments", "description", _other, ""), ("experiments", "created_at", _more, ""), ("experiments", "", None, ""),
    ("params", "value", _other, ""), ("params", "number", _more, ""), ("params", "valid_from", _more, ""),
    ("params", "", None, ""),
    ("tags", "value", _other, ""), ("tags", "valid_from", _more, ""), ("tags", "", None, ""),
    ("summaries", "count", _more, ""), ("summaries", "last_step", _more, "last_step < 9000000000"),
    ("summaries", "last", _more, "last IS NULL OR abs(last) < 1e9"), ("summaries", "min", _more, "abs(min) < 1e9"),
    ("summaries", "max_step", _more, "max_step < 9000000000"), ("summaries", "position", _more, ""),
    ("summaries", "", None, ""),
    ("tiles", "hashes", _flipped, "height = 0"), ("tiles", "hashes", _flipped, "height > 0"), ("tiles", "", None, ""),
    ("seals", "root", _flipped, ""), ("seals", "signature", _flipped, ""), ("seals", "size", _more, ""),
    ("seals", "", None, ""),
    ("records", "salt", _flipped, "no IN (SELECT record FROM revisions WHERE body IS NOT NULL)"),
    ("records", "kind", _other, ""),
    ("heads", "position", _more, ""), ("heads", "position", lambda value: value - 1, ""),
    ("keys", "name", _other, "no IN (SELECT key FROM summaries)"),
)  # fmt: skip
"""(table, column, what becomes of it, which rows); without a column, a row is deleted."""
BY_TABLE = {
    (table, where): [at for at, change in enumerate(CHANGES) if (change[0], change[3]) == (table, where)]
    for table, _, _, where in CHANGES
}
"""The numbers of the changes of each kind of row, so that every kind is as likely."""


@contextmanager
def unguarded(store: Store) -> Iterator[sa.Connection]:
    """A connection that neither triggers nor foreign keys stop, and whose changes are undone at the end."""
    with store._writing.connect() as connection, connection.begin() as transaction:
        if store.is_sqlite:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            triggers = connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            for (name,) in triggers.fetchall():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        yield connection
        transaction.rollback()


def tamper(connection: sa.Connection, project: int, number: int, pick: int) -> str | None:
    """Change one thing; what it was, or None if the store has no such row.

    Args:
        connection: an unguarded one.
        project: whose row.
        number: which of `CHANGES`.
        pick: which row.
    """
    table, column, change, where = CHANGES[number % len(CHANGES)]
    key = [part.name for part in tables.metadata.tables[table].primary_key.columns]
    condition = f"project_id = {project}" + (f" AND {where}" if where else "")
    names = ", ".join(key)
    wanted = f'"{column}"' if column else key[0]
    query = f"SELECT {names}, {wanted} FROM {table} WHERE {condition} ORDER BY {names}"
    found = connection.exec_driver_sql(query).fetchall()
    if not found:
        return None
    *values, old = found[pick % len(found)]
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    matches = " AND ".join(f"{name} = {mark}" for name in key)
    if change is None:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE {matches}", tuple(values))
        return f"{table}: deleted {values}"
    new = change(old)
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f'UPDATE {table} SET "{column}" = {mark} WHERE {matches}', (new, *values))
    except sa.exc.IntegrityError:  # there is a row like that already
        return None
    return f"{table}: changed {column} of {values} from {old!r} to {new!r}"


def table_of(done: str | None) -> str:
    """The table that was tampered with."""
    return "none" if done is None else done.partition(":")[0]

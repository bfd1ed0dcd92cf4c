"""Changing one thing behind the store's back, in a copy whose triggers are gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa

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


def tamper(url: str, project: int, number: int, pick: int) -> str | None:
    """Change one thing; what it was, or None if the store has no such row.

    Args:
        url: a copy of a store that nobody has open.
        project: whose row.
        number: which of `CHANGES`.
        pick: which row.
    """
    table, column, change, where = CHANGES[number % len(CHANGES)]
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _in_sqlite(str(parsed.database), project, table, column, change, where, pick)
    return _in_postgresql(url, project, table, column, change, where, pick)


def _in_sqlite(
    path: str, project: int, table: str, column: str, change: Change | None, where: str, pick: int
) -> str | None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        key = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
        found = connection.execute(_query(project, table, column, where, key)).fetchall()
        return _changed(connection.execute, "?", table, key, column, change, found, pick)
    finally:
        connection.close()


def _in_postgresql(
    url: str, project: int, table: str, column: str, change: Change | None, where: str, pick: int
) -> str | None:
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
        key = [
            row[0]
            for row in connection.execute(
                "SELECT a.attname FROM pg_index i "
                "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
                "WHERE i.indisprimary AND i.indrelid = %s::regclass ORDER BY a.attnum",
                (table,),
            ).fetchall()
        ]
        found = connection.execute(_query(project, table, column, where, key)).fetchall()
        return _changed(connection.execute, "%s", table, key, column, change, found, pick)


def _query(project: int, table: str, column: str, where: str, key: list[str]) -> str:
    names = ", ".join(key)
    wanted = f'"{column}"' if column else key[0]
    condition = f"project_id = {project}" + (f" AND {where}" if where else "")
    return f"SELECT {names}, {wanted} FROM {table} WHERE {condition} ORDER BY {names}"


def _changed(
    execute: Any, mark: str, table: str, key: list[str], column: str, change: Change | None, found: list[Any], pick: int
) -> str | None:
    if not found:
        return None
    *values, old = found[pick % len(found)]
    where = " AND ".join(f"{name} = {mark}" for name in key)
    if change is None:
        execute(f"DELETE FROM {table} WHERE {where}", tuple(values))
        return f"{table}: deleted {values}"
    new = change(old)
    try:
        execute(f'UPDATE {table} SET "{column}" = {mark} WHERE {where}', (new, *values))
    except (sqlite3.IntegrityError, psycopg.IntegrityError):  # there is a row like that already
        return None
    return f"{table}: changed {column} of {values} from {old!r} to {new!r}"


def table_of(done: str | None) -> str:
    """The table that was tampered with."""
    return "none" if done is None else done.partition(":")[0]

"""The schema of a database as text, the same text for the same schema, whatever way it came about."""

from __future__ import annotations

import re

import sqlalchemy as sa

_POSTGRESQL = (
    """SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
         CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
         CASE WHEN a.attstorage <> t.typstorage THEN ' storage ' || a.attstorage::text ELSE '' END
         || CASE WHEN a.attcollation <> t.typcollation THEN ' collate ' || l.collname ELSE '' END)
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
       LEFT JOIN pg_collation l ON l.oid = a.attcollation
       JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped""",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace AND contype IN ('f', 'c', 'u')""",
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    """SELECT format('%s partition %s', c.relname, pg_get_expr(c.relpartbound, c.oid)) FROM pg_class c
       WHERE c.relispartition AND c.relkind = 'r'""",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
)


def dump(connection: sa.Connection) -> str:
    """Everything that makes up the schema, one item a line, sorted."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
            "AND tbl_name <> 'alembic_version'"
        )
        lines = [row[0] for row in found]
    else:
        lines = [row[0] for query in _POSTGRESQL for row in connection.exec_driver_sql(query.replace("%", "%%"))]
    return (
        "\n".join(sorted(re.sub(r"\s+", " ", line).strip() for line in lines if "alembic_version" not in line)) + "\n"
    )

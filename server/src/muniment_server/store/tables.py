"""The tables, written by hand because indexes and constraints deserve an author.

Every large table leads with ``project_id``, and so do its keys, so that the same schema shards by project.
``project_id`` is the record number of the project in the system project, whose own number is 0.
Inside a project a record is known by a small number (``no``, ``run``, ``record``); its id, a UUID, is for the world.

A table whose rows have ``valid_from`` and ``valid_to`` keeps every version of a record, in positions: the current row
has no ``valid_to``, and partial indexes serve the present. `muniment_server.store.guards` adds what SQLAlchemy has no
words for: partitions, and triggers that refuse to rewrite history.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment.model.run import Code, Environment
from muniment_server.store.types import Bytes, Double, Id, Instant, Integer, Json, Small, Text

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
_SHARDED: dict[str, Any] = {"postgresql_partition_by": "HASH (project_id)", "info": {"sharded": True}}
_CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


def _table(name: str, *items: sa.schema.SchemaItem, **options: Any) -> sa.Table:
    return sa.Table(name, metadata, *items, sqlite_strict=True, **options)


def _column(name: str, type_: Any, *, null: bool = False, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=null, primary_key=key, autoincrement=False)


def _versions() -> tuple[sa.Column[Any], ...]:
    return (
        _column("project_id", Small, key=True),
        _column("no", Integer, key=True),
        _column("valid_from", Integer, key=True),
        _column("valid_to", Integer, null=True),
    )


def _record(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["project_id", "no"], ["records.project_id", "records.no"], name=f"{table}_record")


def _current(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.valid_to.is_(None)


def _index(name: str, table: sa.Table, *columns: Any, current: bool = False, unique: bool = False) -> None:
    where: dict[str, Any] = {"sqlite_where": _current(table), "postgresql_where": _current(table)} if current else {}
    sa.Index(name, *columns, unique=unique, **where)


# the store itself

meta = _table("meta", _column("key", Text, key=True), _column("value", Text), **_CLUSTERED)

leases = _table(
    "leases",
    _column("name", Text, key=True),
    _column("holder", Text),
    _column("expires_at", Instant()),
    **_CLUSTERED,
)

heads = _table(
    "heads",
    _column("project_id", Small, key=True),
    _column("position", Integer),
    _column("time", Instant()),
    _column("records", Integer),
    _column("keys", Integer),
    **_CLUSTERED,
)

# history

records = _table(
    "records",
    _column("project_id", Small, key=True),
    _column("no", Integer, key=True),
    _column("kind", Text),
    _column("id", Id()),
    _column("salt", Bytes, null=True),
    **_SHARDED,
    **_CLUSTERED,
)
_index("records_id", records, records.c.project_id, records.c.id, unique=True)

ledger = _table(
    "ledger",
    _column("project_id", Small, key=True),
    _column("position", Integer, key=True),
    _column("time", Instant()),
    _column("actor", Id()),
    _column("action", Text),
    _column("payload", Bytes),
    _column("salt", Bytes),
    _column("payload_hash", Bytes),
    **_SHARDED,
    **_CLUSTERED,
)

revisions = _table(
    "revisions",
    _column("project_id", Small, key=True),
    _column("position", Integer, key=True),
    _column("record", Integer, key=True),
    _column("kind", Text),
    _column("body", Text, null=True),
    _column("hash", Bytes),
    sa.ForeignKeyConstraint(["project_id", "record"], ["records.project_id", "records.no"], name="revisions_record"),
    **_SHARDED,
    **_CLUSTERED,
)
_index("revisions_by_record", revisions, revisions.c.project_id, revisions.c.record, revisions.c.position)

receipts = _table(
    "receipts",
    _column("project_id", Small, key=True),
    _column("token", Bytes, key=True),
    _column("request", Bytes),
    _column("time", Instant()),
    _column("answer", Bytes),
    **_SHARDED,
    **_CLUSTERED,
)
_index("receipts_by_time", receipts, receipts.c.project_id, receipts.c.time)

writers = _table(
    "writers",
    _column("project_id", Small, key=True),
    _column("writer", Id(), key=True),
    _column("sequence", Integer),
    _column("position", Integer),
    _column("points", Integer),
    **_SHARDED,
    **_CLUSTERED,
)

tiles = _table(
    "tiles",
    _column("project_id", Small, key=True),
    _column("height", Small, key=True),
    _column("number", Integer, key=True),
    _column("hashes", Bytes),
    **_SHARDED,
)

seals = _table(
    "seals",
    _column("number", Integer, key=True),
    _column("project_id", Small),
    _column("size", Integer),
    _column("time", Instant()),
    _column("root", Bytes),
    _column("previous", Bytes),
    _column("hash", Bytes),
    _column("key", Text),
    _column("signature", Bytes),
    **_CLUSTERED,
)
_index("seals_by_project", seals, seals.c.project_id, seals.c.size, unique=True)

# records, every version of them

projects = _table(
    "projects",
    *_versions(),
    _column("id", Id()),
    _column("slug", Text),
    _column("description", Text, null=True),
    _column("created_at", Instant()),
    _record("projects"),
    **_CLUSTERED,
)
_index("projects_slug", projects, projects.c.project_id, projects.c.slug, current=True, unique=True)

principals = _table(
    "principals",
    *_versions(),
    _column("id", Id()),
    _column("name", Text),
    _column("kind", Text),
    _column("created_at", Instant()),
    _record("principals"),
    **_CLUSTERED,
)
_index("principals_name", principals, principals.c.project_id, principals.c.name, current=True, unique=True)

experiments = _table(
    "experiments",
    *_versions(),
    _column("id", Id()),
    _column("name", Text),
    _column("description", Text, null=True),
    _column("lifecycle", Text),
    _column("created_at", Instant()),
    _record("experiments"),
    **_SHARDED,
    **_CLUSTERED,
)
_index("experiments_id", experiments, experiments.c.project_id, experiments.c.id, current=True)
_index("experiments_name", experiments, experiments.c.project_id, experiments.c.name, current=True, unique=True)

runs = _table(
    "runs",
    *_versions(),
    _column("id", Id()),
    _column("experiment", Id()),
    _column("name", Text),
    _column("kind", Text),
    _column("state", Text),
    _column("attempt", Integer),
    _column("parent", Id(), null=True),
    _column("lifecycle", Text),
    _column("description", Text, null=True),
    _column("user", Text, null=True),
    _column("code", Json(Code), null=True),
    _column("environment", Json(Environment), null=True),
    _column("seeds", Json(dict[str, int]), null=True),
    _column("created_at", Instant()),
    _column("started_at", Instant(), null=True),
    _column("ended_at", Instant(), null=True),
    _record("runs"),
    **_SHARDED,
    **_CLUSTERED,
)
_index("runs_by_experiment", runs, runs.c.project_id, runs.c.experiment, runs.c.no, current=True)
_index("runs_by_start", runs, runs.c.project_id, runs.c.started_at, runs.c.no, current=True)
_index("runs_by_name", runs, runs.c.project_id, runs.c.name, runs.c.no, current=True)

# what is logged to a run

keys = _table(
    "keys",
    _column("project_id", Small, key=True),
    _column("no", Integer, key=True),
    _column("name", Text),
    **_SHARDED,
    **_CLUSTERED,
)
_index("keys_name", keys, keys.c.project_id, keys.c.name, unique=True)


def prefix(table: sa.Table) -> sa.Function[str]:
    """What the value index holds, spelled as the index is, or SQLite would not see that it is the same."""
    return sa.func.substr(table.c.value, sa.literal_column("1"), sa.literal_column(str(PREFIX)))


params = _table(
    "params",
    _column("project_id", Small, key=True),
    _column("run", Integer, key=True),
    _column("key", Integer, key=True),
    _column("valid_from", Integer),
    _column("value", Text),
    _column("number", Double, null=True),
    **_SHARDED,
    **_CLUSTERED,
)
_index("params_value", params, params.c.project_id, params.c.key, prefix(params), params.c.run)

tags = _table(
    "tags",
    _column("project_id", Small, key=True),
    _column("run", Integer, key=True),
    _column("key", Integer, key=True),
    _column("valid_from", Integer, key=True),
    _column("valid_to", Integer, null=True),
    _column("value", Text),
    **_SHARDED,
    **_CLUSTERED,
)
_index("tags_value", tags, tags.c.project_id, tags.c.key, prefix(tags), tags.c.run, current=True)

summaries = _table(
    "summaries",
    _column("project_id", Small, key=True),
    _column("run", Integer, key=True),
    _column("key", Integer, key=True),
    _column("count", Integer),
    _column("last", Double, null=True),  # NULL is NaN, here and in `first`: SQLite has no other spelling for it
    _column("last_step", Integer),
    _column("last_timestamp", Integer),
    _column("first", Double, null=True),
    _column("first_step", Integer),
    _column("first_timestamp", Integer),
    _column("min", Double, null=True),
    _column("min_step", Integer, null=True),
    _column("max", Double, null=True),
    _column("max_step", Integer, null=True),
    _column("position", Integer),
    **_SHARDED,
    **_CLUSTERED,
)
_index("summaries_last", summaries, summaries.c.project_id, summaries.c.key, summaries.c.last, summaries.c.run)

points = _table(
    "points",
    _column("project_id", Small, key=True),
    _column("position", Integer, key=True),
    _column("run", Integer),
    _column("time", Instant()),
    _column("actor", Id()),
    _column("count", Integer),
    _column("step_min", Integer),
    _column("step_max", Integer),
    _column("digest", Bytes, null=True),
    _column("payload", Bytes, null=True),
    _column("payload_hash", Bytes, null=True),  # only of an erased entry, whose payload can be hashed no more
    **_SHARDED,
)
_index("points_digest", points, points.c.project_id, points.c.run, points.c.digest, unique=True)

segments = _table(
    "segments",
    _column("project_id", Small, key=True),
    _column("first", Integer, key=True),
    _column("last", Integer),
    _column("entries", Integer),
    _column("points", Integer),
    _column("digest", Bytes),
    _column("payload", Bytes, null=True),
    _column("location", Text, null=True),
    **_SHARDED,
)

segment_runs = _table(
    "segment_runs",
    _column("project_id", Small, key=True),
    _column("run", Integer, key=True),
    _column("segment", Integer, key=True),
    _column("step_min", Integer),
    _column("step_max", Integer),
    _column("timestamp_min", Integer),
    _column("timestamp_max", Integer),
    **_SHARDED,
    **_CLUSTERED,
)

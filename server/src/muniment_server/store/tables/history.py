"""The store itself, and the history of its projects."""

from __future__ import annotations

import sqlalchemy as sa

from muniment_server.store.tables.base import CLUSTERED, SHARDED, column, index, table
from muniment_server.store.types import Bytes, Id, Instant, Integer, Small, Text

meta = table("meta", column("key", Text, key=True), column("value", Text), **CLUSTERED)

leases = table(
    "leases",
    column("name", Text, key=True),
    column("holder", Text),
    column("expires_at", Instant()),
    **CLUSTERED,
)

heads = table(
    "heads",
    column("project_id", Small, key=True),
    column("position", Integer),
    column("time", Instant()),
    column("records", Integer),
    column("keys", Integer),
    **CLUSTERED,
)

# history

records = table(
    "records",
    column("project_id", Small, key=True),
    column("no", Integer, key=True),
    column("kind", Text),
    column("id", Id()),
    column("salt", Bytes, null=True),
    **SHARDED,
    **CLUSTERED,
)
index("records_id", records, records.c.project_id, records.c.id, unique=True)

ledger = table(
    "ledger",
    column("project_id", Small, key=True),
    column("position", Integer, key=True),
    column("time", Instant()),
    column("actor", Id()),
    column("action", Text),
    column("payload", Bytes),
    column("salt", Bytes),
    column("payload_hash", Bytes),
    **SHARDED,
    **CLUSTERED,
)

revisions = table(
    "revisions",
    column("project_id", Small, key=True),
    column("position", Integer, key=True),
    column("record", Integer, key=True),
    column("kind", Text),
    column("body", Text, null=True),
    column("hash", Bytes),
    sa.ForeignKeyConstraint(["project_id", "record"], ["records.project_id", "records.no"], name="revisions_record"),
    **SHARDED,
    **CLUSTERED,
)
index("revisions_by_record", revisions, revisions.c.project_id, revisions.c.record, revisions.c.position)

receipts = table(
    "receipts",
    column("project_id", Small, key=True),
    column("token", Bytes, key=True),
    column("request", Bytes),
    column("time", Instant()),
    column("answer", Bytes),
    **SHARDED,
    **CLUSTERED,
)
index("receipts_by_time", receipts, receipts.c.project_id, receipts.c.time)

writers = table(
    "writers",
    column("project_id", Small, key=True),
    column("writer", Id(), key=True),
    column("sequence", Integer),
    column("position", Integer),
    column("points", Integer),
    **SHARDED,
    **CLUSTERED,
)

tiles = table(
    "tiles",
    column("project_id", Small, key=True),
    column("height", Small, key=True),
    column("number", Integer, key=True),
    column("hashes", Bytes),
    **SHARDED,
)

seals = table(
    "seals",
    column("number", Integer, key=True),
    column("project_id", Small),
    column("size", Integer),
    column("time", Instant()),
    column("root", Bytes),
    column("previous", Bytes),
    column("hash", Bytes),
    column("key", Text),
    column("signature", Bytes),
    **CLUSTERED,
)
index("seals_by_project", seals, seals.c.project_id, seals.c.size, unique=True)

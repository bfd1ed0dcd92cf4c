"""What is logged to a run, and the keys of everything that is named."""

from __future__ import annotations

from muniment_server.store.tables.base import CLUSTERED, SHARDED, column, index, prefix, table
from muniment_server.store.types import Bytes, Double, Id, Instant, Integer, Small, Text

keys = table(
    "keys",
    column("project_id", Small, key=True),
    column("no", Integer, key=True),
    column("name", Text),
    **SHARDED,
    **CLUSTERED,
)
index("keys_name", keys, keys.c.project_id, keys.c.name, unique=True)


params = table(
    "params",
    column("project_id", Small, key=True),
    column("run", Integer, key=True),
    column("key", Integer, key=True),
    column("valid_from", Integer),
    column("value", Text),
    column("number", Double, null=True),
    **SHARDED,
    **CLUSTERED,
)
index("params_value", params, params.c.project_id, params.c.key, prefix(params), params.c.run)

tags = table(
    "tags",
    column("project_id", Small, key=True),
    column("run", Integer, key=True),
    column("key", Integer, key=True),
    column("valid_from", Integer, key=True),
    column("valid_to", Integer, null=True),
    column("value", Text),
    **SHARDED,
    **CLUSTERED,
)
"""Tags of records of every kind; `run` is the number of the record."""
index("tags_value", tags, tags.c.project_id, tags.c.key, prefix(tags), tags.c.run, current=True)

summaries = table(
    "summaries",
    column("project_id", Small, key=True),
    column("run", Integer, key=True),
    column("key", Integer, key=True),
    column("count", Integer),
    column("last", Double, null=True),  # NULL is NaN, here and in `first`: SQLite has no other spelling for it
    column("last_step", Integer),
    column("last_timestamp", Integer),
    column("first", Double, null=True),
    column("first_step", Integer),
    column("first_timestamp", Integer),
    column("min", Double, null=True),
    column("min_step", Integer, null=True),
    column("max", Double, null=True),
    column("max_step", Integer, null=True),
    column("position", Integer),
    **SHARDED,
    **CLUSTERED,
)
index("summaries_last", summaries, summaries.c.project_id, summaries.c.key, summaries.c.last, summaries.c.run)

points = table(
    "points",
    column("project_id", Small, key=True),
    column("position", Integer, key=True),
    column("run", Integer),
    column("time", Instant()),
    column("actor", Id()),
    column("count", Integer),
    column("step_min", Integer),
    column("step_max", Integer),
    column("digest", Bytes, null=True),
    column("payload", Bytes, null=True),
    column("payload_hash", Bytes, null=True),  # only of an erased entry, whose payload can be hashed no more
    **SHARDED,
)
index("points_digest", points, points.c.project_id, points.c.run, points.c.digest, unique=True)

segments = table(
    "segments",
    column("project_id", Small, key=True),
    column("first", Integer, key=True),
    column("last", Integer),
    column("entries", Integer),
    column("points", Integer),
    column("digest", Bytes),
    column("payload", Bytes, null=True),
    column("location", Text, null=True),
    **SHARDED,
)

segment_runs = table(
    "segment_runs",
    column("project_id", Small, key=True),
    column("run", Integer, key=True),
    column("segment", Integer, key=True),
    column("step_min", Integer),
    column("step_max", Integer),
    column("timestamp_min", Integer),
    column("timestamp_max", Integer),
    **SHARDED,
    **CLUSTERED,
)


scores = table(
    "scores",
    column("project_id", Small, key=True),
    column("evaluation", Integer, key=True),
    column("key", Integer, key=True),
    column("valid_from", Integer),
    column("value", Double, null=True),  # NULL is NaN
    **SHARDED,
    **CLUSTERED,
)
"""The metrics of evaluations, to search by; an evaluation never changes."""
index("scores_value", scores, scores.c.project_id, scores.c.key, scores.c.value, scores.c.evaluation)

"""What joins records: links in the direction of data, and what belongs to a record by a name, all kept in time."""

from __future__ import annotations

import sqlalchemy as sa

from muniment_server.store.tables.base import CLUSTERED, SHARDED, column, index, table
from muniment_server.store.types import Instant, Integer, Small, Text

links = table(
    "links",
    column("project_id", Small, key=True),
    column("downstream", Integer, key=True),
    column("upstream", Integer, key=True),
    column("type", Text, key=True),
    column("role", Text, key=True),
    column("run", Integer, key=True),  # 0 where no run is named
    column("valid_from", Integer, key=True),
    column("valid_to", Integer, null=True),
    column("source", Text),
    **SHARDED,
    **CLUSTERED,
)
index("links_upstream", links, links.c.project_id, links.c.upstream, links.c.downstream)


def _belongings(name: str, *content: sa.schema.SchemaItem) -> sa.Table:
    """A table of what belongs to a record by a name."""
    return table(
        name,
        column("project_id", Small, key=True),
        column("record", Integer, key=True),
        column("name", Text, key=True),
        column("valid_from", Integer, key=True),
        column("valid_to", Integer, null=True),
        *content,
        **SHARDED,
        **CLUSTERED,
    )


aliases = _belongings("aliases", column("target", Integer))
"""Names that mean a version of a model for now; the target is the version."""
index("aliases_target", aliases, aliases.c.project_id, aliases.c.target, aliases.c.name, current=True)

attachments = _belongings("attachments", column("target", Integer))
"""Artifacts of a record by path; the target is the artifact. What counts as a reference to it."""
index(
    "attachments_target", attachments, attachments.c.project_id, attachments.c.target, attachments.c.record,
    current=True,
)  # fmt: skip

facets = _belongings("facets", column("value", Text))
"""Named JSON documents about a record."""

names = _belongings("names", column("value", Text))
"""What other systems call a record: system, namespace and name, percent-encoded and joined by ``/``."""
index("names_name", names, names.c.project_id, names.c.name, current=True, unique=True)

uploads = table(
    "uploads",
    column("project_id", Small, key=True),
    column("location", Text, key=True),
    column("state", Text),
    column("since", Instant()),
    **SHARDED,
    **CLUSTERED,
)
"""Bytes that no record speaks for: they are on their way to one (``arriving``), or will be deleted (``doomed``)."""

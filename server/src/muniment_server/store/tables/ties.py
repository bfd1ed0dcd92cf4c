"""What joins records: links in the direction of data, and the names that mean a version for now."""

from __future__ import annotations

from muniment_server.store.tables.base import CLUSTERED, SHARDED, column, index, table
from muniment_server.store.types import Integer, Small, Text

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

aliases = table(
    "aliases",
    column("project_id", Small, key=True),
    column("record", Integer, key=True),
    column("name", Text, key=True),
    column("valid_from", Integer, key=True),
    column("valid_to", Integer, null=True),
    column("target", Integer),
    **SHARDED,
    **CLUSTERED,
)
index("aliases_target", aliases, aliases.c.project_id, aliases.c.target, aliases.c.name, current=True)

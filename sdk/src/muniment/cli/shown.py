"""Everything about one record, gathered for `muniment show`."""

from __future__ import annotations

from typing import Any

import msgspec

from muniment.cli.references import quoted
from muniment.client import Client
from muniment.model.artifact import Attachment
from muniment.model.errors import NotFound
from muniment.model.facet import Facet
from muniment.model.link import LineageQuery, Link, Node
from muniment.model.metric import Summary
from muniment.model.note import Note
from muniment.model.othername import NamedRecord
from muniment.model.run import RunData
from muniment.model.search import Kind, Query

WITH_ARTIFACTS = frozenset(("run", "dataset_version", "model_version", "evaluation"))
"""Kinds that have artifacts."""
NEIGHBOURS = 1_000
"""Records one link away that are read, in each direction."""
NOTES = 100
"""Notes that are read."""
VERSIONS = 1_000
"""Versions of a dataset that are read."""


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A record one link away."""

    record: Node
    link: Link


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A record with what belongs to it; what a kind does not have is empty."""

    kind: str
    name: str
    record: Any
    """As the API answers it."""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: dict[str, Summary] = {}
    versions: list[Any] = []
    """Of a dataset or model, oldest first."""
    aliases: dict[str, int] = {}
    artifacts: list[Attachment] = []
    facets: dict[str, Facet] = {}
    names: list[NamedRecord] = []
    notes: list[Note] = []
    upstream: list[Neighbour] = []
    downstream: list[Neighbour] = []
    called: dict[str, str] = {}
    """Names of records that its fields speak of, by id."""
    truncated: bool
    """Whether there are more neighbours."""
    position: int
    """Everything up to this position was considered."""


def gathered(client: Client, text: str, as_of: str | None) -> Shown:
    """Everything about the record that a reference means.

    Raises:
        NotFound: there is none.
        Gone: it was erased.
    """
    above = client.lineage(text, LineageQuery(direction="upstream", depth=1, limit=NEIGHBOURS, as_of=as_of))
    below = client.lineage(text, LineageQuery(direction="downstream", depth=1, limit=NEIGHBOURS, as_of=as_of))
    nodes = {node.id: node for node in (*above.nodes, *below.nodes)}
    root = nodes[above.root]
    called = {node.id: node.name for node in nodes.values()}
    made = Shown(
        kind=root.kind,
        name=root.name,
        record=root,
        upstream=[Neighbour(record=nodes[link.upstream], link=link) for link in above.links],
        downstream=[Neighbour(record=nodes[link.downstream], link=link) for link in below.links],
        called=called,
        truncated=above.truncated or below.truncated,
        position=above.position,
    )
    if root.kind == "foreign":  # of a record of another project, nothing more is known here
        return made
    kind: Kind = msgspec.convert(root.kind, Kind)
    notes = Query(kind="note", where=f"subject = '{root.id}'", limit=NOTES, as_of=as_of)
    return msgspec.structs.replace(
        made,
        artifacts=client.artifacts(root.id, as_of=as_of) if kind in WITH_ARTIFACTS else [],
        facets=client.facets(root.id, as_of=as_of),
        names=client.names(root.id, as_of=as_of),
        notes=client.search(notes).notes,
        **_of_its_kind(client, kind, root.id, as_of, called),
    )


def _of_its_kind(client: Client, kind: Kind, record: str, as_of: str | None, called: dict[str, str]) -> dict[str, Any]:
    """The record itself, and what only its kind has."""
    if kind == "run":
        data = client.get_run(record, as_of=as_of)
        called.setdefault(data.run.experiment, _one(client, "experiment", data.run.experiment, as_of).name)
        return {"record": data.run, **{family: getattr(data, family) for family in ("params", "tags", "metrics")}}
    if kind == "model":
        model = client.get_model(record, as_of=as_of)
        return {"record": model.model, "versions": model.versions, "aliases": model.aliases}
    found = _one(client, kind, record, as_of)
    if kind in {"dataset_version", "model_version"}:
        called.setdefault(getattr(found, kind.removesuffix("_version")), called[record].rpartition("@")[0])
    if kind != "dataset":
        return {"record": found}
    query = Query(
        kind="dataset_version", where=f"dataset = {quoted(record)}", order_by=["created_at"], limit=VERSIONS,
        as_of=as_of,
    )  # fmt: skip
    return {"record": found, "versions": client.search(query).dataset_versions}


def _one(client: Client, kind: Kind, record: str, as_of: str | None) -> Any:
    query = Query(kind=kind, where=f"id = {quoted(record)}", limit=1, as_of=as_of, lifecycle="any")
    found = getattr(client.search(query), f"{kind}s")
    if not found:
        raise NotFound(f"{kind} {record} cannot be read as of {as_of}" if as_of else f"{kind} {record} is gone")
    data = found[0]
    return data.run if isinstance(data, RunData) else data

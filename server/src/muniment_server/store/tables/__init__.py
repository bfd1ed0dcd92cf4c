"""The tables, written by hand because indexes and constraints deserve an author.

Every large table leads with ``project_id``, and so do its keys, so that the same schema shards by project.
``project_id`` is the record number of the project in the system project, whose own number is 0.
Inside a project a record is known by a small number (``no``, ``run``, ``record``); its id, a UUID, is for the world.

A table whose rows have ``valid_from`` and ``valid_to`` keeps every version of a record, in positions: the current row
has no ``valid_to``, and partial indexes serve the present. `muniment_server.store.guards` adds what SQLAlchemy has no
words for: partitions, and triggers that refuse to rewrite history.
"""

from muniment_server.store.tables.base import PARTITIONS, PREFIX, SYSTEM_PROJECT, metadata, prefix
from muniment_server.store.tables.history import (
    heads,
    leases,
    ledger,
    meta,
    receipts,
    records,
    revisions,
    seals,
    tiles,
    writers,
)
from muniment_server.store.tables.logged import keys, params, points, scores, segment_runs, segments, summaries, tags
from muniment_server.store.tables.nouns import (
    artifacts,
    dataset_versions,
    datasets,
    evaluations,
    experiments,
    facet_types,
    foreigns,
    jobs,
    model_versions,
    models,
    notes,
    principals,
    projects,
    runs,
    saved_views,
)
from muniment_server.store.tables.ties import aliases, attachments, facets, links, names, uploads

__all__ = [
    "PARTITIONS",
    "PREFIX",
    "SYSTEM_PROJECT",
    "aliases",
    "artifacts",
    "attachments",
    "dataset_versions",
    "datasets",
    "evaluations",
    "experiments",
    "facet_types",
    "facets",
    "foreigns",
    "heads",
    "jobs",
    "keys",
    "leases",
    "ledger",
    "links",
    "meta",
    "metadata",
    "model_versions",
    "models",
    "names",
    "notes",
    "params",
    "points",
    "prefix",
    "principals",
    "projects",
    "receipts",
    "records",
    "revisions",
    "runs",
    "saved_views",
    "scores",
    "seals",
    "segment_runs",
    "segments",
    "summaries",
    "tags",
    "tiles",
    "uploads",
    "writers",
]

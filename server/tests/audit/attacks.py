"""What somebody who owns the database can do to it, and what verification must say then.

A single change is described by the row before and after; `first_wrong` says where the history is wrong from then on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.sealed import Target
from muniment.model.canonical import canonical, salted
from muniment.model.dataset import Slice, Source
from muniment.model.evaluation import Threshold
from muniment.model.ledger import Verification, commands_payload, derived_salt
from muniment.model.merkle import TILE_WIDTH
from muniment.model.model import Framework, Signature
from muniment.model.run import Code, Environment, param_number
from muniment.model.schema import Column
from muniment_server.services.trust import key_id
from muniment_server.store import ledger, tables, tiles
from muniment_server.store.types import Id, Instant, Json

Row = dict[str, Any]

HISTORY = (
    tables.ledger, tables.revisions, tables.records, tables.keys, tables.points, tables.segments, tables.segment_runs,
    tables.summaries, tables.tiles, tables.seals, tables.heads, tables.runs, tables.experiments, tables.projects,
    tables.principals, tables.params, tables.tags, tables.jobs, tables.datasets, tables.dataset_versions,
    tables.models, tables.model_versions, tables.evaluations, tables.artifacts, tables.facet_types, tables.notes,
    tables.saved_views, tables.links, tables.aliases, tables.attachments, tables.facets, tables.names,
    tables.scores, tables.foreigns,
)  # fmt: skip
"""Every table of which verification must know whether it is right."""
KEPT_ASIDE = (tables.receipts, tables.writers, tables.leases, tables.uploads)
"""Tables that are no part of the history."""
_PLACES = {
    tables.ledger: "position", tables.revisions: "position", tables.points: "position",
    **{table: "valid_from" for table in HISTORY if "valid_from" in table.c},
}  # fmt: skip
"""The column that says which entry wrote a row."""
_WORDS = {
    "lifecycle": ("active", "deleted"),
    "state": ("running", "finished", "failed"),
    "kind": ("run", "experiment", "training", "evaluation", "person", "project"),
    "stage": ("none", "staging", "production", "archived"),
    "verdict": ("passed", "failed", "none"),
    "mode": ("off", "warn", "enforce"),
    "runs.kind": ("training", "evaluation"),
    "artifacts.lifecycle": ("active", "collected"),
    "foreigns.kind": ("run", "experiment"),
    "uploads.state": ("arriving", "doomed"),
    "links.type": ("used", "generated", "derived_from", "same_as"),
    "links.source": ("explicit", "column", "implicit", "manual", "inferred"),
}
"""Words that a column may hold, by its name, or by its table's name and its own."""
_DOCUMENTS: dict[str, tuple[Any, ...]] = {
    "code": (Code(commit="abd"), None),
    "environment": (Environment(python="3.12"), None),
    "seeds": ({"numpy": 99}, None),
    "sources": ([Source(uri="s3://a/c")], []),
    "schema": ([Column(name="age", type="int32")], []),
    "facet_types.schema": ({"type": "string"}, {}),
    "slices": ([Slice(name="test", rows=3)], []),
    "profile": ({"age": {"mean": 3.25}}, {}),
    "signature": (Signature(inputs=[Column(name="age")]), Signature()),
    "framework": (Framework(name="sklearn", version="1.6"), Framework(name="xgboost")),
    "metadata": ({"trees": 101}, {}),
    "metrics": ({"auc": math.nextafter(0.75, 1)}, {}),
    "thresholds": ({"auc": Threshold(min=0.25)}, {}),
    "saved_views.state": ({"order": "name"}, {"order": None}),
}
"""Documents that a column may hold, named likewise."""


class Where(msgspec.Struct, frozen=True):
    """The project in which something is wrong, and the least and greatest position that a finding may name."""

    project: int
    low: int
    high: int


def key_of(table: sa.Table, row: Row) -> sa.ColumnElement[bool]:
    """The condition that finds a row."""
    return sa.and_(*(column == row[column.name] for column in table.primary_key.columns))


def rows_of(connection: sa.Connection, table: sa.Table, target: Target) -> list[Row]:
    """The rows that are under a seal, in the order of their keys."""
    unsealed = target.projects["open"] if table in HISTORY else -1
    query = sa.select(table).order_by(*table.primary_key.columns)
    found: list[Row] = [dict(row._mapping) for row in connection.execute(query)]
    return [row for row in found if row.get("project_id") != unsealed or table in {tables.seals, tables.heads}]


def another(table: sa.Table, column: sa.Column[Any], row: Row, rows: list[Row], rng: Random) -> Any:
    """Another value that could stand in a column: near by, from another row, or missing."""
    value = row[column.name]
    found = [item[column.name] for item in rows if item[column.name] != value]
    choices = [rng.choice(found)] if found else []
    choices.extend(_near(table, column, value, rng))
    if column.nullable and value is not None:
        choices.append(None)
    choices = [choice for choice in choices if choice != value and not (choice is None and not column.nullable)]
    return rng.choice(choices)


def _near(table: sa.Table, column: sa.Column[Any], value: Any, rng: Random) -> Iterator[Any]:
    name = str(column)
    if isinstance(column.type, Json):
        yield from _DOCUMENTS.get(name) or _DOCUMENTS[column.name]
    elif name == "foreigns.lifecycle":
        yield "gone"
    elif name in _WORDS or (column.name in _WORDS and table is not tables.records):
        yield from _WORDS.get(name) or _WORDS[column.name]
    elif column.name == "project_id" and table in KEPT_ASIDE:
        yield value + 1  # there is such a project; rows of none are found, whatever they are
    elif isinstance(column.type, Id):
        yield f"{int(value or '0', 16) ^ (1 << rng.randrange(128)):032x}"
    elif isinstance(column.type, Instant):
        moment: datetime = value or datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        yield from (moment + timedelta(microseconds=1), moment - timedelta(days=1))
    elif isinstance(column.type, sa.Integer):
        yield from (0, 7) if value is None else (value + 1, value - 1)
    elif isinstance(column.type, sa.LargeBinary):
        yield bytes(32) if value is None else flipped(value, rng)
    elif isinstance(column.type, sa.Double):
        yield from (0.5,) if value is None else (math.nextafter(value, math.inf), value + 1)
    else:
        yield "x" if value is None else f"{value}x"


def flipped(value: bytes, rng: Random) -> bytes:
    """The same bytes with one bit changed."""
    at = rng.randrange(len(value))
    return value[:at] + bytes([value[at] ^ (1 << rng.randrange(8))]) + value[at + 1 :]


def update(connection: sa.Connection, table: sa.Table, row: Row, **values: Any) -> Row:
    """Change a row; the row after it."""
    connection.execute(sa.update(table).where(key_of(table, row)).values(values))
    return {**row, **values}


def insert(connection: sa.Connection, table: sa.Table, row: Row, **values: Any) -> Row:
    """Insert a copy of a row with other values."""
    made = {**row, **values}
    connection.execute(sa.insert(table).values(made))
    return made


def delete(connection: sa.Connection, table: sa.Table, row: Row) -> None:
    connection.execute(sa.delete(table).where(key_of(table, row)))


def first_wrong(
    connection: sa.Connection, target: Target, table: sa.Table, before: Row, after: Row | None
) -> Where | None:
    """Where the history is wrong once a row was changed (or deleted); None if it cannot be told beforehand."""
    now = before if after is None or after.get("project_id") != before.get("project_id") else after
    project = before.get("project_id", 0)
    if "erased" in (before.get("body") or "") or str(before.get("action")).endswith(".erase"):
        return None  # without what the erasure said, everything that it emptied is accused too, and that came before
    if table in _PLACES:
        place = min(before[_PLACES[table]], now[_PLACES[table]])
        return Where(project, place, place)
    if table is tables.segments:
        # a segment that claims more than there is lacks the entry after the last one
        return Where(project, min(before["first"], now["first"]), max(before["last"], now["last"]))
    if table is tables.segment_runs:
        return Where(project, min(before["segment"], now["segment"]), max(before["segment"], now["segment"]))
    if table is tables.summaries:
        return Where(project, before["position"], before["position"]) if _same_key(table, before, now) else None
    if table is tables.tiles:
        return _wrong_tile(target, before, None if after is None or now is before else after)
    if table is tables.seals and now is not before and now["number"] == before["number"]:
        begins = _begins(connection, project, before["size"] - 1)
        return Where(project, begins, begins)
    if table is tables.heads and now is not before and now["position"] != before["position"]:
        place = min(before["position"], now["position"]) + 1
        return Where(project, place, place)
    if table is tables.records:
        return _wrong_record(connection, before, now)
    return None


def _same_key(table: sa.Table, before: Row, after: Row) -> bool:
    return all(before[column.name] == after[column.name] for column in table.primary_key.columns)


def _wrong_tile(target: Target, before: Row, after: Row | None) -> Where:
    project, span = before["project_id"], TILE_WIDTH ** before["height"]
    first = before["number"] * TILE_WIDTH * span + 1
    if after is None or not _same_key(tables.tiles, before, after):
        return Where(project, 1, target.sealed[project])
    pairs = zip(_hashes(before["hashes"]), _hashes(after["hashes"]), strict=False)
    at = next(number for number, (old, new) in enumerate(pairs) if old != new)
    return Where(project, first + at * span, first + at * span)


def _hashes(tile: bytes) -> list[bytes]:
    return [tile[at : at + 32] for at in range(0, len(tile), 32)]


def _wrong_record(connection: sa.Connection, before: Row, after: Row) -> Where | None:
    revisions = tables.revisions
    query = sa.select(sa.func.min(revisions.c.position)).where(
        revisions.c.project_id == before["project_id"], revisions.c.record == before["no"]
    )
    if after["salt"] != before["salt"]:  # of a record that was erased, only what was said since then is salted with it
        query = query.where(revisions.c.body.isnot(None))
    place = connection.execute(query).scalar_one()
    return None if _was_emptied(connection, before) else Where(before["project_id"], place, 10**9)


def _was_emptied(connection: sa.Connection, record: Row) -> bool:
    """Whether a record was erased: then what names it is wrong too, wherever its points lie."""
    revisions = tables.revisions
    query = sa.select(revisions.c.position).where(
        revisions.c.project_id == record["project_id"],
        revisions.c.record == record["no"],
        revisions.c.body.is_(None),
    )
    return connection.execute(query.limit(1)).first() is not None


def _begins(connection: sa.Connection, project: int, position: int) -> int:
    """The first position under the seal that covers the entry after `position` entries."""
    size = sa.func.coalesce(sa.func.max(tables.seals.c.size), 0)
    query = sa.select(size).where(tables.seals.c.project_id == project, tables.seals.c.size <= position)
    return int(connection.execute(query).scalar_one()) + 1


def told(outcome: Verification, target: Target, where: Where | None) -> str | None:
    """What is wrong with the outcome of verifying an attacked store; None if it is as it must be."""
    if outcome.ok or not outcome.findings:
        return "nothing was found"
    if where is None:
        return None
    findings = outcome.findings
    of_project = [finding for finding in findings if finding.project == target.ids[where.project]]
    positions = [finding.position for finding in of_project if finding.position is not None]
    if not positions or not where.low <= min(positions) <= where.high:
        return f"expected a position from {where.low} to {where.high} of project {where.project}: {outcome.findings}"
    return None


# rewriting history consistently


def rewrite_param(connection: sa.Connection, target: Target, value: str, seal: Callable[[Row], Row] | None) -> Where:
    """Change a sealed param everywhere: its row, revision, entry, leaf, tiles; and the seals by `seal`, if given."""
    project = target.projects["default"]
    row = next(row for row in rows_of(connection, tables.params, target) if row["project_id"] == project)
    position, no = row["valid_from"], row["run"]
    name = connection.execute(
        sa.select(tables.keys.c.name).where(tables.keys.c.project_id == project, tables.keys.c.no == row["key"])
    ).scalar_one()
    update(connection, tables.params, row, value=value, number=param_number(value))
    revision = _one(connection, tables.revisions, project_id=project, position=position, record=no)
    record = _one(connection, tables.records, project_id=project, no=no)
    body = ledger.body_of(revision["body"])
    assert body is not None
    body["params"][name] = value
    text = canonical(body)
    digest = salted(derived_salt(record["salt"], position), text)
    update(connection, tables.revisions, revision, body=text.decode(), hash=digest)
    entry = _one(connection, tables.ledger, project_id=project, position=position)
    payload = commands_payload([("run", record["id"], digest)])
    update(connection, tables.ledger, entry, payload=payload, payload_hash=salted(entry["salt"], payload))
    begins = _begins(connection, project, position - 1)
    rebuild_tiles(connection, project, target.sealed[project])
    if seal is not None:
        _rewrite_seals(connection, target, project, position, seal)
    return Where(project, begins, begins)


def _one(connection: sa.Connection, table: sa.Table, **where: Any) -> Row:
    query = sa.select(table).where(*(table.c[name] == value for name, value in where.items()))
    return dict(connection.execute(query).one()._mapping)


def rebuild_tiles(connection: sa.Connection, project: int, size: int) -> None:
    """All tiles of a project, from its entries as they are now."""
    leaves = [entry.leaf for entry in ledger.entries(connection, project, 0, size)]
    connection.execute(sa.delete(tables.tiles).where(tables.tiles.c.project_id == project))
    tiles.write_tiles(connection, project, tiles.extend(tiles.Tree(connection, project), 0, leaves))


def _rewrite_seals(
    connection: sa.Connection, target: Target, project: int, position: int, seal: Callable[[Row], Row]
) -> None:
    """New roots for the seals of a project from a position on, and a chain that fits again."""
    tree = tiles.Tree(connection, project)
    previous: bytes | None = None
    for row in rows_of(connection, tables.seals, target):
        changed = dict(row)
        if row["project_id"] == project and row["size"] >= position:
            changed["root"] = tree.root(row["size"])
        elif previous is None:
            continue
        changed["previous"] = previous or row["previous"]
        changed["hash"] = tiles.hash_of(tiles.to_seal(_Attributes(changed), target.ids[row["project_id"]]))
        previous = changed["hash"]
        update(connection, tables.seals, row, **seal(changed))


class _Attributes:
    """A row whose columns are attributes, as `to_seal` reads them."""

    def __init__(self, row: Row) -> None:
        self.__dict__.update(row)


def unsigned(row: Row) -> Row:
    """A seal with its old signature."""
    return row


def signer(claimed: str | None = None) -> Callable[[Row], Row]:
    """Signs seals with a key of the attacker's own, which may claim to be another one."""
    own = Ed25519PrivateKey.generate()
    name = claimed or key_id(own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    return lambda row: {**row, "key": name, "signature": own.sign(row["hash"])}


def truncate(connection: sa.Connection, target: Target, count: int) -> Where:
    """Take the last entries of points off the project `big` everywhere, with heads, tiles and seals that fit."""
    project = target.projects["big"]
    size = target.sealed[project] - count
    head = _one(connection, tables.heads, project_id=project)
    for table, column in ((tables.points, tables.points.c.position), (tables.seals, tables.seals.c.size)):
        connection.execute(sa.delete(table).where(table.c.project_id == project, column > size))
    update(connection, tables.heads, head, position=size)
    left = sa.select(sa.func.max(tables.seals.c.size)).where(tables.seals.c.project_id == project)
    sealed = int(connection.execute(left).scalar_one())
    rebuild_tiles(connection, project, sealed)
    return Where(project, sealed + 1, size + 1)

"""Erasure: content goes, its place in the history stays (rule 5).

The salt of the record goes with the content, so what is left (hashes) cannot even be guessed at.
"""

from __future__ import annotations

import hashlib
import os

import msgspec
import sqlalchemy as sa

from muniment_server.store import words
from muniment_server.store.belongings import FAMILIES
from muniment_server.store.compaction import erased_from_segment
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of
from muniment_server.store.ledger import points_payload_hash
from muniment_server.store.tables import (
    links,
    params,
    points,
    receipts,
    records,
    revisions,
    scores,
    segment_runs,
    segments,
    summaries,
    tags,
)


class Erased(msgspec.Struct, frozen=True):
    """What an erasure removed; the history keeps it, so that nothing else can be passed off as erased.

    Attributes:
        points: positions of the entries whose points are gone.
        revisions: positions at which what was said of the record is gone.
    """

    points: list[int]
    revisions: list[int]


def erase(connection: sa.Connection, project_id: int, held: Held) -> tuple[Held, Erased]:
    """Erase everything that was recorded of a record.

    The record that is answered has a new salt, for what is said of it from now on.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")  # overwrite what is deleted
    erased = Erased(
        sorted(_erase_level0(connection, project_id, held) + _erase_level1(connection, project_id, held)),
        _positions_of_revisions(connection, project_id, held),
    )
    connection.execute(
        sa.update(revisions)
        .where(revisions.c.project_id == project_id, revisions.c.record == held.no)
        .values(body=None)
    )
    for table in (params, tags, summaries, segment_runs):
        connection.execute(sa.delete(table).where(table.c.project_id == project_id, table.c.run == held.no))
    for family in FAMILIES.values():
        mine = (family.table.c.project_id == project_id, family.table.c.record == held.no)
        connection.execute(sa.delete(family.table).where(*mine))
    connection.execute(sa.delete(scores).where(scores.c.project_id == project_id, scores.c.evaluation == held.no))
    table = kind_of(held.record).table
    connection.execute(sa.delete(table).where(table.c.project_id == project_id, table.c.no == held.no))
    connection.execute(sa.delete(links).where(links.c.project_id == project_id, links.c.downstream == held.no))
    words.erase(connection, project_id, held.no)
    _erase_receipts(connection, project_id, held.record.id)
    salt = os.urandom(16)
    connection.execute(
        sa.update(records).where(records.c.project_id == project_id, records.c.no == held.no).values(salt=salt)
    )
    return msgspec.structs.replace(held, salt=salt, params={}, tags={}), erased


def _positions_of_revisions(connection: sa.Connection, project_id: int, held: Held) -> list[int]:
    query = (
        sa.select(revisions.c.position)
        .where(revisions.c.project_id == project_id, revisions.c.record == held.no)
        .order_by(revisions.c.position)
    )
    return list(connection.scalars(query))


def _erase_level0(connection: sa.Connection, project_id: int, held: Held) -> list[int]:
    query = sa.select(points.c.position, points.c["count"], points.c.digest).where(
        points.c.project_id == project_id, points.c.run == held.no, points.c.payload.isnot(None)
    )
    found = connection.execute(query).all()
    for position, count, digest in found:
        hashed = points_payload_hash(held.salt, position, held.record.id, count, digest)
        connection.execute(
            sa.update(points)
            .where(points.c.project_id == project_id, points.c.position == position)
            .values(payload=None, digest=None, payload_hash=hashed, count=0, step_min=0, step_max=0)
        )
    return [row.position for row in found]


def _erase_level1(connection: sa.Connection, project_id: int, held: Held) -> list[int]:
    query = (
        sa.select(segments.c.first, segments.c.payload)
        .join(
            segment_runs,
            sa.and_(segment_runs.c.project_id == segments.c.project_id, segment_runs.c.segment == segments.c.first),
        )
        .where(segment_runs.c.project_id == project_id, segment_runs.c.run == held.no)
    )
    erased: list[int] = []
    for first, payload in connection.execute(query).all():
        left, count, positions = erased_from_segment(payload, held.record.id, held.salt)
        erased += positions
        connection.execute(
            sa.update(segments)
            .where(segments.c.project_id == project_id, segments.c.first == first)
            .values(payload=left, digest=hashlib.sha256(left).digest(), points=count)
        )
    return erased


def _erase_receipts(connection: sa.Connection, project_id: int, record: str) -> None:
    """Kept answers may hold what is erased."""
    query = sa.select(receipts.c.token, receipts.c.answer).where(receipts.c.project_id == project_id)
    tokens = [row.token for row in connection.execute(query) if record.encode() in row.answer]
    for token in tokens:
        connection.execute(sa.delete(receipts).where(receipts.c.project_id == project_id, receipts.c.token == token))

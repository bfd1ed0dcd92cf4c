"""Artifacts in the database: uploads under way, who refers to what, and what nobody refers to.

Bytes lie at a location that is used once. A location is at any moment in exactly one of three places: in `uploads` as
arriving, in a record as an active artifact's, or in `uploads` as doomed. It moves between them in transactions of the
project, so bytes that a record speaks for are never deleted, whatever happens at the same time or dies in between.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from muniment.model.artifact import Artifact, Referrer
from muniment_server.store import current, heads
from muniment_server.store.draft import Draft
from muniment_server.store.engine import Store
from muniment_server.store.held import Held
from muniment_server.store.tables import artifacts, attachments, ledger, records, uploads

AT_ONCE = 1_000
"""Artifacts collected in one transaction."""


def begin_upload(store: Store, project_id: int, location: str, now: datetime) -> None:
    """Say that bytes are on their way to a location."""
    with store.write() as connection:
        row = {"project_id": project_id, "location": location, "state": "arriving", "since": now}
        connection.execute(sa.insert(uploads), row)


def doom_upload(store: Store, project_id: int, location: str, now: datetime) -> None:
    """Say that bytes will not be spoken for, unless a record does."""
    with store.write() as connection:
        heads.lock(connection, project_id)  # so that no two wait for each other over several rows
        if connection.execute(
            sa.update(uploads).where(*_arriving(project_id, location)).values(state="doomed")
        ).rowcount:
            return
        # a collection may have swept the location and forgotten it before the bytes were there
        if not _known(connection, project_id, location):
            row = {"project_id": project_id, "location": location, "state": "doomed", "since": now}
            connection.execute(sa.insert(uploads), row)


def _known(connection: sa.Connection, project_id: int, location: str) -> bool:
    """Whether a location is doomed already, or a record speaks for it."""
    doomed = sa.exists().where(uploads.c.project_id == project_id, uploads.c.location == location)
    kept = sa.exists().where(
        artifacts.c.project_id == project_id, artifacts.c.location == location, artifacts.c.valid_to.is_(None),
        artifacts.c.lifecycle == "active",
    )  # fmt: skip
    return bool(connection.scalar(sa.select(sa.or_(doomed, kept))))


def arriving_below(store: Store, project_id: int, begin: str) -> set[str]:
    """The locations that begin so and that bytes are on their way to, or arrived at without being spoken for."""
    with store.read() as connection:
        return set(connection.scalars(sa.select(uploads.c.location).where(*_below(project_id, begin))))


def doom_below(store: Store, project_id: int, begin: str) -> None:
    """Let the bytes at the locations that begin so be deleted, unless a record speaks for them."""
    with store.write() as connection:
        heads.lock(connection, project_id)  # so that no two wait for each other over several rows
        connection.execute(sa.update(uploads).where(*_below(project_id, begin)).values(state="doomed"))


def _below(project_id: int, begin: str) -> tuple[sa.ColumnElement[bool], ...]:
    here = uploads.c.location.startswith(begin, autoescape=True)
    return uploads.c.project_id == project_id, here, uploads.c.state == "arriving"


def is_arriving(draft: Draft, location: str) -> bool:
    """Whether an upload may still be spoken for; False if it was given up."""
    query = sa.select(uploads.c.location).where(*_arriving(draft.project_id, location))
    return draft.connection.execute(query).first() is not None


def settle(draft: Draft, location: str, *, spoken_for: bool) -> None:
    """End an upload: a record of this draft speaks for it, or its bytes are to be deleted.

    This changes the database at once, so nothing of the draft may fail after it.
    """
    here = _arriving(draft.project_id, location)
    if spoken_for:
        draft.connection.execute(sa.delete(uploads).where(*here))
    else:
        draft.connection.execute(sa.update(uploads).where(*here).values(state="doomed"))


def _arriving(project_id: int, location: str) -> tuple[sa.ColumnElement[bool], ...]:
    return uploads.c.project_id == project_id, uploads.c.location == location, uploads.c.state == "arriving"


def doom(draft: Draft, location: str) -> None:
    """Let the bytes at a location be deleted once this draft is committed."""
    draft.connection.execute(
        sa.insert(uploads),
        {"project_id": draft.project_id, "location": location, "state": "doomed", "since": draft.time},
    )


def doomed(store: Store, project_id: int) -> list[str]:
    """Locations whose bytes are to be deleted."""
    with store.read() as connection:
        query = sa.select(uploads.c.location).where(uploads.c.project_id == project_id, uploads.c.state == "doomed")
        return list(connection.scalars(query.order_by(uploads.c.location).limit(10 * AT_ONCE)))


def forget(store: Store, project_id: int, locations: list[str]) -> None:
    """Forget locations whose bytes are gone."""
    with store.write() as connection:
        heads.lock(connection, project_id)  # so that no two wait for each other over several rows
        for start in range(0, len(locations), AT_ONCE):
            connection.execute(
                sa.delete(uploads).where(
                    uploads.c.project_id == project_id, uploads.c.location.in_(locations[start : start + AT_ONCE]),
                    uploads.c.state == "doomed",
                )
            )  # fmt: skip


def abandon(store: Store, project_id: int, before: datetime) -> int:
    """Give up uploads that began before a moment and never ended; how many."""
    with store.write() as connection:
        heads.lock(connection, project_id)  # so that no two wait for each other over several rows
        given_up = sa.update(uploads).where(
            uploads.c.project_id == project_id, uploads.c.state == "arriving", uploads.c.since < before
        )
        return int(connection.execute(given_up.values(state="doomed")).rowcount)


def abandoned(connection: sa.Connection, project_id: int, before: datetime) -> int:
    """How many uploads began before a moment and never ended."""
    query = sa.select(sa.func.count()).where(
        uploads.c.project_id == project_id, uploads.c.state == "arriving", uploads.c.since < before
    )
    return int(connection.execute(query).scalar_one())


def unreferenced(
    connection: sa.Connection, project_id: int, before: datetime, after: int = 0
) -> list[tuple[int, Artifact]]:
    """(number, artifact) of active artifacts that nothing refers to now and that arrived before a moment."""
    referred = sa.exists().where(
        attachments.c.project_id == artifacts.c.project_id, attachments.c.target == artifacts.c.no,
        attachments.c.valid_to.is_(None),
    )  # fmt: skip
    query = (
        current.versions("artifact")
        .join(
            ledger, sa.and_(ledger.c.project_id == artifacts.c.project_id, ledger.c.position == artifacts.c.valid_from)
        )
        .where(
            artifacts.c.project_id == project_id,
            artifacts.c.no > after,
            artifacts.c.valid_to.is_(None),
            artifacts.c.lifecycle == "active",
            ledger.c.time < before,
            ~referred,
        )
        .order_by(artifacts.c.no)
        .limit(AT_ONCE)
    )
    return [(row.no, current.to_record("artifact", row)) for row in connection.execute(query)]


def referrers(connection: sa.Connection, project_id: int, held: Held, at: int | None, limit: int) -> list[Referrer]:
    """Records that refer to an artifact, in order of their numbers and paths."""
    query = (
        sa.select(records.c.id, records.c.kind, attachments.c.name)
        .join(records, sa.and_(records.c.project_id == attachments.c.project_id, records.c.no == attachments.c.record))
        .where(attachments.c.project_id == project_id, attachments.c.target == held.no, current.at(attachments, at))
        .order_by(attachments.c.record, attachments.c.name)
        .limit(limit)
    )
    return [Referrer(record=row.id, kind=row.kind, path=row.name) for row in connection.execute(query)]


def count_references(connection: sa.Connection, project_id: int, held: Held, at: int | None) -> int:
    """How many references there are to an artifact."""
    query = sa.select(sa.func.count()).where(
        attachments.c.project_id == project_id, attachments.c.target == held.no, current.at(attachments, at)
    )
    return int(connection.execute(query).scalar_one())


def active_after(connection: sa.Connection, project_id: int, number: int) -> list[tuple[int, Artifact]]:
    """(number, artifact) of active artifacts, in order, some at a time."""
    query = (
        current.versions("artifact")
        .where(
            artifacts.c.project_id == project_id, artifacts.c.no > number, artifacts.c.valid_to.is_(None),
            artifacts.c.lifecycle == "active",
        )
        .order_by(artifacts.c.no)
        .limit(AT_ONCE)
    )  # fmt: skip
    return [(row.no, current.to_record("artifact", row)) for row in connection.execute(query)]

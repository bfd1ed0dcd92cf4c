"""What a store tells of itself to whoever asks whether it is well: `services.doctor`."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from muniment_server.store import projects, tiles
from muniment_server.store.backup import Spoken
from muniment_server.store.tables import artifacts, heads, leases, ledger, points, seals, uploads


class Lease(msgspec.Struct, frozen=True):
    """Who keeps a store, and until when."""

    holder: str
    expires_at: datetime


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A store at one moment.

    Attributes:
        newest: commit time of the latest entry of any project.
        keeper: who seals and compacts.
        unsealed: entries under no seal.
        waiting_since: commit time of the oldest of them.
        last_seal: the number of the latest seal.
        unpublished_since: when the first seal was made that is not published.
        artifacts: how many are active.
        stale_uploads: uploads that began before a moment and did not end, or whose bytes are still to be deleted.
    """

    newest: datetime | None
    keeper: Lease | None
    unsealed: int
    waiting_since: datetime | None
    last_seal: int
    unpublished_since: datetime | None
    artifacts: int
    stale_uploads: int


def clock(connection: sa.Connection) -> datetime | None:
    """What time it is for the database; None for SQLite, which has no clock of its own."""
    if connection.dialect.name == "sqlite":
        return None
    found: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    return found


def journal_mode(connection: sa.Connection) -> str | None:
    """How SQLite keeps its log; None for PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return None
    return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())


def look(connection: sa.Connection, published: int, before: datetime) -> State:
    """Look at a store.

    Args:
        connection: a snapshot.
        published: the number of the latest published seal.
        before: uploads that began earlier are stale.
    """
    lease = connection.execute(sa.select(leases).where(leases.c.name == "keeper")).first()
    unsealed, waiting = _unsealed(connection)
    oldest = sa.select(sa.func.min(seals.c.number)).where(seals.c.number > published).scalar_subquery()
    active = sa.and_(artifacts.c.valid_to.is_(None), artifacts.c.lifecycle == "active")
    return State(
        newest=connection.execute(sa.select(sa.func.max(heads.c.time))).scalar_one(),
        keeper=None if lease is None else Lease(lease.holder, lease.expires_at),
        unsealed=unsealed,
        waiting_since=waiting,
        last_seal=tiles.last_of_chain(connection)[0],
        unpublished_since=connection.execute(
            sa.select(seals.c.time).where(seals.c.number == oldest)
        ).scalar_one_or_none(),
        artifacts=connection.execute(sa.select(sa.func.count()).select_from(artifacts).where(active)).scalar_one(),
        stale_uploads=connection.execute(
            sa.select(sa.func.count()).select_from(uploads).where(uploads.c.since < before)
        ).scalar_one(),
    )


def _unsealed(connection: sa.Connection) -> tuple[int, datetime | None]:
    """(entries under no seal, commit time of the oldest)."""
    sizes = tiles.sealed_sizes(connection)
    count, times = 0, list[datetime]()
    for number, position in projects.positions(connection).items():
        sealed = sizes.get(number, 0)
        if position <= sealed:
            continue
        count += position - sealed
        for table in (ledger, points):
            query = sa.select(table.c.time).where(table.c.project_id == number, table.c.position > sealed)
            times += connection.scalars(query.order_by(table.c.position).limit(1)).all()
    return count, min(times, default=None)


def sample(connection: sa.Connection, count: int, largest: int) -> list[Spoken]:
    """Some active artifacts by chance, none larger than so many bytes."""
    query = (
        sa.select(artifacts.c.location, artifacts.c.digest, artifacts.c.size)
        .where(artifacts.c.valid_to.is_(None), artifacts.c.lifecycle == "active", artifacts.c.size <= largest)
        .order_by(sa.func.random())
        .limit(count)
    )
    return [Spoken(*row) for row in connection.execute(query)]

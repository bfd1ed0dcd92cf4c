"""Leases: which of several processes does a job that only one should do.

A lease spares work and is no lock: who holds one by mistake is stopped by keys and checks of the tables themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muniment_server.store.engine import Store
from muniment_server.store.statements import Prepared
from muniment_server.store.tables import leases


def _take(insert: Callable[[sa.Table], Any]) -> Any:
    statement = insert(leases)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": new.holder, "expires_at": new.expires_at},
        where=sa.or_(
            leases.c.holder == new.holder, leases.c.expires_at < sa.bindparam("now", type_=leases.c.expires_at.type)
        ),
    )


_TAKE = Prepared(_take)


def take(store: Store, name: str, holder: str, now: datetime, seconds: float) -> bool:
    """Take or renew a lease; whether `holder` has it now."""
    with store.read() as connection:
        row = connection.execute(sa.select(leases).where(leases.c.name == name)).first()
    if row is not None and row.holder != holder and row.expires_at >= now:
        return False
    if row is not None and row.holder == holder and row.expires_at > now + timedelta(seconds=seconds / 2):
        return True
    with store.write() as connection:
        expires = now + timedelta(seconds=seconds)
        _TAKE.many(connection, [{"name": name, "holder": holder, "expires_at": expires, "now": now}])
        found = connection.execute(sa.select(leases.c.holder).where(leases.c.name == name)).scalar_one()
    return bool(found == holder)


def give_back(store: Store, name: str, holder: str) -> None:
    """Let go of a lease, so that the next holder need not wait for it to expire."""
    with store.write() as connection:
        connection.execute(sa.delete(leases).where(leases.c.name == name, leases.c.holder == holder))

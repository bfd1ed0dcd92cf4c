"""What makes a repeated request known: receipts of idempotency keys, and each writer's high-water mark (rule 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from muniment_server.store.statements import Prepared, inserting
from muniment_server.store.tables import receipts, writers


class Receipt(msgspec.Struct, frozen=True):
    """An idempotency key with the request it came with.

    Attributes:
        token: 32 bytes of (principal, route, key).
        request: 32 bytes of the request's body.
        answer: the type of the answer, which is kept and given again.
    """

    token: bytes
    request: bytes
    answer: type


def receipt(principal: str, route: str, key: str, body: bytes, answer: type) -> Receipt:
    """The receipt of a request."""
    token = hashlib.sha256(f"{principal}\x00{route}\x00{key}".encode()).digest()
    return Receipt(token, hashlib.sha256(body).digest(), answer)


_FIND = sa.select(receipts).where(
    receipts.c.project_id == sa.bindparam("project_id"), receipts.c.token == sa.bindparam("token")
)


def find(connection: sa.Connection, project_id: int, token: bytes) -> dict[str, Any] | None:
    """The kept receipt."""
    found = connection.execute(_FIND, {"project_id": project_id, "token": token}).mappings().first()
    return None if found is None else dict(found)


def row(project_id: int, given: Receipt, time: datetime, answer: Any) -> dict[str, Any]:
    """The row to keep."""
    return {
        "project_id": project_id,
        "token": given.token,
        "request": given.request,
        "time": time,
        "answer": msgspec.msgpack.encode(answer),
    }


def answer_of(given: Receipt, kept: bytes) -> Any:
    """What the first request was answered."""
    return msgspec.msgpack.decode(kept, type=given.answer)


KEEP = inserting(receipts)


def _advance(insert: Callable[[sa.Table], Any]) -> Any:
    statement = insert(writers)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["project_id", "writer"],
        set_={"sequence": new.sequence, "position": new.position, "points": new.points},
        where=new.sequence > writers.c.sequence,
    )


ADVANCE = Prepared(_advance)


def writer_rows(project_id: int, advanced: dict[str, tuple[int, int, int]]) -> list[dict[str, Any]]:
    """The rows for `ADVANCE`: (sequence, position, points) by writer."""
    return [
        {"project_id": project_id, "writer": writer, "sequence": sequence, "position": position, "points": points}
        for writer, (sequence, position, points) in advanced.items()
    ]


_WRITER = Prepared(
    lambda _: sa.select(writers.c.sequence, writers.c.position, writers.c.points).where(
        writers.c.project_id == sa.bindparam("project_id"), writers.c.writer == sa.bindparam("writer")
    )
)


def writer_mark(connection: sa.Connection, project_id: int, writer: str) -> tuple[int, int, int] | None:
    """(sequence, position, points) of a writer's latest accepted request."""
    found = _WRITER.rows(connection, {"project_id": project_id, "writer": writer})
    return tuple(found[0]) if found else None


def writer_marks(connection: sa.Connection, project_id: int, wanted: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """(sequence, position, points) of the latest accepted request of each of some writers, of those that have one."""
    found: dict[str, tuple[int, int, int]] = {}
    for start in range(0, len(wanted), 5_000):
        query = sa.select(writers.c.writer, writers.c.sequence, writers.c.position, writers.c.points).where(
            writers.c.project_id == project_id, writers.c.writer.in_(wanted[start : start + 5_000])
        )
        found.update((row.writer, (row.sequence, row.position, row.points)) for row in connection.execute(query))
    return found


def expire(connection: sa.Connection, project_id: int, before: datetime) -> int:
    """Forget receipts older than `before`; how many."""
    gone = connection.execute(sa.delete(receipts).where(receipts.c.project_id == project_id, receipts.c.time < before))
    return gone.rowcount

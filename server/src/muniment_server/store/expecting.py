"""Looking up at once what many commands of one write will ask for one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from muniment_server.store import current
from muniment_server.store.dialects import among, numbers_for
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import KINDS, Key, name_of
from muniment_server.store.tables import names as names_table
from muniment_server.store.tables import records


class Expected(msgspec.Struct):
    """What commands will ask for.

    Attributes:
        names: keys of records, by kind.
        ids: of records.
        called: other systems' names.
    """

    names: dict[str, set[Key]] = {}
    ids: set[str] = set()
    called: set[str] = set()


def look_up(draft: Draft, expected: Expected) -> None:
    """Let a draft know which of these are there, and which are not."""
    absent = draft.transaction.absent
    for kind, keys in expected.names.items():
        wanted = {key for key in keys if draft.transaction.memory.named(kind, key) is None}
        found = {name_of(held.record) for held in _named(draft, kind, wanted)}
        absent.update((kind, key) for key in wanted if (kind, key) not in found)
    ids = set(expected.ids)
    if expected.called:
        meant = _called(draft, expected.called)
        absent.update(("called", name) for name in expected.called - meant.keys())
        ids.update(meant.values())
        draft.transaction.called.update(meant)
    wanted_ids = {record_id for record_id in ids if draft.transaction.memory.get(record_id) is None}
    known = _with_ids(draft, wanted_ids)
    absent.update(("id", record_id) for record_id in wanted_ids - known)


def _keep(draft: Draft, kind: str, query: sa.Select[Any]) -> list[Held]:
    found = []
    for row in draft.connection.execute(query):
        held = Held(row.no, cast("bytes", row.salt), current.to_record(kind, row))
        draft.transaction.read(held)
        found.append(held)
    return found


def _named(draft: Draft, kind: str, keys: set[Key]) -> list[Held]:
    """The records with some of the keys; the name is the last part of each key."""
    table = KINDS[kind].table
    texts = sorted({key[-1] for key in keys})
    query = current.held_query(kind).where(
        table.c.project_id == draft.project_id, _among_texts(draft, table.c[KINDS[kind].key[-1]], texts)
    )
    return [held for held in _keep(draft, kind, query) if KINDS[kind].key_of(held.record) in keys]


def _with_ids(draft: Draft, ids: set[str]) -> set[str]:
    """Those of some ids that records have; the records are remembered."""
    by_kind: dict[str, list[int]] = {}
    known = set()
    for start in range(0, len(ids), 5_000):
        part = sorted(ids)[start : start + 5_000]
        query = sa.select(records.c.no, records.c.id, records.c.kind).where(
            records.c.project_id == draft.project_id, records.c.id.in_(part)
        )
        for row in draft.connection.execute(query):
            known.add(row.id)
            by_kind.setdefault(row.kind, []).append(row.no)
    for kind, numbers in by_kind.items():
        chosen = sa.literal(numbers_for(draft.connection.dialect.name, sorted(numbers)), sa.types.NullType())
        _keep(draft, kind, current.held_query(kind).where(among(KINDS[kind].table.c.no, chosen)).where(
            KINDS[kind].table.c.project_id == draft.project_id
        ))  # fmt: skip
    return known


def _called(draft: Draft, names: set[str]) -> dict[str, str]:
    """The ids of the records that other systems' names mean."""
    joined = sa.and_(records.c.project_id == names_table.c.project_id, records.c.no == names_table.c.record)
    query = (
        sa.select(names_table.c.name, records.c.id)
        .join(records, joined)
        .where(
            names_table.c.project_id == draft.project_id,
            names_table.c.valid_to.is_(None),
            _among_texts(draft, names_table.c.name, sorted(names)),
        )
    )
    return {row.name: row.id for row in draft.connection.execute(query)}


def _among_texts(draft: Draft, column: sa.Column[Any], texts: Iterable[str]) -> Any:
    if draft.connection.dialect.name == "sqlite":
        listed = sa.func.json_each(msgspec.json.encode(list(texts)).decode()).table_valued("value")
        return column.in_(sa.select(listed.c.value))
    return column == sa.any_(sa.cast(sa.literal(list(texts), postgresql.ARRAY(sa.Text())), postgresql.ARRAY(sa.Text())))

"""Sealing: committed entries become leaves, tiles and a signed root (rule 6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
import sqlalchemy as sa

from muniment.model.ledger import Seal, seal_hash
from muniment_server.store import heads, ledger, tiles
from muniment_server.store.engine import Store
from muniment_server.store.types import to_micros

SEAL_ENTRIES = 10_000
"""Entries under one more seal at the most."""


class Signer(msgspec.Struct, frozen=True):
    """Who signs: a key's id and what it does to 32 bytes."""

    key: str
    sign: Callable[[bytes], bytes]


class Pending(msgspec.Struct, frozen=True):
    """A seal about to be written: everything but its place in the store's chain."""

    project_id: int
    project: str
    before: int
    size: int
    root: bytes
    tiles: dict[tuple[int, int], bytes]


def unsealed(connection: sa.Connection, positions: dict[int, int]) -> list[int]:
    """The projects that have entries under no seal."""
    sizes = tiles.sealed_sizes(connection)
    return sorted(project_id for project_id, position in positions.items() if position > sizes.get(project_id, 0))


def prepare(connection: sa.Connection, project_id: int, project: str, goal: int | None = None) -> Pending | None:
    """The next seal of a project, from committed entries only.

    Args:
        connection: a snapshot.
        project_id: the project's number.
        project: its id.
        goal: the last position to be sealed; None is the head.

    Raises:
        ValueError: the entries have a gap, so the history is damaged.
    """
    latest = tiles.latest_seal(connection, project_id, project)
    before = 0 if latest is None else latest.size
    until = min(heads.read(connection, project_id).position if goal is None else goal, before + SEAL_ENTRIES)
    if until <= before:
        return None
    entries = ledger.entries(connection, project_id, before, until)
    expected = list(range(before + 1, until + 1))
    if [entry.position for entry in entries] != expected:
        raise ValueError(
            f"positions {before + 1} to {until} of project {project} are not complete; run muniment verify"
        )
    tree = tiles.Tree(connection, project_id)
    changed = tiles.extend(tree, before, [entry.leaf for entry in entries])
    return Pending(project_id, project, before, until, tree.root(until), changed)


def write(store: Store, pending: list[Pending], signer: Signer, now: datetime) -> list[Seal]:
    """Write seals, unless somebody else sealed meanwhile; those that were written."""
    made: list[Seal] = []
    with store.write() as connection:
        number, previous = tiles.last_of_chain(connection)
        sizes = tiles.sealed_sizes(connection)
        for item in pending:
            if sizes.get(item.project_id, 0) != item.before:
                continue
            number += 1
            digest = seal_hash(number, to_micros(now), item.project, item.size, item.root.hex(), previous.hex())
            seal = Seal(
                number=number, time=now, project=item.project, size=item.size, root=item.root.hex(),
                previous=previous.hex(), hash=digest.hex(), key=signer.key, signature=signer.sign(digest).hex(),
            )  # fmt: skip
            tiles.write_tiles(connection, item.project_id, item.tiles)
            tiles.write_seal(connection, item.project_id, seal)
            previous = digest
            made.append(seal)
    return made

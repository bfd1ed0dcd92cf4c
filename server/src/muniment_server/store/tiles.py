"""Tiles and seals: the Merkle tree of each project, and the signed chain of roots over all of them (rule 6).

The leaf tile `number` of height 0 holds the leaves [256·number, 256·(number+1)); a tile of height h holds the roots
of 256 full tiles of height h−1. So any proof reads a few tiles, and 32 bytes an entry are kept for ever.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment.model import merkle
from muniment.model.ledger import Seal, seal_hash
from muniment.model.merkle import TILE_HEIGHT, TILE_WIDTH
from muniment_server.store.statements import Prepared, inserting
from muniment_server.store.tables import seals as seals_table
from muniment_server.store.tables import tiles
from muniment_server.store.types import to_micros

GENESIS = bytes(32)
"""`previous` of the first seal."""


class Tree:
    """The tree of one project, read tile by tile."""

    def __init__(self, connection: sa.Connection, project_id: int) -> None:
        self._connection = connection
        self._project_id = project_id
        self._tiles: dict[tuple[int, int], bytes] = {}

    def tile(self, height: int, number: int) -> bytes:
        """The hashes of a tile, concatenated; empty if there is none."""
        found = self._tiles.get((height, number))
        if found is None:
            found = self._connection.execute(
                sa.select(tiles.c.hashes).where(
                    tiles.c.project_id == self._project_id, tiles.c.height == height, tiles.c.number == number
                )
            ).scalar_one_or_none()
            found = self._tiles[height, number] = bytes(found or b"")
        return found

    def put(self, height: int, number: int, hashes: bytes) -> None:
        """Work with a tile that is about to be written."""
        self._tiles[height, number] = hashes

    def subtree(self, height: int, index: int) -> bytes:
        """The root of a full subtree (see `muniment.model.merkle.Subtree`).

        Raises:
            IndexError: it is not full.
        """
        level, inner = divmod(height, TILE_HEIGHT)
        first = index << inner  # the first hash wanted, counted over all tiles of this level
        number, offset = divmod(first, TILE_WIDTH)
        hashes = self.tile(level, number)[32 * offset : 32 * (offset + (1 << inner))]
        if len(hashes) != 32 << inner:
            raise IndexError(f"tile {level}/{number} does not reach {offset + (1 << inner)}")
        nodes = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        while len(nodes) > 1:
            nodes = [merkle.node(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
        return nodes[0]

    def leaf(self, position: int) -> bytes:
        """The leaf of an entry."""
        return self.subtree(0, position - 1)

    def root(self, size: int) -> bytes:
        """The root of the first `size` entries."""
        return merkle.root(size, self.subtree)


def extend(tree: Tree, size: int, leaves: list[bytes]) -> dict[tuple[int, int], bytes]:
    """The tiles that change when `leaves` follow the first `size` ones."""
    changed: dict[tuple[int, int], bytes] = {}
    height, at, hashes = 0, size, leaves
    while hashes:
        parents: list[bytes] = []
        parent_at = at // TILE_WIDTH
        while hashes:
            number, filled = divmod(at, TILE_WIDTH)
            taken = hashes[: TILE_WIDTH - filled]
            hashes = hashes[len(taken) :]
            whole = tree.tile(height, number)[: 32 * filled] + b"".join(taken)
            tree.put(height, number, whole)
            changed[height, number] = whole
            at += len(taken)
            if len(whole) == 32 * TILE_WIDTH:
                parents.append(merkle.root(TILE_WIDTH, merkle.from_leaves(_split(whole))))
        height, at, hashes = height + 1, parent_at, parents
    return changed


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


def _put(insert: Any) -> Any:
    statement = insert(tiles)
    return statement.on_conflict_do_update(
        index_elements=["project_id", "height", "number"], set_={"hashes": statement.excluded.hashes}
    )


_PUT = Prepared(_put)
_SEAL = inserting(seals_table)


def write_tiles(connection: sa.Connection, project_id: int, changed: dict[tuple[int, int], bytes]) -> None:
    """Write new and grown tiles."""
    rows = [
        {"project_id": project_id, "height": height, "number": number, "hashes": hashes}
        for (height, number), hashes in changed.items()
    ]
    _PUT.many(connection, rows)


def write_seal(connection: sa.Connection, project_id: int, seal: Seal) -> None:
    """Write a seal; the database refuses a second one of the same number."""
    _SEAL.many(connection, [{
        "number": seal.number, "project_id": project_id, "size": seal.size, "time": seal.time,
        "root": bytes.fromhex(seal.root), "previous": bytes.fromhex(seal.previous), "hash": bytes.fromhex(seal.hash),
        "key": seal.key, "signature": bytes.fromhex(seal.signature),
    }])  # fmt: skip


def to_seal(row: Any, project: str) -> Seal:
    """The record of a row."""
    return Seal(
        number=row.number, time=row.time, project=project, size=row.size, root=row.root.hex(),
        previous=row.previous.hex(), hash=row.hash.hex(), key=row.key, signature=row.signature.hex(),
    )  # fmt: skip


def latest_seal(connection: sa.Connection, project_id: int, project: str) -> Seal | None:
    """The latest seal of a project."""
    row = connection.execute(
        sa.select(seals_table)
        .where(seals_table.c.project_id == project_id)
        .order_by(seals_table.c.size.desc())
        .limit(1)
    ).first()
    return None if row is None else to_seal(row, project)


def seals(connection: sa.Connection, project_id: int, project: str, *, after: int, limit: int) -> list[Seal]:
    """Seals of a project after a seal number."""
    query = (
        sa.select(seals_table)
        .where(seals_table.c.project_id == project_id, seals_table.c.number > after)
        .order_by(seals_table.c.number)
        .limit(limit)
    )
    return [to_seal(row, project) for row in connection.execute(query)]


def every_seal(connection: sa.Connection, after: int, limit: int) -> list[Any]:
    """Rows of all projects' seals after a number, in order of the chain."""
    query = sa.select(seals_table).where(seals_table.c.number > after).order_by(seals_table.c.number).limit(limit)
    return list(connection.execute(query))


def last_of_chain(connection: sa.Connection) -> tuple[int, bytes]:
    """(number, hash) of the store's latest seal."""
    row = connection.execute(
        sa.select(seals_table.c.number, seals_table.c.hash).order_by(seals_table.c.number.desc()).limit(1)
    ).first()
    return (0, GENESIS) if row is None else (row.number, row.hash)


def sealed_sizes(connection: sa.Connection) -> dict[int, int]:
    """How many entries of each project are under a seal."""
    query = sa.select(seals_table.c.project_id, sa.func.max(seals_table.c.size)).group_by(seals_table.c.project_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def hash_of(seal: Seal) -> bytes:
    """The 32 bytes that a seal's signature must cover."""
    return seal_hash(seal.number, to_micros(seal.time), seal.project, seal.size, seal.root, seal.previous)


def inclusion(connection: sa.Connection, project_id: int, position: int, size: int) -> tuple[bytes, list[bytes]]:
    """(leaf, audit path) of an entry in the tree of `size`."""
    tree = Tree(connection, project_id)
    return tree.leaf(position), merkle.inclusion_proof(position - 1, size, tree.subtree)


def consistency(
    connection: sa.Connection, project_id: int, first: int, second: int
) -> tuple[bytes, bytes, list[bytes]]:
    """(root of first, root of second, proof)."""
    tree = Tree(connection, project_id)
    return tree.root(first), tree.root(second), merkle.consistency_proof(first, second, tree.subtree)

"""Seals against each other and against what was published; entries against seals and tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec
import sqlalchemy as sa

from muniment.model import merkle
from muniment.model.canonical import canonical, salted
from muniment.model.ledger import Finding, Seal, derived_salt
from muniment.model.merkle import TILE_HEIGHT, TILE_WIDTH
from muniment_server.store import heads, ledger, tiles
from muniment_server.store.tables import ledger as ledger_table
from muniment_server.store.tables import points, records, revisions, segments
from muniment_server.store.tables import tiles as tiles_table

WINDOW = 5_000
"""Entries checked at once."""


class Trust(Protocol):
    """What is known outside the database."""

    def verify(self, key: str, digest: bytes, signature: bytes) -> bool:
        """Whether a trusted key made the signature."""
        ...

    def checkpoints(self) -> Iterator[Seal]:
        """The published seals."""
        ...


class Sealed(msgspec.Struct):
    """The outcome of checking the chain of seals."""

    seals: dict[str, list[Seal]]
    """Of each project's id, in order, up to the first that is wrong."""
    findings: list[Finding]
    published: dict[str, int]
    """How many entries of each project the published checkpoints cover."""


def seals(connection: sa.Connection, ids: dict[int, str], trust: Trust) -> Sealed:
    """Check the chain of seals of the whole store.

    Args:
        connection: a snapshot.
        ids: every project's id by its number.
        trust: keys and published checkpoints.
    """
    outside = {seal.number: seal for seal in trust.checkpoints()}
    made = Sealed({}, [], {})
    number, previous = 0, tiles.GENESIS.hex()
    for row in _all_seals(connection):
        seal = tiles.to_seal(row, ids.get(row.project_id, ""))
        wrong = _wrong_seal(seal, number + 1, previous, trust) or _differs(seal, outside.get(seal.number))
        if wrong:
            made.findings.append(
                Finding(project=seal.project, position=_after(made, seal), where="seals", problem=wrong)
            )
            break
        made.seals.setdefault(seal.project, []).append(seal)
        number, previous = seal.number, seal.hash
    for seal in outside.values():
        if seal.number <= number:
            made.published[seal.project] = max(seal.size, made.published.get(seal.project, 0))
        elif not made.findings:
            problem = f"seal {seal.number} was published and is not in the store"
            made.findings.append(
                Finding(project=seal.project, position=_after(made, seal), where="seals", problem=problem)
            )
    return made


def _all_seals(connection: sa.Connection) -> Iterator[sa.Row[tuple[object, ...]]]:
    after = 0
    while rows := tiles.every_seal(connection, after, WINDOW):
        yield from rows
        after = rows[-1].number


def _after(made: Sealed, seal: Seal) -> int:
    known = made.seals.get(seal.project)
    return (known[-1].size if known else 0) + 1


def _wrong_seal(seal: Seal, number: int, previous: str, trust: Trust) -> str | None:
    if seal.number != number:
        return f"seal {number} is missing"
    if not seal.project:
        return f"seal {number} is of a project that does not exist"
    if seal.previous != previous:
        return f"seal {number} does not follow seal {number - 1}"
    if tiles.hash_of(seal).hex() != seal.hash:
        return f"seal {number} does not match its own hash"
    if not trust.verify(seal.key, bytes.fromhex(seal.hash), bytes.fromhex(seal.signature)):
        return f"seal {number} is not signed by a key of the trust folder"
    return None


def _differs(seal: Seal, published: Seal | None) -> str | None:
    if published is not None and published != seal:
        return f"seal {seal.number} is not the one that was published"
    return None


class Frontier:
    """The roots of a growing tree, from its leaves alone."""

    def __init__(self) -> None:
        self.size = 0
        self._full: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """One more leaf."""
        height, node = 0, leaf
        while self._full and self._full[-1][0] == height:
            node = merkle.node(self._full.pop()[1], node)
            height += 1
        self._full.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        """The root of the leaves so far."""
        if not self._full:
            return merkle.EMPTY_ROOT
        node = self._full[-1][1]
        for _, left in reversed(self._full[:-1]):
            node = merkle.node(left, node)
        return node


class Entries(msgspec.Struct):
    """The outcome of checking a project's entries."""

    count: int = 0
    finding: Finding | None = None


def entries(connection: sa.Connection, project_id: int, project: str, chain: list[Seal]) -> Entries:
    """Check every entry of a project: none missing, each as it was sealed, each with the content it names."""
    made = Entries()
    head = heads.read(connection, project_id).position
    sealed = chain[-1].size if chain else 0
    tree, frontier, waiting = tiles.Tree(connection, project_id), Frontier(), list(chain)
    suspect: tuple[int, str, str] | None = None
    end = max(head, sealed, _last_position(connection, project_id))
    for start in range(0, end, WINDOW):
        until = min(start + WINDOW, end)
        try:
            found = ledger.entries(connection, project_id, start, until)
        except ValueError as error:
            made.finding = _unreadable(connection, project_id, project, start, suspect, error)
            return made
        wrong = _content(connection, project_id, start, until)
        for expected in range(start + 1, until + 1):
            entry = found[expected - start - 1] if expected - start <= len(found) else None
            problem = _place(entry, expected, head)
            if problem or entry is None:
                made.finding = _finding(
                    project, suspect or (expected, entry.where if entry else "ledger", problem or "")
                )
                return made
            made.count += 1
            if suspect is None and expected in wrong:
                suspect = (expected, *wrong[expected])
            if suspect is None and expected <= sealed and _tile_leaf(tree, expected) != entry.leaf:
                suspect = (expected, entry.where, "the entry is not the one in the tree")
            frontier.add(entry.leaf)
            if waiting and frontier.size == waiting[0].size:
                seal = waiting.pop(0)
                if frontier.root().hex() != seal.root:
                    begins = frontier.size if not chain else _begin(chain, seal)
                    made.finding = _finding(
                        project,
                        suspect
                        or (
                            begins,
                            entry.where,
                            f"entries {begins} to {seal.size} are not those of seal {seal.number}",
                        ),
                    )
                    return made
                if suspect is not None:
                    where = "tiles" if suspect[2].startswith("the entry is not") else suspect[1]
                    made.finding = _finding(project, (suspect[0], where, _tampered(where, suspect[2])))
                    return made
    if suspect is not None:
        made.finding = _finding(project, suspect)
        return made
    made.finding = _upper_tiles(connection, project_id, project, sealed)
    return made


def _begin(chain: list[Seal], seal: Seal) -> int:
    before = chain.index(seal)
    return (chain[before - 1].size if before else 0) + 1


def _tampered(where: str, problem: str) -> str:
    return "the tile does not hold the leaf of the sealed entry" if where == "tiles" else problem


def _finding(project: str, found: tuple[int, str, str]) -> Finding:
    return Finding(project=project, position=found[0], where=found[1], problem=found[2])


def _unreadable(
    connection: sa.Connection,
    project_id: int,
    project: str,
    after: int,
    suspect: tuple[int, str, str] | None,
    error: ValueError,
) -> Finding:
    """The finding for a segment that cannot be read: its first position, unless something before it is wrong."""
    if suspect is not None:
        return _finding(project, suspect)
    query = (
        sa.select(segments.c.first, segments.c.payload)
        .where(segments.c.project_id == project_id, segments.c.last > after)
        .order_by(segments.c.first)
    )
    for first, payload in connection.execute(query):
        try:
            list(ledger.segment_entries(connection, project_id, payload))
        except ValueError:
            return _finding(project, (first, "segments", str(error)))
    return _finding(project, (after + 1, "segments", str(error)))


def _last_position(connection: sa.Connection, project_id: int) -> int:
    last = 0
    for table, column in (
        (ledger_table, ledger_table.c.position), (points, points.c.position), (segments, segments.c.last)
    ):  # fmt: skip
        found = connection.execute(sa.select(sa.func.max(column)).where(table.c.project_id == project_id)).scalar()
        last = max(last, found or 0)
    return last


def _place(entry: ledger.Located | None, expected: int, head: int) -> str | None:
    if entry is None or entry.position > expected:
        return f"entry {expected} is missing"
    if entry.position < expected:
        return f"position {entry.position} is taken twice"
    if expected > head:
        return f"entry {expected} is beyond the head, which stands at {head}"
    return None


def _tile_leaf(tree: tiles.Tree, position: int) -> bytes | None:
    try:
        return tree.leaf(position)
    except IndexError:
        return None


def _content(connection: sa.Connection, project_id: int, after: int, until: int) -> dict[int, tuple[str, str]]:
    """(table, problem) of each commands entry whose payload or revisions are not what it names."""
    wrong: dict[int, tuple[str, str]] = {}
    named = _revisions(connection, project_id, after, until, wrong)
    query = sa.select(ledger_table).where(
        ledger_table.c.project_id == project_id, ledger_table.c.position > after, ledger_table.c.position <= until
    )
    seen = set()
    for row in connection.execute(query):
        seen.add(row.position)
        if salted(row.salt, row.payload) != row.payload_hash:
            wrong[row.position] = ("ledger", "the payload does not match its hash")
        elif canonical({"revisions": named.get(row.position, [])}) != row.payload:
            wrong.setdefault(row.position, ("revisions", "the revisions are not those that the entry names"))
    for position in set(named) - seen:
        wrong.setdefault(position, ("revisions", "there are revisions without an entry"))
    return wrong


def _revisions(
    connection: sa.Connection, project_id: int, after: int, until: int, wrong: dict[int, tuple[str, str]]
) -> dict[int, list[list[str]]]:
    query = (
        sa.select(revisions, records.c.id, records.c.salt, records.c.kind.label("registered"))
        .join(
            records,
            sa.and_(records.c.project_id == revisions.c.project_id, records.c.no == revisions.c.record),
            isouter=True,
        )
        .where(revisions.c.project_id == project_id, revisions.c.position > after, revisions.c.position <= until)
        .order_by(revisions.c.position, revisions.c.record)
    )
    named: dict[int, list[list[str]]] = {}
    for row in connection.execute(query):
        if row.id is None or row.registered != row.kind:
            wrong[row.position] = ("records", "a revision is of a record that is not registered as such")
            continue
        named.setdefault(row.position, []).append([row.kind, row.id, row.hash.hex()])
        if row.body is not None and salted(derived_salt(row.salt, row.position), row.body.encode()) != row.hash:
            wrong[row.position] = ("revisions", f"the revision of {row.kind} {row.id} does not match its hash")
    return named


def _upper_tiles(connection: sa.Connection, project_id: int, project: str, sealed: int) -> Finding | None:
    """Tiles above the leaves must be the roots of those below; none may be cut short or too many."""
    tree = tiles.Tree(connection, project_id)
    query = sa.select(tiles_table).where(tiles_table.c.project_id == project_id)
    height, width = 0, sealed
    expected: dict[tuple[int, int], int] = {}
    while width:
        for number in range(-(-width // TILE_WIDTH)):
            expected[height, number] = min(TILE_WIDTH, width - number * TILE_WIDTH)
        height, width = height + 1, width // TILE_WIDTH
    for row in connection.execute(query.order_by(tiles_table.c.height, tiles_table.c.number)):
        count = expected.pop((row.height, row.number), 0)
        span = TILE_WIDTH**row.height
        position = row.number * TILE_WIDTH * span + 1
        if len(row.hashes) != 32 * count:
            return _finding(
                project, (min(position, sealed), "tiles", f"tile {row.height}/{row.number} has the wrong length")
            )
        for at in range(count if row.height else 0):
            below = tree.subtree(TILE_HEIGHT * row.height, row.number * TILE_WIDTH + at)
            again = _roots_below(tree, row.height, row.number * TILE_WIDTH + at)
            if below != again:
                return _finding(
                    project,
                    (position + at * span, "tiles", f"tile {row.height}/{row.number} is not the root of those below"),
                )
    if expected:
        height, number = min(expected)
        position = number * TILE_WIDTH ** (height + 1) + 1
        return _finding(project, (position, "tiles", f"tile {height}/{number} is missing"))
    return None


def _roots_below(tree: tiles.Tree, height: int, index: int) -> bytes:
    hashes = tree.tile(height - 1, index)
    return merkle.root(TILE_WIDTH, merkle.from_leaves([hashes[at : at + 32] for at in range(0, len(hashes), 32)]))

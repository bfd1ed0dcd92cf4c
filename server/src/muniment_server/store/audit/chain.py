"""Seals against each other and against what was published; entries against seals and tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec
import sqlalchemy as sa

from muniment.model import merkle
from muniment.model.ledger import Finding, Seal
from muniment.model.merkle import TILE_HEIGHT, TILE_WIDTH
from muniment_server.store import heads, ledger, tiles
from muniment_server.store.audit import Report, content, erasures
from muniment_server.store.tables import tiles as tiles_table

WINDOW = 5_000
"""Entries checked at once."""
_LOWEST = -(2**62)


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

    @property
    def broken(self) -> bool:
        """Whether seals are wrong, so that it is not known how far projects were sealed."""
        return bool(self.findings)


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
            seal = outside.get(number + 1, seal)  # the one that should be here tells best which project is concerned
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
    after = _LOWEST  # a number before the first is as wrong as one after the last
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


class _Walk:
    """Walks along a project's entries, holding each against the tree and the seals."""

    def __init__(self, connection: sa.Connection, project_id: int, chain: list[Seal]) -> None:
        self.connection = connection
        self.project_id = project_id
        self.chain = chain
        self.waiting = list(chain)
        self.sealed = chain[-1].size if chain else 0
        self.head = heads.read(connection, project_id).position
        self.tree = tiles.Tree(connection, project_id)
        self.frontier = Frontier()
        self.erasures = erasures.of_project(connection, project_id)
        self.suspect: Place | None = None

    def window(self, after: int, until: int) -> Place | None:
        """Check the entries of positions (after, until]; where it is wrong for certain."""
        try:
            found = ledger.entries(self.connection, self.project_id, after, until)
            wrong = content.wrong(self.connection, self.project_id, after, until, self.erasures)
        except Exception as error:  # noqa: BLE001 - whatever was put there must be a finding
            if until - after > 1:
                middle = (after + until) // 2
                return self.window(after, middle) or self.window(middle, until)
            return self.suspect or (until, "ledger", f"entry {until} cannot be read: {error}")
        for expected in range(after + 1, until + 1):
            entry = found[expected - after - 1] if expected - after <= len(found) else None
            problem = _place(entry, expected, self.head)
            if problem or entry is None:
                at = expected if entry is None else min(expected, entry.position)
                return self.suspect or (at, entry.where if entry else "ledger", problem or "")
            certain = self._entry(entry, wrong.get(expected))
            if certain:
                return certain
        return None

    def _entry(self, entry: ledger.Located, wrong: tuple[str, str] | None) -> Place | None:
        position = entry.position
        if self.suspect is None and wrong is not None:
            self.suspect = (position, *wrong)
        if self.suspect is None and entry.erased and not self.erasures.of_points(entry.erased, position):
            self.suspect = (position, entry.where, "the points are gone, and no erasure removed them")
        if self.suspect is None and position <= self.sealed and _tile_leaf(self.tree, position) != entry.leaf:
            self.suspect = (position, entry.where, "the entry is not the one in the tree")
        self.frontier.add(entry.leaf)
        if not self.waiting or self.frontier.size != self.waiting[0].size:
            return None
        seal = self.waiting.pop(0)
        if self.frontier.root().hex() != seal.root:
            begins = _begin(self.chain, seal)
            problem = f"entries {begins} to {seal.size} are not those of seal {seal.number}"
            return self.suspect or (begins, entry.where, problem)
        if self.suspect is not None and self.suspect[2].startswith("the entry is not"):
            return (self.suspect[0], "tiles", "the tile does not hold the leaf of the sealed entry")
        return self.suspect


Place = tuple[int, str, str]
"""(position, table, problem)."""


def entries(
    connection: sa.Connection, project_id: int, project: str, chain: list[Seal], report: Report, *, broken: bool
) -> Entries:
    """Check every entry of a project: none missing, each as it was sealed, each with the content it names.

    Args:
        connection: a snapshot.
        project_id: the project.
        project: its id.
        chain: its seals, as far as they are right.
        report: hears how far it is.
        broken: whether there may be more seals than these.
    """
    before = content.outside(connection, project_id)
    if before is not None:
        return Entries(0, _finding(project, before))
    walk = _Walk(connection, project_id, chain)
    end = max(walk.head, walk.sealed, content.last_position(connection, project_id))
    for start in range(0, end, WINDOW):
        wrong = walk.window(start, min(start + WINDOW, end))
        if wrong:
            return Entries(walk.frontier.size, _finding(project, wrong))
        report("entries", min(start + WINDOW, end), end)
    wrong = walk.suspect or _upper_tiles(connection, project_id, walk.sealed, broken=broken)
    return Entries(walk.frontier.size, None if wrong is None else _finding(project, wrong))


def _begin(chain: list[Seal], seal: Seal) -> int:
    before = chain.index(seal)
    return (chain[before - 1].size if before else 0) + 1


def _finding(project: str, found: Place) -> Finding:
    return Finding(project=project, position=found[0], where=found[1], problem=found[2])


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


def _upper_tiles(connection: sa.Connection, project_id: int, sealed: int, *, broken: bool) -> Place | None:
    """Tiles above the leaves must be the roots of those below; none may be cut short or too many."""
    tree = tiles.Tree(connection, project_id)
    expected = _expected_tiles(sealed)
    query = sa.select(tiles_table).where(tiles_table.c.project_id == project_id)
    for row in connection.execute(query.order_by(tiles_table.c.height, tiles_table.c.number)):
        count = expected.pop((row.height, row.number), None)
        span = TILE_WIDTH ** max(row.height, 0)
        position = max(1, min(row.number * TILE_WIDTH * span + 1, max(sealed, 1)))
        if broken and (count is None or len(row.hashes) > 32 * count):
            continue  # how far the project was sealed is not known, and that is a finding already
        if count is None or len(row.hashes) != 32 * count:
            return (position, "tiles", f"tile {row.height}/{row.number} has the wrong length, or should not be")
        for at in range(count if row.height else 0):
            index = row.number * TILE_WIDTH + at
            if len(tree.tile(row.height - 1, index)) != 32 * TILE_WIDTH:
                problem = f"tile {row.height - 1}/{index} is missing or cut short"
                return (position + at * span, "tiles", problem)
            if tree.subtree(TILE_HEIGHT * row.height, index) != _roots_below(tree, row.height, index):
                problem = f"tile {row.height}/{row.number} is not the root of those below"
                return (position + at * span, "tiles", problem)
    if expected:
        height, number = min(expected)
        return (number * TILE_WIDTH ** (height + 1) + 1, "tiles", f"tile {height}/{number} is missing")
    return None


def _expected_tiles(sealed: int) -> dict[tuple[int, int], int]:
    """How many hashes each tile holds when so many entries are sealed."""
    expected: dict[tuple[int, int], int] = {}
    height, width = 0, sealed
    while width:
        for number in range(-(-width // TILE_WIDTH)):
            expected[height, number] = min(TILE_WIDTH, width - number * TILE_WIDTH)
        height, width = height + 1, width // TILE_WIDTH
    return expected


def _roots_below(tree: tiles.Tree, height: int, index: int) -> bytes:
    hashes = tree.tile(height - 1, index)
    return merkle.root(TILE_WIDTH, merkle.from_leaves([hashes[at : at + 32] for at in range(0, len(hashes), 32)]))

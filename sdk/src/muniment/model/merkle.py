"""The Merkle tree of RFC 6962: roots, inclusion proofs and consistency proofs, over 32-byte leaf hashes.

A leaf hash here is already ``sha256(0x00 ‖ entry)`` (see `muniment.model.ledger`); this module never hashes entries.
Proofs are built from a function that gives the root of any full, aligned subtree, so that a store can answer from
tiles and a test from a plain list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
"""Leaves in one tile."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

Subtree = Callable[[int, int], bytes]
"""``subtree(height, index)``: the root over leaves ``[index·2^height, (index+1)·2^height)``, all of which exist."""


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def from_leaves(leaves: Sequence[bytes]) -> Subtree:
    """The subtree function over a plain list of leaf hashes."""

    def subtree(height: int, index: int) -> bytes:
        level = list(leaves[index << height : (index + 1) << height])
        if len(level) != 1 << height:
            raise IndexError(f"the subtree of height {height} at {index} is not full")
        while len(level) > 1:
            level = [node(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        return level[0]

    return subtree


def root(size: int, subtree: Subtree) -> bytes:
    """The root of the first `size` leaves."""
    return EMPTY_ROOT if size == 0 else _range_root(0, size, subtree)


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def _range_root(start: int, end: int, subtree: Subtree) -> bytes:
    size = end - start
    height = size.bit_length() - 1
    if size == 1 << height and start % size == 0:
        return subtree(height, start >> height)
    middle = start + _split(size)
    return node(_range_root(start, middle, subtree), _range_root(middle, end, subtree))


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The audit path of leaf `index` (from 0) in the tree of `size` leaves, from the leaf upwards."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, subtree))
            end = middle
        else:
            path.append(_range_root(start, middle, subtree))
            start = middle
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether `proof` shows that `leaf` stands at `index` in the tree of `size` leaves with root `expected`."""
    if not 0 <= index < size:
        return False
    position, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            current = node(sibling, current)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            current = node(current, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and current == expected


def consistency_proof(first: int, second: int, subtree: Subtree) -> list[bytes]:
    """The proof that the tree of `first` leaves is a prefix of the tree of `second` leaves."""
    if not 0 <= first <= second:
        raise IndexError(f"a tree of {first} is no prefix of a tree of {second}")
    if first in (0, second):
        return []
    path: list[bytes] = []
    start, end, size, whole = 0, second, first, True
    while size != end - start:
        middle = start + _split(end - start)
        if size <= middle - start:
            path.append(_range_root(middle, end, subtree))
            end = middle
        else:
            path.append(_range_root(start, middle, subtree))
            size -= middle - start
            start = middle
            whole = False
    if not whole:
        path.append(_range_root(start, end, subtree))
    return path[::-1]


def verify_consistency(first: int, second: int, old: bytes, new: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `first` leaves (root `old`) grew into `second` leaves (root `new`)."""
    if first == second:
        return old == new and not proof
    if first == 0:
        return old == EMPTY_ROOT and not proof
    if first > second or not proof:
        return False
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, old)  # a full tree is its own first proof node
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    first_root = second_root = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first_root = node(sibling, first_root)
            second_root = node(sibling, second_root)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            second_root = node(second_root, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and first_root == old and second_root == new

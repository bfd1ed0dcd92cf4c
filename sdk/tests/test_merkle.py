from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from muniment.model import merkle


def leaves_of(size: int) -> list[bytes]:
    return [hashlib.sha256(b"\x00" + str(number).encode()).digest() for number in range(size)]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 100, 255, 256, 257, 600])
def test_roots_agree_with_another_implementation(size: int) -> None:
    other = InmemoryTree(algorithm="sha256")
    for number in range(size):
        other.append_entry(str(number).encode())
    assert merkle.root(size, merkle.from_leaves(leaves_of(size))) == other.get_root()


@given(st.integers(1, 300), st.data())
def test_inclusion_is_shown_and_only_of_what_is_there(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    subtree = merkle.from_leaves(leaves_of(size))
    root, leaf = merkle.root(size, subtree), leaves_of(size)[index]
    proof = merkle.inclusion_proof(index, size, subtree)
    assert merkle.verify_inclusion(leaf, index, size, proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index) if size > 1 else st.just(-1))
    assert not merkle.verify_inclusion(leaf, other, size, proof, root)
    assert not merkle.verify_inclusion(hashlib.sha256(leaf).digest(), index, size, proof, root)
    assert not merkle.verify_inclusion(leaf, index, size, [*proof, leaf], root)
    if proof:
        assert not merkle.verify_inclusion(leaf, index, size, proof[:-1], root)


@given(st.integers(0, 300), st.integers(0, 300))
def test_growth_is_shown_and_rewriting_is_not(one: int, two: int) -> None:
    first, second = sorted((one, two))
    leaves = leaves_of(second)
    subtree = merkle.from_leaves(leaves)
    old, new = merkle.root(first, subtree), merkle.root(second, subtree)
    proof = merkle.consistency_proof(first, second, subtree)
    assert merkle.verify_consistency(first, second, old, new, proof)
    if 0 < first < second:
        forged = [hashlib.sha256(leaf).digest() for leaf in leaves[:first]] + leaves[first:]
        rewritten = merkle.root(second, merkle.from_leaves(forged))
        assert not merkle.verify_consistency(first, second, old, rewritten, proof)
        assert not merkle.verify_consistency(first, second, new, new, proof)


def test_a_tree_can_be_read_from_tiles() -> None:
    with pytest.raises(IndexError):
        merkle.from_leaves(leaves_of(3))(1, 1)

"""Graphs drawn as trees."""

from __future__ import annotations

from itertools import pairwise

from muniment.cli.trees import twigs
from muniment.model.link import Direction, Lineage, Link, Node


def record(name: str) -> str:
    return f"{ord(name):032x}"


def lineage(*links: str, root: str = "a", direction: Direction = "downstream", kinds: str = "") -> Lineage:
    """Links are written `ab`: from a to b; names in `kinds` are runs, others models."""
    names = sorted({name for link in links for name in link} | {root})
    nodes = [Node(id=record(name), kind="run" if name in kinds else "model", name=name, depth=0) for name in names]
    made = [Link(upstream=record(up), downstream=record(down), type="used", position=1) for up, down in links]
    return Lineage(root=record(root), direction=direction, nodes=nodes, links=made, truncated=False, position=9)


def shape(found: Lineage, kinds: frozenset[str] | None = None) -> list[str]:
    return [
        "".join(" " if last else "|" for last in twig.lasts)
        + twig.node.name
        + {"": "", "above": "^", "below": "v"}[twig.seen]
        for twig in twigs(found, kinds)
    ]


def test_a_diamond_is_unfolded_once() -> None:
    assert shape(lineage("ab", "ac", "bd", "cd", "de")) == ["a", "|b", "| d", "|  e", " c", "  d^"]
    assert shape(lineage("ab", "ac", "bd", "cd", "de", root="e", direction="upstream")) == [
        "e", " d", " |b", " | a", "  c", "   a^",
    ]  # fmt: skip


def test_a_record_stands_where_it_is_nearest_to_the_root() -> None:
    assert shape(lineage("ab", "bc", "ac", "cd")) == ["a", "|b", "| cv", " c", "  d"]


def test_kinds_that_are_not_shown_are_passed_through() -> None:
    found = lineage("ab", "bc", "bd", "ce", kinds="b")
    assert shape(found, frozenset({"model"})) == ["a", "|c", "| e", " d"]
    assert [twig.how for twig in twigs(found, frozenset({"model"}))] == ["", "…", "used", "…"]
    assert shape(found, frozenset({"run"})) == ["a", " b"]
    assert shape(lineage("ab"), frozenset({"run"})) == ["a"]


def test_a_circle_ends() -> None:
    assert shape(lineage("ab", "ba")) == ["a", " b", "  a^"]


def test_a_long_chain_and_a_wide_fan_are_drawn() -> None:
    names = [chr(0x4E00 + at) for at in range(2_000)]
    chain = lineage("a" + names[0], *(one + other for one, other in pairwise(names)))
    assert len(twigs(chain)) == 2_001
    assert len(twigs(lineage(*("a" + name for name in names)))) == 2_001

"""A graph drawn as a tree: a record that is met again is unfolded once and referred to elsewhere."""

from __future__ import annotations

from typing import Literal

import msgspec

from muniment.model.link import Lineage, Node

Children = dict[str, dict[str, list[str]]]
"""By record: the records that follow from it, each with the links between them in words."""
PASSED = "…"
"""What is said of a link that leads over records that are not shown."""


class Twig(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a tree.

    Attributes:
        lasts: for each level below the root, whether the branch there is the last of its parent.
        node: the record.
        how: links from its parent to it, such as ``used (training)``.
        seen: where it is unfolded, if not here.
    """

    lasts: tuple[bool, ...]
    node: Node
    how: str
    seen: Literal["", "above", "below"] = ""


def twigs(found: Lineage, kinds: frozenset[str] | None = None) -> list[Twig]:
    """The lines of a lineage as a tree, from its root on, depth first.

    A record is unfolded under the first of its parents that is nearest to the root.

    Args:
        found: with all kinds of records.
        kinds: kinds to show; others are passed through, so what follows from them stands in their place.
    """
    nodes = {node.id: node for node in found.nodes}
    children = _children(found)
    if kinds is not None:
        children = _passed(children, {node.id for node in found.nodes if node.kind in kinds}, found.root)
    order = {node.id: at for at, node in enumerate(sorted(found.nodes, key=lambda node: (node.kind, node.name)))}
    children = {
        parent: dict(sorted(below.items(), key=lambda item: order[item[0]])) for parent, below in children.items()
    }
    home = _homes(found.root, children)
    made: list[Twig] = []
    unfolded: set[str] = set()
    waiting: list[tuple[str, str | None, str, tuple[bool, ...]]] = [(found.root, None, "", ())]
    while waiting:
        at, parent, how, lasts = waiting.pop()
        if at in unfolded or home[at] != parent:
            made.append(Twig(lasts=lasts, node=nodes[at], how=how, seen="above" if at in unfolded else "below"))
            continue
        unfolded.add(at)
        made.append(Twig(lasts=lasts, node=nodes[at], how=how))
        branches = list(children.get(at, {}).items())
        for place in range(len(branches) - 1, -1, -1):
            child, words = branches[place]
            waiting.append((child, at, ", ".join(words), (*lasts, place == len(branches) - 1)))
    return made


def _children(found: Lineage) -> Children:
    made: Children = {}
    for link in found.links:
        ends = (link.downstream, link.upstream) if found.direction == "upstream" else (link.upstream, link.downstream)
        words = f"{link.type} ({link.role})" if link.role else link.type
        made.setdefault(ends[0], {}).setdefault(ends[1], []).append(words)
    return made


def _passed(children: Children, shown: set[str], root: str) -> Children:
    """The same with the records that are not shown left out, and what follows from them put in their place."""
    made: Children = {}
    for parent in (root, *(shown - {root})):
        below: dict[str, list[str]] = {}
        looked, waiting = {parent}, [(child, words) for child, words in children.get(parent, {}).items()]
        while waiting:
            at, words = waiting.pop()
            if at in looked:
                continue
            looked.add(at)
            if at in shown:
                below[at] = words
            else:
                waiting.extend((child, [PASSED]) for child in children.get(at, {}))
        made[parent] = below
    return made


def _homes(root: str, children: Children) -> dict[str, str | None]:
    """The parent under which each record is unfolded."""
    home: dict[str, str | None] = {root: None}
    level = [root]
    while level:
        following = []
        for parent in level:
            for child in children.get(parent, {}):
                if child not in home:
                    home[child] = parent
                    following.append(child)
        level = following
    return home

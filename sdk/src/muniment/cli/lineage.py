"""`muniment lineage`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from muniment.cli.options import AsOfOption, JsonOption, ProjectOption, UrlOption, opened
from muniment.cli.references import RECORD_HELP, hinting, reference
from muniment.cli.screen import Screen
from muniment.cli.spelling import cut
from muniment.cli.trees import Twig, twigs
from muniment.model.errors import InvalidInput
from muniment.model.graphviz import picture
from muniment.model.link import NODES_LIMIT, Lineage, LineageQuery
from muniment.model.prov import document


class Format(StrEnum):
    """How a lineage is written."""

    TREE = "tree"
    DOT = "dot"
    PROV = "prov"
    JSON = "json"


def lineage(
    record: Annotated[str, typer.Argument(help=RECORD_HELP)],
    downstream: Annotated[
        bool, typer.Option("--downstream/--upstream", help="What came of it, or what it came from.")
    ] = False,
    depth: Annotated[int, typer.Option(min=1, max=1000, help="Links to follow at the most.")] = 100,
    kinds: Annotated[
        str | None, typer.Option(help="Only these, such as run,dataset_version; others are passed through.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=NODES_LIMIT, help="Records at the most.")] = 1000,
    form: Annotated[
        Format, typer.Option("--format", help="A tree, Graphviz's DOT, W3C PROV-JSON, or the API's JSON.")
    ] = Format.TREE,
    as_of: AsOfOption = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """What a record descends from, or with --downstream what descends from it, as a tree.

    A record that is met again is unfolded once, and elsewhere referred to as above or below. --json is --format json:
    {"root", "direction", "nodes", "links", "truncated", "position"}.

    Examples:
      muniment lineage model:digits@champion

      muniment lineage dataset:digits@1 --downstream --depth 1

      muniment lineage dataset:scikit-learn/digits@latest --downstream --kinds model_version,evaluation

      muniment lineage model:digits@champion --format dot | dot -Tsvg > lineage.svg
    """
    wanted = None if kinds is None else [kind.strip().replace("-", "_") for kind in kinds.split(",") if kind.strip()]
    form = Format.JSON if json else form
    tree = form is Format.TREE
    with opened(url, project) as client:
        meant = reference(client, record, as_of)
        query = LineageQuery(
            direction="downstream" if downstream else "upstream", depth=depth, limit=limit, as_of=as_of,
            kinds=None if tree or wanted is None else ",".join(wanted),
        )  # fmt: skip
        with hinting(client, [meant], as_of):
            found = client.lineage(meant, query)
        slug = client.project
    screen = Screen()
    if tree:
        show(screen, found, None if wanted is None else frozenset(wanted))
    elif form is Format.DOT:
        screen.raw(picture(found))
    else:
        screen.json(found if form is Format.JSON else document(found, slug))


def show(screen: Screen, found: Lineage, kinds: frozenset[str] | None) -> None:
    """Print a lineage as a tree.

    Raises:
        InvalidInput: there is nothing of these kinds, though something else.
    """
    made = twigs(found, kinds)
    if len(made) == 1 and len(found.nodes) > 1:
        there = ", ".join(sorted({node.kind for node in found.nodes if node.id != found.root}))
        raise InvalidInput(f"nothing there is of kind {', '.join(sorted(kinds or ()))}; there is {there}")
    for twig in made:
        _draw(screen, twig)
    if len(made) == 1:
        screen.line((f"nothing is recorded {found.direction} of it", "dim"))
    if found.truncated:
        screen.line(("there is more; --depth and --limit go further", "dim"))


def _draw(screen: Screen, twig: Twig) -> None:
    glyphs = screen.glyphs
    stem = "".join("   " if last else glyphs.trunk for last in twig.lasts[:-1])
    if twig.lasts:
        stem += glyphs.corner if twig.lasts[-1] else glyphs.branch
    kind = twig.node.kind.replace("_", " ")
    name = "" if twig.node.name == twig.node.id else f" {screen.shown(twig.node.name)}"
    how = f"  {twig.how}" if twig.how else ""
    tail = f"  {twig.seen}" if twig.seen and name else f"  {twig.node.id}" + (f"  {twig.seen}" if twig.seen else "")
    room = screen.width - len(stem) - len(kind) - len(tail) - len(how)
    if room < len(name):  # how it is linked goes before the name is cut
        room, how = room + len(how), ""
    parts = [(stem, "dim"), (kind, "cyan"), (cut(name, max(room, 13), glyphs.more), "bold" if not twig.lasts else "")]
    screen.line(*parts, (how, "dim"), (tail, "yellow" if twig.seen else "dim"))

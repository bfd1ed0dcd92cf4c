"""`muniment compare`."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from muniment.cli.options import AsOfOption, JsonOption, ProjectOption, UrlOption, opened
from muniment.cli.references import RECORD_HELP, hinting, reference
from muniment.cli.screen import Screen
from muniment.cli.spelling import NONE, number, value
from muniment.cli.tables import Column
from muniment.model.question import Comparison
from muniment.model.run import param_number

FIELD = 30
"""Columns of a field's name at the most, where there is little room."""
CELL = 20
"""Columns to which a value may be cut."""


def compare(
    records: Annotated[list[str], typer.Argument(help=f"Two or more records of one kind. {RECORD_HELP}")],
    as_of: AsOfOption = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """What tells records apart: only the fields that differ; of runs also params, tags, metrics and their data.

    The greatest (▲) and the least (▼) of numbers are marked. With --json: {"records", "different": {field: [a value
    for each record]}, "same": fields they share, "position"}.

    Examples:
      muniment compare neural-network-09 neural-network-22

      muniment compare model:digits@1 model:digits@champion

      muniment compare dataset:digits@1 dataset:breast-cancer@1 --json
    """
    with opened(url, project) as client:
        meant = [reference(client, text, as_of) for text in records]
        with hinting(client, meant, as_of):
            found = client.compare(meant, as_of=as_of)
    screen = Screen()
    if json:
        screen.json(found)
    else:
        show(screen, found)


def show(screen: Screen, found: Comparison) -> None:
    """Print a comparison, as many records beside one another as fit."""
    labels = [letters(at) for at in range(len(found.records))]
    names = [node.name for node in found.records]
    screen.table([
        Column(head="", cells=labels, style="bold"),
        Column(head="", cells=names, least=CELL),
        Column(head="", cells=[node.id for node in found.records], style="dim"),
    ])  # fmt: skip
    if not found.different:
        screen.line(f"they share all {found.same} fields")
        return
    fields = list(found.different)
    field = Column(head="field", cells=fields, least=FIELD, within=True)
    sides = [_side(screen, found, at, label) for at, label in enumerate(labels)]
    for block in blocks([side.floor for side in sides], screen.width - field.floor):
        screen.line()
        screen.table([field, *(sides[at] for at in block)])
    screen.line((f"{found.same} other fields are the same", "dim"))


def letters(at: int) -> str:
    """A short name for one of some records: A to Z, then AA and so on."""
    first, last = divmod(at, 26)
    return (letters(first - 1) if first else "") + chr(ord("A") + last)


def blocks(widths: list[int], room: int) -> list[list[int]]:
    """Which columns stand beside one another: as many as fit, at least one."""
    made: list[list[int]] = [[]]
    left = room
    for at, width in enumerate(widths):
        if made[-1] and left < width + 2:
            made.append([])
            left = room
        made[-1].append(at)
        left -= width + 2
    return made


def marks(field: str, values: list[Any]) -> list[str]:
    """``greatest``, ``least`` or nothing for each value of a param or metric, where they are numbers and differ."""
    known = [_height(field, item) for item in values if item is not None]
    finite = [item for item in known if item is not None]
    if len(finite) < 2 or (len(finite) < len(known) and field.startswith("params.")) or min(finite) == max(finite):
        return [""] * len(values)
    named = {min(finite): "least", max(finite): "greatest"}
    heights = [None if item is None else _height(field, item) for item in values]
    return ["" if height is None else named.get(height, "") for height in heights]


def _height(field: str, item: Any) -> float | None:
    if field.startswith("params."):
        return param_number(str(item))
    if field.startswith("metrics.") and math.isfinite(float(item)):
        return float(item)
    return None


def _side(screen: Screen, found: Comparison, at: int, label: str) -> Column:
    cells, styles = [], []
    for field, values in found.different.items():
        mark = marks(field, values)[at]
        sign = {"greatest": f" {screen.glyphs.greatest}", "least": f" {screen.glyphs.least}", "": ""}[mark]
        cells.append(_text(values[at]) + sign)
        styles.append({"greatest": "green", "least": "yellow", "": ""}[mark])
    return Column(head=label, cells=cells, least=CELL, styles=styles)


def _text(item: Any) -> str:
    return number(item) if isinstance(item, float) else NONE if item is None else value(item)

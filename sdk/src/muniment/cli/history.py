"""`muniment history`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from muniment.cli.options import AsOfOption, JsonOption, ProjectOption, UrlOption, opened
from muniment.cli.references import RECORD_HELP, hinting, reference
from muniment.cli.screen import Screen
from muniment.cli.spelling import ago, cut, cut_within, value
from muniment.client import Client
from muniment.model.question import History, HistoryStep

QUIET = frozenset(("id", "created_at", "lifecycle"))
"""Fields that say nothing new where a record begins."""
FIELD = 32
"""Columns of a field's name at the most."""


def history(
    record: Annotated[str, typer.Argument(help=RECORD_HELP)],
    after: Annotated[int, typer.Option(min=0, help="Only what came after this position.")] = 0,
    as_of: AsOfOption = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """What happened to a record, oldest first: position, time, actor, and each field before and after.

    Points of metrics are not among it; show and watch draw them.

    With --json: {"record", "kind", "steps": [{"position", "time", "actor", "action", "changes": [{"field", "before",
    "after"}], "erased"}]}.

    Examples:
      muniment history model:digits

      muniment history neural-network-22

      muniment history model:digits --after 60 --json
    """
    with opened(url, project) as client:
        meant = reference(client, record, as_of)
        with hinting(client, [meant], as_of):
            found = whole(client, meant, after, as_of)
    screen = Screen()
    if json:
        screen.json(found)
        return
    now = datetime.now(UTC)
    for step in found.steps:
        draw(screen, step, now)
    if not found.steps:
        screen.line("nothing happened to it" + (f" after position {after}" if after else ""))


def whole(client: Client, record: str, after: int, as_of: str | None) -> History:
    """A history with all its pages."""
    found = client.changes_of(record, after=after, as_of=as_of)
    steps = list(found.steps)
    while found.next is not None:
        found = client.changes_of(record, after=found.next, as_of=as_of)
        steps += found.steps
    return msgspec.structs.replace(found, steps=steps)


def draw(screen: Screen, step: HistoryStep, now: datetime) -> None:
    """Print one change: a line for the entry, and one for each field."""
    head = f"{step.position}", f"  {step.action}  {ago(step.time, now)}"
    exactly, actor = f", {step.time:%Y-%m-%d %H:%M:%S} UTC", f"  by {step.actor}"
    room = screen.width - len(head[0]) - len(head[1]) - len(actor)
    screen.line((head[0], "bold"), head[1], (exactly if len(exactly) <= room else "", "dim"), (actor, "dim"))
    if step.erased:
        screen.line("  what was said then has been erased")
    told = [change for change in step.changes if change.before is not None or change.field not in QUIET]
    widest = min(FIELD, max((len(screen.shown(change.field)) for change in told), default=0))
    for change in told:
        field = cut_within(screen.shown(change.field), FIELD, screen.glyphs.more)
        before, after = _sides(screen, change.before, change.after, screen.width - widest - 4)
        parts = [("  " + field.ljust(widest) + "  ", ""), (before, "red")]
        if before and after:
            parts.append((f" {screen.glyphs.arrow} ", ""))
        screen.line(*parts, (after, "green" if change.after is not None else "red"))


def _sides(screen: Screen, before: Any, after: Any, room: int) -> tuple[str, str]:
    """A value before and after, cut so that both are seen; nothing stands for what was not there before."""
    said = screen.shown(value(after)) if after is not None else "removed"
    if before is None:
        return "", cut(said, room, screen.glyphs.more)
    was = screen.shown(value(before))
    half = max(8, (room - 4) // 2)
    spare = max(0, half - min(len(was), len(said)))
    return cut(was, half + spare, screen.glyphs.more), cut(said, half + spare, screen.glyphs.more)

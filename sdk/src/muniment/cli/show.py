"""`muniment show`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from muniment.cli.metrics import COUNT, drawn, sparklines
from muniment.cli.options import AsOfOption, JsonOption, LogOption, ProjectOption, UrlOption, opened
from muniment.cli.references import RECORD_HELP, hinting, reference
from muniment.cli.runs import STATES, lasted
from muniment.cli.screen import Screen
from muniment.cli.shown import Neighbour, Shown, gathered
from muniment.cli.spelling import NONE, ago, cut, flat, number, size, value
from muniment.cli.tables import Column
from muniment.model.link import Node
from muniment.model.run import Run

_APART = frozenset(("id", "position", "lifecycle", "metrics", "thresholds", "text", "schema"))
"""Fields that are shown in a place of their own, or only if they say something."""
NEIGHBOURS = 30
"""Neighbours in each direction; `muniment lineage` shows all."""
FACET_LINES = 20
"""Fields of one facet."""


def show(
    record: Annotated[str, typer.Argument(help=RECORD_HELP)],
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this metric of a run; may be given again.", metavar="NAME")
    ] = None,
    log: LogOption = False,
    as_of: AsOfOption = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """One record of any kind: fields, params, metrics, tags, artifacts, facets, notes, and links one step away.

    With --json: {"kind", "name", "record", "params", "tags", "metrics", "versions", "aliases", "artifacts", "facets",
    "names", "notes", "upstream", "downstream", "called", "position"}; records are as the API has them.

    Examples:
      muniment show neural-network-22

      muniment show neural-network-22 --metric train_loss --log

      muniment show model:digits@champion

      muniment show dataset:scikit-learn/digits@latest

      muniment show experiment:digits --as-of 65
    """
    screen = Screen()
    with opened(url, project) as client:
        meant = reference(client, record, as_of)
        with hinting(client, [meant], as_of):
            found = gathered(client, meant, as_of)
        if metric:
            chosen = {name: found.metrics[name] for name in metric if name in found.metrics}
            found = msgspec.structs.replace(found, metrics=chosen)
        lines = {} if json else sparklines(client, screen, found.record.id, found.metrics, as_of, log=log)
    if json:
        screen.json(found)
    else:
        draw(screen, found, lines, datetime.now(UTC))


def draw(screen: Screen, found: Shown, lines: dict[str, str], now: datetime) -> None:
    """Print a record with what belongs to it; what there is not is not spoken of."""
    title = screen.shown(f"{found.kind.replace('_', ' ')} {found.name}")
    screen.line((cut(title, screen.width, screen.glyphs.more), "bold"))
    _pairs(screen, _fields(found, now))
    if getattr(found.record, "text", None) and found.kind == "note":
        _texts(screen, [found.record])
    _section(screen, "params", found.params)
    if found.metrics:
        screen.line()
        screen.line(("metrics", "bold"))
        screen.table(drawn(found.metrics, lines), 2)
        if len(found.metrics) > len(lines) >= COUNT:
            screen.line((f"  sparklines of the first {COUNT}; --metric chooses", "dim"))
    _scores(screen, found.record)
    _section(screen, "tags", found.tags)
    _versions(screen, found, now)
    _columns(screen, getattr(found.record, "schema", None))
    _artifacts(screen, found)
    for name, facet in found.facets.items():
        verdict = {True: "", False: " (not what its type says)", None: ""}[facet.valid]
        leaves = {path: value(item) for path, item in flat({"": facet.value}).items()}
        _section(screen, f"facet {name}{verdict}", {k.lstrip("."): v for k, v in leaves.items()}, FACET_LINES)
    _section(screen, "called", {named.system: f"{named.namespace} {named.name}".strip() for named in found.names})
    if found.notes:
        screen.line()
        screen.line(("notes", "bold"))
        _texts(screen, found.notes, now)
    _neighbours(screen, "from", found.upstream)
    _neighbours(screen, "to", found.downstream)


def _fields(found: Shown, now: datetime) -> dict[str, str]:
    """What a record says of itself, field by field."""
    record = found.record
    made = {"id": record.id}
    for name in record.__struct_fields__:
        item = getattr(record, name)
        if name in _APART or item in (None, [], {}) or (name == "name" and item == found.name):
            continue
        if isinstance(item, datetime):
            made[name.removesuffix("_at")] = f"{ago(item, now)}, {item:%Y-%m-%d %H:%M:%S} UTC"
        elif isinstance(item, msgspec.Struct | dict):
            document = msgspec.to_builtins(item)
            made.update({path: value(leaf) for path, leaf in flat(document, name).items() if leaf is not None})
        elif isinstance(item, str) and item in found.called:
            made[name] = f"{found.called[item]}  {item}"
        else:
            made[name] = value(msgspec.to_builtins(item))
    if isinstance(record, Run):
        made["duration"] = lasted(record, now)
    if getattr(record, "lifecycle", "active") != "active":
        made["lifecycle"] = record.lifecycle
    if hasattr(record, "position"):
        made["position"] = str(record.position)
    return made


def _pairs(screen: Screen, pairs: dict[str, str], indent: int = 2) -> None:
    keys, values = list(pairs), list(pairs.values())
    styles = [STATES.get(item, "") for item in values]
    screen.table(
        [Column(head="", cells=keys, style="dim", least=24), Column(head="", cells=values, styles=styles, least=8)],
        indent,
    )


def _section(screen: Screen, head: str, pairs: dict[str, str], limit: int | None = None) -> None:
    if not pairs:
        return
    screen.line()
    screen.line((head, "bold"))
    _pairs(screen, dict(list(pairs.items())[:limit]))
    if limit is not None and len(pairs) > limit:
        screen.line((f"  and {len(pairs) - limit} more; --json has them all", "dim"))


def _scores(screen: Screen, record: Any) -> None:
    """The metrics of an evaluation, with what they had to reach."""
    metrics, thresholds = getattr(record, "metrics", None), getattr(record, "thresholds", {})
    if not metrics:
        return
    screen.line()
    screen.line(("metrics", "bold"))
    wanted = [thresholds.get(name) for name in metrics]
    reach = [
        "" if limit is None else " and ".join(
            f"{sign} {number(edge)}" for sign, edge in (("at least", limit.min), ("at most", limit.max))
            if edge is not None
        )
        for limit in wanted
    ]  # fmt: skip
    screen.table([
        Column(head="", cells=list(metrics), least=20),
        Column(head="", cells=[number(item) for item in metrics.values()], right=True),
        Column(head="", cells=reach, style="dim"),
    ], 2)  # fmt: skip


def _versions(screen: Screen, found: Shown, now: datetime) -> None:
    if not found.versions:
        return
    aliases: dict[str, list[str]] = {}
    for alias, version in found.aliases.items():
        aliases.setdefault(str(version), []).append(alias)
    names = [str(made.version) for made in found.versions]
    screen.line()
    screen.line(("versions", "bold"))
    columns = [
        Column(head="version", cells=names, least=8),
        Column(head="aliases", cells=[", ".join(aliases.get(name, [])) for name in names], rank=1, least=9),
        Column(head="stage", cells=[getattr(made, "stage", "") for made in found.versions], rank=3),
        Column(head="age", cells=[ago(made.created_at, now) for made in found.versions], right=True, rank=2),
        Column(head="id", cells=[made.id for made in found.versions], style="dim"),
    ]
    screen.table([column for column in columns if any(column.cells)], 2)


def _columns(screen: Screen, schema: Any) -> None:
    if not isinstance(schema, list) or not schema:
        return
    names = ", ".join(f"{column.name} {column.type}" for column in schema)
    _section(screen, "schema", {f"{len(schema)} columns": names})


def _artifacts(screen: Screen, found: Shown) -> None:
    if not found.artifacts:
        return
    screen.line()
    screen.line(("artifacts", "bold"))
    screen.table([
        Column(head="path", cells=[item.path for item in found.artifacts], least=20),
        Column(head="size", cells=[size(item.artifact.size) for item in found.artifacts], right=True, rank=1),
        Column(head="type", cells=[item.artifact.media_type or NONE for item in found.artifacts], rank=2),
        Column(head="digest", cells=[item.artifact.digest for item in found.artifacts], rank=3, least=15, style="dim"),
    ], 2)  # fmt: skip


def _texts(screen: Screen, notes: list[Any], now: datetime | None = None) -> None:
    for note in notes:
        if now is not None:
            screen.line("  ", (note.title or "note", "bold"), (f"  {ago(note.created_at, now)}", "dim"))
        for line in note.text.splitlines():
            screen.line("    ", line)


def _neighbours(screen: Screen, head: str, every: list[Neighbour]) -> None:
    if not every:
        return
    neighbours = every[:NEIGHBOURS]
    types = [f"{near.link.type} ({near.link.role})" if near.link.role else near.link.type for near in neighbours]
    screen.line()
    screen.line((head, "bold"))
    screen.table([
        Column(head="", cells=types, least=18, rank=1),
        Column(head="", cells=[near.record.kind.replace("_", " ") for near in neighbours], rank=2),
        Column(head="", cells=[_called(near.record) for near in neighbours], least=12),
        Column(head="", cells=[near.record.id for near in neighbours], style="dim"),
    ], 2)  # fmt: skip
    if len(every) > len(neighbours):
        screen.line((f"  and {len(every) - len(neighbours)} more; muniment lineage shows them", "dim"))


def _called(node: Node) -> str:
    """A record's name, unless it has none but its id."""
    return "" if node.name == node.id else node.name

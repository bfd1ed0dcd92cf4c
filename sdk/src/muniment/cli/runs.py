"""`muniment runs`."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from muniment.cli.options import AsOfOption, JsonOption, ProjectOption, UrlOption, opened
from muniment.cli.references import key
from muniment.cli.screen import Screen
from muniment.cli.spelling import NONE, aligned, cut, duration, number, rough, value
from muniment.cli.tables import Column
from muniment.client import Client
from muniment.model.errors import InvalidInput
from muniment.model.run import Run, RunData, param_number
from muniment.model.search import PAGE_LIMIT, Page, Query

PARAMS = 8
"""Params that are shown at the most, where nobody chooses."""
METRICS = 8
"""Metrics likewise."""
DIGITS = 5
"""Of metrics in a table."""
STATES = {"running": "cyan", "scheduled": "cyan", "failed": "red", "killed": "yellow"}
"""Styles of states that are worth a look."""
_OWN = ("name", "state", "age", "duration", "id", "kind", "attempt", "user", "description", "experiment", "parent",
        "job", "lifecycle", "created_at", "started_at", "ended_at", "position")  # fmt: skip
_MENTIONED = re.compile(
    r"metrics?\.(?:`((?:[^`]|``)+)`|\"((?:[^\"]|\"\")+)\"|([\w\-/]+(?:\.[\w\-/]+)*))", re.IGNORECASE
)


def runs(
    where: Annotated[str, typer.Argument(help="Only runs that meet this condition of the search language.")] = "",
    order_by: Annotated[
        list[str] | None, typer.Option(help="Such as 'metrics.auc DESC'; may be given again for ties.", metavar="KEY")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Runs at the most.")] = 20,
    columns: Annotated[
        str | None,
        typer.Option(help="Such as name,state,params.lr,metrics.auc,tags.team,id.", metavar="LIST"),
    ] = None,
    as_of: AsOfOption = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Runs, the newest first: state, age, duration, metrics, and the params in which they differ.

    What does not fit is left out, the least important first; --columns chooses. With --json: the answer of a search
    of the API, {"runs": [{"run", "params", "tags", "metrics"}, …], "position"}.

    Examples:
      muniment runs

      muniment runs "params.model = 'random-forest'" --order-by "metrics.accuracy DESC" --limit 5

      muniment runs "state = 'failed' AND started_at > '2026-01-31'"

      muniment runs --columns name,params.model,metrics.accuracy,id --as-of 65
    """
    chosen = None if columns is None else [_checked(name.strip()) for name in columns.split(",") if name.strip()]
    order = order_by or []
    asked = None if chosen is None else [key(*name.split(".", 1)) for name in chosen if "." in name]
    with opened(url, project) as client:
        page = found(client, Query(where=where, order_by=order, columns=asked, as_of=as_of), limit)
    screen = Screen()
    if json:
        screen.json({"runs": page.runs, "position": page.position})
        return
    if not page.runs:
        screen.line("no run matches" if where.strip() else "no runs are recorded here")
        return
    now = datetime.now(UTC)
    if chosen is None:
        hidden = screen.table(usual(page.runs, now, mentioned(" ".join([*order, where]))))
    else:
        hidden = screen.table([_chosen(page.runs, name, now, at) for at, name in enumerate(chosen)])
    if page.next is not None:
        screen.line((f"the first {len(page.runs)}; --limit shows more", "dim"))
    if hidden:
        screen.line((cut(f"no room for {', '.join(hidden)}", screen.width, screen.glyphs.more), "dim"))


def found(client: Client, query: Query, limit: int) -> Page:
    """Up to `limit` records, read page by page; `next` says whether there are more."""
    page = client.search(msgspec.structs.replace(query, limit=min(limit, PAGE_LIMIT)))
    kind = f"{query.kind}s"
    gathered = list(getattr(page, kind))
    while page.next is not None and len(gathered) < limit:
        size = min(limit - len(gathered), PAGE_LIMIT)
        page = client.search(msgspec.structs.replace(query, limit=size, page=page.next))
        gathered += getattr(page, kind)
    return msgspec.structs.replace(page, **{kind: gathered})


def mentioned(text: str) -> list[str]:
    """Metrics that a question speaks of, in its order."""
    found = (next(part for part in match.groups() if part) for match in _MENTIONED.finditer(text))
    return list(dict.fromkeys(name.replace("``", "`").replace('""', '"') for name in found))


def usual(data: list[RunData], now: datetime, first: list[str]) -> list[Column]:
    """The columns of a table of runs where nobody chooses.

    Args:
        data: the runs.
        now: from which ages are counted.
        first: metrics that matter most.
    """
    params = _differing(data)
    counts = Counter(name for item in data for name in item.metrics)
    known = sorted(counts, key=lambda name: (-counts[name], name))
    metrics = [*(name for name in first if name in counts), *(name for name in known if name not in first)]
    made = [
        _own(data, "name", now, 0, 16),
        _own(data, "state", now, 1),
        _own(data, "age", now, 2),
        _own(data, "duration", now, 6),
    ]
    made += [_metric(data, name, 3 + 4 * at) for at, name in enumerate(metrics[:METRICS])]
    made += [_text(data, "params", name, 4 + 3 * at) for at, name in enumerate(params[:PARAMS])]
    return [*made, _own(data, "id", now, 0)]


def _differing(data: list[RunData]) -> list[str]:
    """Params in which some of the runs differ, those with the most values first."""
    counts = Counter(name for item in data for name in item.params)
    values = {name: {item.params.get(name) for item in data} for name in counts}
    found = [name for name in counts if len(values[name]) > 1]
    return sorted(found, key=lambda name: (-len(values[name] - {None}), -counts[name], name))


def _checked(name: str) -> str:
    family, _, item = name.partition(".")
    if name in _OWN:
        return name
    if item and family in {"params", "tags", "metrics"}:
        quote = len(item) > 2 and item[0] == item[-1] == "`"
        return f"{family}.{item[1:-1].replace('``', '`')}" if quote else name
    raise InvalidInput(
        f"{name!r} is no column; it can be params.NAME, tags.NAME, metrics.NAME, {', '.join(_OWN)}", field="columns"
    )


def _chosen(data: list[RunData], name: str, now: datetime, at: int) -> Column:
    family, _, item = name.partition(".")
    if name in _OWN:
        return _own(data, name, now, at + 1, 12 if name in {"name", "description", "user"} else None)
    return _metric(data, item, at + 1) if family == "metrics" else _text(data, family, item, at + 1)


def _own(data: list[RunData], name: str, now: datetime, rank: int, least: int | None = None) -> Column:
    cells = [_field(item.run, name, now) for item in data]
    return Column(
        head=name, cells=cells, right=name in {"age", "duration"}, rank=0 if name == "id" else rank, least=least,
        style="dim" if name == "id" else "",
        styles=[STATES.get(cell, "") for cell in cells] if name == "state" else None,
    )  # fmt: skip


def _field(run: Run, name: str, now: datetime) -> str:
    if name == "age":
        return rough((now - (run.started_at or run.created_at)).total_seconds())
    if name == "duration":
        return lasted(run, now)
    return value(getattr(run, name))


def lasted(run: Run, now: datetime) -> str:
    """How long a run took, or has been running."""
    if run.started_at is None or (run.ended_at is None and run.state != "running"):
        return NONE
    return duration(((run.ended_at or now) - run.started_at).total_seconds())


def _metric(data: list[RunData], name: str, rank: int) -> Column:
    cells = [number(item.metrics[name].last, DIGITS) if name in item.metrics else NONE for item in data]
    return numbers(name, cells, rank)


def numbers(head: str, cells: list[str], rank: int = 0) -> Column:
    """A column of numbers: points below one another; only what stands above may be cut."""
    made = aligned(cells)
    return Column(head=head, cells=made, right=True, rank=rank, least=max(6, *map(len, made)), within=True)


def _text(data: list[RunData], family: str, name: str, rank: int) -> Column:
    cells = [getattr(item, family).get(name, NONE) for item in data]
    if family == "params" and all(cell == NONE or param_number(cell) is not None for cell in cells):
        return numbers(name, cells, rank)
    return Column(head=name, cells=cells, rank=rank, least=8)

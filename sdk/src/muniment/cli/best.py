"""`muniment best`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from muniment import fluent
from muniment.model.metric import WireNumber
from muniment.model.run import RunData

UrlOption = Annotated[
    str | None,
    typer.Option(help="http://HOST:PORT, or a store's own URL such as sqlite:///PATH.", envvar="MUNIMENT_URL"),
]
ProjectOption = Annotated[str | None, typer.Option(help="The project.", envvar="MUNIMENT_PROJECT")]


def best(
    metric: Annotated[str, typer.Argument(help="The metric to rank by: its last value counts.")],
    where: Annotated[str, typer.Option(help="Only runs that meet this condition.")] = "",
    minimize: Annotated[bool, typer.Option("--minimize", help="The least value is the best.")] = False,
    as_of: Annotated[str | None, typer.Option(help="A position or a time: the answer as it was then.")] = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Which run is best by a metric, now or as of the past.

    Examples:
      muniment best accuracy

      muniment best loss --minimize --where "params.model = 'gbm'"

      muniment best accuracy --as-of 120
    """
    fluent.connect(url, project)
    try:
        found = fluent.best(metric, where=where, maximize=not minimize, as_of=as_of)
    finally:
        fluent.disconnect()
    if json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        Console().print(table_of(found, metric))


def table_of(found: RunData, metric: str) -> Table:
    """What people want to know of a run, the metric in question first."""
    table = Table(title=f"best by {metric}", title_justify="left", show_header=False)
    summary = found.metrics[metric]
    table.add_row("run", f"{found.run.name}  {found.run.id}")
    table.add_row(metric, f"{_number(summary.last)} at step {summary.last_step}")
    table.add_row("state", found.run.state)
    table.add_row("recorded", f"up to position {found.run.position}")
    for name, value in found.params.items():
        table.add_row(f"params.{name}", value)
    for name, other in found.metrics.items():
        if name != metric:
            table.add_row(f"metrics.{name}", _number(other.last))
    return table


def _number(value: WireNumber) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"

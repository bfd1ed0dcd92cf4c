"""`muniment best`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from muniment import fluent
from muniment.cli.metrics import drawn, sparklines
from muniment.cli.options import AsOfOption, JsonOption, ProjectOption, UrlOption, opened
from muniment.cli.screen import Screen
from muniment.cli.spelling import ago, number
from muniment.cli.tables import Column


def best(
    metric: Annotated[str, typer.Argument(help="The metric to rank by: its last value counts.")],
    where: Annotated[str, typer.Option(help="Only runs that meet this condition.", metavar="CONDITION")] = "",
    minimize: Annotated[bool, typer.Option("--minimize", help="The least value is the best.")] = False,
    as_of: AsOfOption = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: JsonOption = False,
) -> None:
    """Which run is best by a metric, now or as of the past.

    With --json: {"run", "params", "tags", "metrics"}.

    Examples:
      muniment best accuracy

      muniment best valid_loss --minimize --where "params.model = 'neural-network'"

      muniment best accuracy --as-of 65
    """
    screen = Screen()
    with opened(url, project) as client:
        found = fluent.best(metric, where=where, maximize=not minimize, as_of=as_of)
        lines = {} if json else sparklines(client, screen, found.run.id, found.metrics, as_of, log=False)
    if json:
        screen.json(found)
        return
    top = found.metrics[metric]
    screen.line((f"best by {metric}: {found.run.name}", "bold"))
    pairs = {
        "id": found.run.id,
        metric: f"{number(top.last)} at step {top.last_step}",
        "state": found.run.state,
        "started": ago(found.run.started_at or found.run.created_at, datetime.now(UTC)),
        "position": str(found.run.position),
        **{f"params.{name}": value for name, value in found.params.items()},
    }
    screen.table([
        Column(head="", cells=list(pairs), style="dim", least=24),
        Column(head="", cells=list(pairs.values()), least=8),
    ], 2)  # fmt: skip
    others = {name: summary for name, summary in found.metrics.items() if name != metric}
    if others:
        screen.line()
        screen.table(drawn(others, lines), 2)

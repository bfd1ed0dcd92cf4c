"""`muniment import mlflow` and `muniment export mlflow`: the history of a tracking server in, and back out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from muniment_server.annexes import keeper
from muniment_server.annexes.connectors.mlflow import exporting, importing
from muniment_server.annexes.connectors.mlflow.database import Database
from muniment_server.annexes.connectors.mlflow.holdings import Holdings
from muniment_server.annexes.connectors.mlflow.server import Server
from muniment_server.annexes.connectors.mlflow.shapes import Source
from muniment_server.annexes.connectors.mlflow.telling import Done, Report
from muniment_server.annexes.connectors.mlflow.wire import Api
from muniment_server.commands.options import StoreOption, TrustOption, opening
from muniment_server.services.workspace import DEFAULT_PROJECT

T = TypeVar("T")
_SHOWN = 20
"""Refusals in the summary of a terminal."""
ProjectOption = Annotated[str, typer.Option(help="Which project.", envvar="MUNIMENT_PROJECT")]
PlaceOption = Annotated[
    str | None,
    typer.Option(
        "--artifact-store",
        help="Where the bytes of artifacts lie, as --artifacts of other commands says. Default: beside the store.",
        envvar="MUNIMENT_ARTIFACTS",
    ),
]
WorkspaceOption = Annotated[str, typer.Option("--workspace", help="Which of MLflow's workspaces.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def bring(
    uri: Annotated[str, typer.Argument(help="http://HOST:PORT, sqlite:///PATH or postgresql://USER@HOST/DATABASE.")],
    project: ProjectOption = DEFAULT_PROJECT,
    store: StoreOption = None,
    place: PlaceOption = None,
    trust: TrustOption = None,
    workspace: WorkspaceOption = "default",
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Bring the bytes of artifacts too.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Look at all of it, not only at what has changed.")] = False,
    json: JsonOption = False,
) -> None:
    """Bring everything that an MLflow server or its database has into a project.

    Experiments, runs, params, tags, every point of every metric, datasets, models, versions and aliases. What is here
    already is not written again: import once more to bring what has come since, or to go on where it was stopped.

    Examples:
      muniment import mlflow sqlite:///mlflow.db

      muniment import mlflow postgresql://mlflow@db/mlflow --project churn
    """
    source = _source(uri, workspace)
    try:
        with opening(store, place, trust) as opened:
            owner = opened.owner_scope
            done = _with_bar(
                lambda report: importing.bring(opened, owner, project, source, report, again=again, artifacts=artifacts)
            )
            keeper.seal(opened)
            keeper.compact(opened)
    finally:
        source.close()
    if json:
        typer.echo(msgspec.json.encode(done).decode())
    else:
        _show(done, importing.KINDS, f"from {done.source} into project {done.project}")


def take(
    uri: Annotated[str, typer.Argument(help="http://HOST:PORT of an MLflow server, best an empty one.")],
    project: ProjectOption = DEFAULT_PROJECT,
    store: StoreOption = None,
    place: PlaceOption = None,
    trust: TrustOption = None,
    workspace: WorkspaceOption = "default",
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Send the bytes of artifacts too.")] = False,
    json: JsonOption = False,
) -> None:
    """Send a project to an MLflow server: all of it that MLflow has a place for.

    MLflow gives experiments, runs and logged models ids of its own; the tag `muniment.id` tells which is which. What
    is there already is not sent again.

    Examples:
      muniment export mlflow http://127.0.0.1:5000

      muniment export mlflow https://mlflow.example.org --project churn
    """
    api = Api(uri, workspace)
    try:
        with opening(store, place, trust) as opened:
            holdings = Holdings(opened, opened.owner_scope, project)
            done = _with_bar(lambda report: exporting.take(holdings, api, report, artifacts=artifacts))
    finally:
        api.close()
    if json:
        typer.echo(msgspec.json.encode(done).decode())
    else:
        _show(done, exporting.KINDS, f"from project {done.project} to {done.target}")


def _source(uri: str, workspace: str) -> Source:
    if uri.partition(":")[0] in {"http", "https"}:
        return Server(uri, workspace)
    return Database(uri, workspace)


def _with_bar(work: Callable[[Report], T]) -> T:
    columns = TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("reading", total=None)

        def report(what: str, done: int, total: int | None) -> None:
            bars.update(task, description=what, completed=done, total=total)

        return work(report)


def _show(done: Done, kinds: Sequence[str], what: str) -> None:
    """The summary, for people."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("found", "new", "refused"):
        table.add_column(title, justify="right")
    for kind in kinds:
        numbers = [counts.get(kind, 0) for counts in (done.found, done.new, done.refused)]
        if any(numbers):
            table.add_row(kind, *(f"{number:,}" if number else "-" for number in numbers))
    console = Console(highlight=False)
    console.print(table)
    speed = f", {done.new.get('points', 0) / done.seconds:,.0f} points a second" if done.new.get("points") else ""
    console.print(f"{what} in {done.seconds:.1f} s{speed}", soft_wrap=True)
    for refusal in done.refusals[:_SHOWN]:
        console.print(f"refused: {refusal.where}: {refusal.detail}", soft_wrap=True, markup=False)
    more = sum(done.refused.values()) - min(len(done.refusals), _SHOWN)
    if more > 0:
        console.print(f"and {more:,} more; --json tells up to a thousand")

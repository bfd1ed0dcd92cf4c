"""`muniment sync`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from muniment.spool import layout
from muniment.spool.delivery import Delivered, Waiting, deliver, waiting


def sync(
    spool: Annotated[
        Path | None, typer.Option(help="The folder in which logged entries wait.", envvar="MUNIMENT_SPOOL")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Only say what waits.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Send what was logged and is not in its store yet: after a crash, without network, from a cluster's nodes.

    Each entry is recorded once, however often this is called. Exit status 1 if something is left.

    Examples:
      muniment sync

      muniment sync --status

      muniment sync --spool /scratch/job-17/spool
    """
    disk = (spool or layout.root()).expanduser().absolute()
    if status:
        found = waiting(disk)
        if json:
            typer.echo(msgspec.json.encode(found).decode())
        elif not found:
            typer.echo(f"nothing waits in {disk}")
        else:
            Console().print(_table(found))
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("sending")
        done = deliver(disk, lambda brought, total: bars.update(task, completed=brought, total=max(total, 1)))
    if json:
        typer.echo(msgspec.json.encode(done).decode())
    else:
        _show(done)
    raise typer.Exit(1 if done.left or done.failures else 0)


def _show(done: Delivered) -> None:
    if done.brought:
        typer.echo(f"{done.brought:,} entries sent")
    if not done.left:
        typer.echo("everything that was logged is in its store")
    if done.left:
        Console().print(_table(done.left))
    for url, why in done.failures.items():
        typer.echo(f"{url}: {why}", err=True)
    for path in done.refused:
        typer.echo(f"what the store has refused, and why: {path}", err=True)


def _table(found: list[Waiting]) -> Table:
    table = Table(
        "program", "host", "process", "goes to", "project", "entries that wait", "refused", title_justify="left"
    )
    for item in found:
        state = f"{item.pid}{' (running)' if item.alive else ''}"
        left = item.trouble or f"{item.left:,}"
        table.add_row(item.program, item.host, state, item.url, item.project, left, str(item.refused or ""))
    return table

"""`muniment verify`."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from muniment.model.ledger import Verification
from muniment_server.commands.options import ArtifactsOption, StoreOption, TrustOption, store_url
from muniment_server.services import verify as verification
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import default_artifacts, default_trust
from muniment_server.store import migrations
from muniment_server.store.audit import Report
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store


def verify(
    store: StoreOption = None,
    trust: TrustOption = None,
    artifacts: ArtifactsOption = None,
    bytes_: Annotated[
        bool, typer.Option("--bytes", help="Also read every artifact, and check that it is what its digest says.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Check a store's whole history against its seals, and its records against its history.

    Exit status 1 if anything is wrong. What was changed after the last published checkpoint, and agrees with itself,
    cannot be told.

    Examples:
      muniment verify

      muniment verify --store sqlite:///team.db --trust /mnt/elsewhere/trust --json

      muniment verify --bytes
    """
    opened = Store(store_url(store))
    try:
        migrations.prepare(opened, migrate=False)
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
            report = _reporter(bars)
            outcome = verification.store(opened, TrustFolder(trust or default_trust(opened)), report)
            if bytes_:
                blobs = Blobs(artifacts or default_artifacts(opened))
                outcome = asyncio.run(verification.with_bytes(opened, blobs, outcome, report))
    finally:
        opened.close()
    if json:
        typer.echo(msgspec.json.encode(outcome).decode())
    else:
        _show(opened.name, outcome)
    raise typer.Exit(0 if outcome.ok else 1)


def _reporter(bars: Progress) -> Report:
    task = bars.add_task("reading")

    def report(what: str, done: int, total: int) -> None:
        bars.update(task, description=what, completed=done, total=total)

    return report


def _show(name: str, outcome: Verification) -> None:
    console = Console()
    console.print(name, soft_wrap=True, highlight=False)
    table = Table(show_header=False)
    for label, value in (
        ("projects", outcome.projects),
        ("entries", outcome.entries),
        ("… under a seal", outcome.sealed),
        ("… published outside", outcome.published),
        ("points", outcome.points),
        ("records", outcome.records),
        ("seals", outcome.seals),
        *((("artifacts", outcome.artifacts),) if outcome.artifacts is not None else ()),
    ):
        table.add_row(label, f"{value:,}")
    console.print(table)
    if outcome.ok:
        console.print("[green]✓ everything is as it was committed[/green]")
    for finding in outcome.findings:
        console.print(
            f"[red]✗ project {finding.project}, position {finding.position}[/red] ({finding.where}): {finding.problem}"
        )

"""`muniment verify`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from muniment.model.ledger import Verification
from muniment_server.commands.bars import Report, with_bars
from muniment_server.commands.options import ArtifactsOption, StoreOption, TrustOption, check_there, store_url
from muniment_server.services import verify as verification
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import default_artifacts, default_trust
from muniment_server.store import migrations
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
    check_there(store_url(store))
    opened = Store(store_url(store))

    def work(report: Report) -> Verification:
        outcome = verification.store(opened, TrustFolder(trust or default_trust(opened)), report)
        if not bytes_:
            return outcome
        blobs = Blobs(artifacts or default_artifacts(opened))
        return asyncio.run(verification.with_bytes(opened, blobs, outcome, report))

    try:
        migrations.prepare(opened, migrate=False)
        outcome = with_bars(work)
    finally:
        opened.close()
    if json:
        typer.echo(msgspec.json.encode(outcome).decode())
    else:
        _show(opened.name, outcome)
    raise typer.Exit(0 if outcome.ok else 1)


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

"""`muniment doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from muniment.model.errors import MunimentError
from muniment.spool import layout
from muniment_server.commands import surroundings
from muniment_server.commands.options import ArtifactsOption, StoreOption, TrustOption
from muniment_server.services import doctor as looking
from muniment_server.services.doctor import Finding
from muniment_server.services.workspace import data_folder
from muniment_server.store.engine import Store, masked

_SIGNS = {"ok": Text("✓", "green"), "warning": Text("!", "yellow"), "wrong": Text("✗", "red")}


class Examined(msgspec.Struct, frozen=True):
    """The answer; `ok` if nothing is wrong, whatever else could be better."""

    ok: bool
    findings: list[Finding]


def doctor(
    store: StoreOption = None,
    trust: TrustOption = None,
    artifacts: ArtifactsOption = None,
    url: Annotated[str | None, typer.Option(help="The server to ask.", envvar="MUNIMENT_URL")] = None,
    spool: Annotated[
        Path | None, typer.Option(help="The folder in which logged entries wait.", envvar="MUNIMENT_SPOOL")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Look at an installation, and say what is wrong and what to do about it. It changes nothing.

    ✓ is well, ! could be better, ✗ is wrong. Exit status 1 if anything is wrong.

    Examples:
      muniment doctor

      muniment doctor --store postgresql://muniment@db/muniment --trust /mnt/elsewhere/trust --artifacts s3://team/x

      muniment doctor --json --url http://127.0.0.1:5050
    """
    found = [
        *surroundings.of_python(),
        *surroundings.of_limits(),
        *_of_store(store, trust, artifacts),
        *surroundings.of_spool((spool or layout.root()).expanduser().absolute()),
        *surroundings.of_server(url),
    ]
    examined = Examined(all(finding.level != "wrong" for finding in found), found)
    if json:
        typer.echo(msgspec.json.encode(examined).decode())
    else:
        _show(found)
    raise typer.Exit(0 if examined.ok else 1)


def _of_store(given: str | None, trust: Path | None, artifacts: str | None) -> Iterator[Finding]:
    """The store and what belongs to it, as far as it can be opened."""
    try:
        opened = Store(given or f"sqlite:///{data_folder() / 'store.db'}")
    except MunimentError as error:
        yield Finding("wrong", "store", "--store", looking.line(error), "name one of these")
        return
    try:
        yield from looking.of_installation(opened, trust, artifacts)
    finally:
        opened.close()


def _show(found: list[Finding]) -> None:
    table = Table("", "what", "found", box=None, padding=(0, 1))
    for finding in found:
        text = Text(f"{finding.found} ({masked(finding.where)})")
        if finding.advice is not None:
            text.append(f"\n→ {finding.advice}", "bold" if finding.level == "wrong" else "")
        table.add_row(_SIGNS[finding.level], finding.what, text)
    Console().print(table)

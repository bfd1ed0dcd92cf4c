"""`muniment collect`."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from muniment.model.artifact import Collect
from muniment.model.errors import InvalidInput
from muniment_server.commands.options import ArtifactsOption, StoreOption, TrustOption, store_url
from muniment_server.services import artifacts as use_cases
from muniment_server.services.workspace import DEFAULT_PROJECT, Workspace

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def collect(
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    trust: TrustOption = None,
    project: Annotated[str, typer.Option(help="Whose artifacts.")] = DEFAULT_PROJECT,
    older_than: Annotated[str, typer.Option(help="Leave younger ones alone: a number and s, m, h, d or w.")] = "1d",
    dry_run: Annotated[bool, typer.Option(help="Only say what would be collected.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Delete the bytes of artifacts that nothing refers to any more, and of uploads that never ended.

    What a run, a version or an evaluation has is never touched; it may run beside a server.

    Examples:
      muniment collect --dry-run

      muniment collect --older-than 4w --store sqlite:///team.db
    """
    given = Collect(older_than=_seconds(older_than), dry_run=dry_run)
    workspace = Workspace(store_url(store), trust=trust, artifacts=artifacts)
    try:
        done = asyncio.run(use_cases.collect(workspace, workspace.owner_scope, project, given))
    finally:
        workspace.close()
    if json:
        typer.echo(msgspec.json.encode(done).decode())
        return
    verb = "would be collected" if dry_run else "collected"
    Console().print(
        f"{done.artifacts:,} artifacts of {done.bytes:,} bytes {verb}, {done.abandoned:,} uploads that never ended"
    )


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip())
    if found is None:
        raise InvalidInput(f"--older-than is a number and s, m, h, d or w, such as 12h, not {text[:40]!r}")
    return int(found[1]) * _SECONDS[found[2]]

"""`muniment export` and `muniment import`: whole projects as open files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from muniment_server.annexes import keeper
from muniment_server.commands.bars import with_bars
from muniment_server.commands.options import ArtifactsOption, StoreOption, TrustOption, check_there, opening, store_url
from muniment_server.services import portable
from muniment_server.services.portable import Moved
from muniment_server.services.workspace import DEFAULT_PROJECT


def export(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    project: Annotated[str, typer.Option(help="Which project.", envvar="MUNIMENT_PROJECT")] = DEFAULT_PROJECT,
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    trust: TrustOption = None,
    without_bytes: Annotated[bool, typer.Option("--without-bytes", help="Leave out the bytes of artifacts.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Write a whole project as open files: its history and records as NDJSON, points as Parquet, artifacts as they are.

    It may run beside a server. `muniment import` makes an equal project of it, with the same Merkle root, in any store.

    Examples:
      muniment export churn-2026-11 --project churn

      muniment export everything --store postgresql://muniment@db/muniment
    """
    check_there(store_url(store))
    with opening(store, artifacts, trust) as workspace:
        owner = workspace.owner_scope
        _show(
            "exported",
            with_bars(
                lambda report: portable.take_out(workspace, owner, project, folder, report, content=not without_bytes)
            ),
            json=json,
        )


def import_(
    folder: Annotated[Path, typer.Argument(help="The folder that `muniment export` has made.")],
    project: Annotated[str | None, typer.Option(help="Take it into this project instead of one of its name.")] = None,
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    trust: TrustOption = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Take a project in that `muniment export` has written, into a project that has no history yet.

    Nothing is believed: digests are compared and the whole history is verified before anything is committed.

    Examples:
      muniment import churn-2026-11

      muniment import churn-2026-11 --project churn-copy --store sqlite:///other.db
    """
    with opening(store, artifacts, trust) as workspace:
        owner = workspace.owner_scope
        _show(
            "imported",
            with_bars(lambda report: portable.take_in(workspace, owner, folder, report, slug=project)),
            json=json,
        )
        keeper.seal(workspace)


def _show(verb: str, moved: Moved, *, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.encode(moved).decode())
        return
    typer.echo(
        f"{verb} project {moved.project}: {moved.position:,} entries, {moved.records:,} records, "
        f"{moved.points:,} points, {moved.artifacts:,} artifacts, {moved.bytes:,} bytes\nroot {moved.root}"
    )

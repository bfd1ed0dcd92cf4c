"""`muniment backup` and `muniment restore`: a whole store in a folder, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from muniment_server.commands.bars import Report, with_bars
from muniment_server.commands.options import ArtifactsOption, StoreOption, TrustOption, store_url
from muniment_server.services import backup as backups
from muniment_server.services import restore as restoring
from muniment_server.services.backup import BackedUp
from muniment_server.services.restore import Restored
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import default_artifacts, default_trust
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store

T = TypeVar("T")


def backup(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    trust: TrustOption = None,
    without_bytes: Annotated[bool, typer.Option("--without-bytes", help="Leave out the bytes of artifacts.")] = False,
    since: Annotated[
        Path | None, typer.Option(help="An earlier backup: artifacts that it has are linked to, not copied again.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Back a whole store up: records, points, artifacts, public keys and checkpoints.

    It may run beside a server, which is not held up. Everything acknowledged before it began is in it. The private key
    that signs seals is not: keep a copy of it elsewhere.

    Examples:
      muniment backup /mnt/backups/2026-11-03

      muniment backup /mnt/backups/2026-11-04 --since /mnt/backups/2026-11-03

      muniment backup tonight --store postgresql://muniment@db/muniment --artifacts s3://team/muniment --without-bytes
    """
    opened = Store(store_url(store))
    try:
        backups.check_store(opened)
        done = with_bars(
            lambda report: backups.take(
                opened,
                TrustFolder(trust or default_trust(opened)),
                Blobs(artifacts or default_artifacts(opened)),
                folder,
                report,
                content=not without_bytes,
                since=since,
            )
        )
    finally:
        opened.close()
    if json:
        typer.echo(msgspec.json.encode(done).decode())
    else:
        _show_backup(done)


def restore(
    folder: Annotated[Path, typer.Argument(help="The folder that `muniment backup` has made.")],
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    trust: TrustOption = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Restore a store where there is none: a file that does not exist, or an empty database.

    Digests are compared first. The store appears as the last thing, after everything that was put back was verified:
    its history, its seals against the published checkpoints, its records, its artifacts. An older schema is brought up
    to date. Into the other engine, use `muniment export` and `muniment import`.

    Examples:
      muniment restore /mnt/backups/2026-11-03

      muniment restore /mnt/backups/2026-11-03 --store sqlite:///restored.db --trust /mnt/elsewhere/trust

      muniment restore tonight --store postgresql://muniment@db/fresh --artifacts s3://team/muniment
    """
    opened = Store(store_url(store))

    def work(report: Report) -> Restored:
        manifest = restoring.check(folder, report)
        return restoring.put_back(
            opened,
            folder,
            manifest,
            report,
            trust=TrustFolder(trust or default_trust(opened, manifest.store)),
            blobs=Blobs(artifacts or default_artifacts(opened, manifest.store), durable=True),
        )

    try:
        done = with_bars(work)
    finally:
        opened.close()
    if json:
        typer.echo(msgspec.json.encode(done).decode())
    else:
        _show_restore(done)


def _show_backup(done: BackedUp) -> None:
    linked = f" ({done.linked:,} linked to)" if done.linked else ""
    artifacts = f"{done.artifacts:,} artifacts{linked}" if done.content else "no bytes of artifacts"
    typer.echo(
        f"backed up into {done.folder}: {done.entries:,} entries, {artifacts}, {done.bytes:,} bytes\n"
        f"{done.signing_key} is not in it: keep a copy of the key that signs in another place"
    )


def _show_restore(done: Restored) -> None:
    before, after = done.schema
    migrated = "" if before == after else f", schema {before} → {after}"
    artifacts = (
        f"without the bytes of artifacts; muniment verify --bytes tells whether they lie at {done.blobs}"
        if done.artifacts is None
        else f"{done.artifacts:,} artifacts at {done.blobs}"
    )
    typer.echo(
        f"restored {done.store}{migrated}: {done.entries:,} entries ({done.sealed:,} under a seal, {done.published:,} "
        f"published), {done.records:,} records, {done.points:,} points; verified\n{artifacts}\ntrust folder "
        f"{done.trust}: put the key that signs there before a server starts, or it makes a new one"
    )

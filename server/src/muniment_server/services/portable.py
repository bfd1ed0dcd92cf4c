"""The use cases of taking a whole project out, as open files, and of taking it in again.

A folder holds a manifest, the rows of each table as NDJSON, all points as Parquet, and the bytes of artifacts by their
digest. Nothing of it is believed when it is taken in: digests are compared, the whole history is verified, and its
Merkle root must be the one that the manifest states, all of that before anything is committed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import sqlalchemy as sa

from muniment.model import merkle
from muniment.model.errors import Conflict, InvalidInput, NotFound
from muniment.model.project import NewProject
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import projects as projects_
from muniment_server.services import verify
from muniment_server.services.bundles import SECONDS, File, Report, check_file, made_whole, pieces_of, put
from muniment_server.services.workspace import ProjectRef, Workspace
from muniment_server.store import artifacts, heads, migrations, portable, projects, tiles
from muniment_server.store.heads import Head

FORMAT = 1
MANIFEST = "manifest.json"
_NAME = re.compile(r"(tables/[a-z_]{1,40}\.ndjson|points/[0-9]{15}\.parquet|artifacts/[0-9a-f]{64})\Z")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an export is, and what must be in it."""

    format: int
    schema: str
    """The release of the tables."""
    project: str
    description: str | None
    position: int
    time: datetime
    records: int
    keys: int
    points: int
    root: str
    """The Merkle root over all entries, in hex."""
    files: dict[str, File]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to both."""

    project: str
    position: int
    records: int
    points: int
    artifacts: int
    bytes: int
    root: str


def take_out(
    workspace: Workspace, scope: Scope, slug: str, folder: Path, report: Report, *, content: bool = True
) -> Moved:
    """Write a project into a folder, which is there whole or not at all.

    Args:
        workspace: the opened store.
        scope: who asks.
        slug: of the project.
        folder: where to; it must not be there yet.
        report: hears how far it is.
        content: with the bytes of artifacts.

    Raises:
        Conflict: the folder is there.
    """
    ref = workspace.project(scope, slug, Permission.READ)
    with made_whole(folder) as making, workspace.store.read(SECONDS) as connection:
        return _written(workspace, scope, connection, ref, making, report, content=content)


def _written(
    workspace: Workspace,
    scope: Scope,
    connection: sa.Connection,
    ref: ProjectRef,
    folder: Path,
    report: Report,
    *,
    content: bool,
) -> Moved:
    head = heads.read(connection, ref.no)
    files: dict[str, File] = {}
    names = list(portable.SHAPES)
    for done, name in enumerate(names):
        report(f"records: {name}", done, len(names))
        path = f"tables/{name}.ndjson"
        files[path] = put(folder / path, (line + b"\n" for line in portable.rows(connection, ref.no, name)))
    points = 0
    for first, count, payload in portable.segments(connection, ref.no):
        report("points", first, head.position)
        path = f"points/{first:015}.parquet"
        files[path] = put(folder / path, [payload])
        points += count
    if content:
        files.update(asyncio.run(_artifacts_out(workspace, connection, ref, folder, report)))
    report("root", 0, 1)
    leaves = portable.leaves(connection, ref.no)
    manifest = Manifest(
        format=FORMAT, schema=str(migrations.revision(connection)), project=ref.slug,
        description=projects.find(connection, scope, ref.slug)[1].description, position=head.position, time=head.time,
        records=head.records, keys=head.keys, points=points,
        root=merkle.root(len(leaves), merkle.from_leaves(leaves)).hex(), files=dict(sorted(files.items())),
    )  # fmt: skip
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    _evidence(connection, workspace, ref, folder)
    return _moved(manifest)


def _moved(manifest: Manifest) -> Moved:
    kept = [file for path, file in manifest.files.items() if path.startswith("artifacts/")]
    return Moved(
        project=manifest.project, position=manifest.position, records=manifest.records, points=manifest.points,
        artifacts=len(kept), bytes=sum(file.bytes for file in manifest.files.values()), root=manifest.root,
    )  # fmt: skip


def _evidence(connection: sa.Connection, workspace: Workspace, ref: ProjectRef, folder: Path) -> None:
    """What the store that it was taken out of has signed: no part of the project, and not taken in."""
    origin = folder / "origin"
    origin.mkdir()
    after, lines = 0, list[bytes]()
    while found := tiles.seals(connection, ref.no, ref.id, after=after, limit=1_000):
        lines += [msgspec.json.encode(seal) + b"\n" for seal in found]
        after = found[-1].number
    (origin / "seals.ndjson").write_bytes(b"".join(lines))
    for key in sorted(workspace.trust.path.glob("*.pub")):
        shutil.copyfile(key, origin / key.name)


async def _artifacts_out(
    workspace: Workspace, connection: sa.Connection, ref: ProjectRef, folder: Path, report: Report
) -> dict[str, File]:
    made: dict[str, File] = {}
    last = done = 0
    while found := artifacts.active_after(connection, ref.no, last):
        for number, artifact in found:
            done, last = done + 1, number
            report("artifacts", done, done)
            path = f"artifacts/{artifact.digest.removeprefix('sha256:')}"
            (folder / path).parent.mkdir(exist_ok=True)
            hashed, size = hashlib.sha256(), 0
            with (folder / path).open("wb") as file:
                async for piece in workspace.blobs.whole(artifact.location):
                    file.write(piece)
                    hashed.update(piece)
                    size += len(piece)
            if f"sha256:{hashed.hexdigest()}" != artifact.digest:
                raise Conflict(f"the bytes of {artifact.digest} are not what they were; run muniment verify --bytes")
            made[path] = File(hashed.hexdigest(), size)
    return made


def take_in(workspace: Workspace, scope: Scope, folder: Path, report: Report, *, slug: str | None = None) -> Moved:
    """Take a project in that `take_out` has written, into a project that has no history yet.

    Args:
        workspace: the opened store.
        scope: who asks.
        folder: where it lies.
        report: hears how far it is.
        slug: of the project to take it into; its own if left out.

    Raises:
        InvalidInput: the folder is no export, or something in it is not what its manifest says.
        Conflict: the project has a history already.
    """
    manifest = _checked(folder, report)
    ref = _target(workspace, scope, manifest, slug or manifest.project)
    with workspace.store.write() as connection:
        head = heads.lock(connection, ref.no)
        if head.position:
            raise Conflict(f"project {ref.slug!r} has a history already; take it into another", field="project")
        _put_in(connection, ref, manifest, folder, report)
        heads.advance(connection, Head(ref.no, manifest.position, manifest.time, manifest.records, manifest.keys))
        report("verification", 0, 1)
        _prove(workspace, connection, ref, manifest, report)
        asyncio.run(_artifacts_in(workspace, connection, ref, folder, report))
    return _moved(manifest)


def _target(workspace: Workspace, scope: Scope, manifest: Manifest, slug: str) -> ProjectRef:
    """The project to take it into; made if it is not there."""
    try:
        ref = workspace.project(scope, slug, Permission.ADMIN)
    except NotFound:
        workspace.writer.write(projects_.create(scope, NewProject(slug=slug, description=manifest.description)))
        ref = workspace.project(scope, slug, Permission.ADMIN)
    return ref


def _checked(folder: Path, report: Report) -> Manifest:
    """The manifest of a folder whose files are what it says."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise InvalidInput(f"{folder} is no export: it has no {MANIFEST}", field="folder") from None
    except ValueError as error:
        raise InvalidInput(f"{folder / MANIFEST} is no manifest: {error}", field="folder") from None
    if manifest.format != FORMAT or manifest.schema not in migrations.known():
        raise InvalidInput(
            f"{folder} has format {manifest.format}, schema {manifest.schema[:40]!r}, which this release cannot read",
            field="folder",
        )
    for done, (path, file) in enumerate(manifest.files.items()):
        report("digests", done, len(manifest.files))
        if not _NAME.match(path):
            raise InvalidInput(
                f"{folder / MANIFEST} names {path[:120]!r}, which is no file of an export", field="folder"
            )
        check_file(folder / path, file)
    return manifest


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _put_in(connection: sa.Connection, ref: ProjectRef, manifest: Manifest, folder: Path, report: Report) -> None:
    names = list(portable.SHAPES)
    try:
        for done, name in enumerate(names):
            report(f"records: {name}", done, len(names))
            if f"tables/{name}.ndjson" in manifest.files:
                portable.put_rows(connection, ref.no, name, _lines(folder / f"tables/{name}.ndjson"))
        segments = [path for path in manifest.files if path.startswith("points/")]
        for done, path in enumerate(sorted(segments)):
            report("points", done, len(segments))
            portable.put_segment(connection, ref.no, (folder / path).read_bytes())
        portable.put_words(connection, ref.no)
    except (ValueError, TypeError, msgspec.MsgspecError, sa.exc.IntegrityError) as error:
        reason = str(error).splitlines()[0][:300]
        raise InvalidInput(f"{folder} holds what is no history: {reason}", field="folder") from None


def _prove(
    workspace: Workspace, connection: sa.Connection, ref: ProjectRef, manifest: Manifest, report: Report
) -> None:
    """Check that what was put in agrees with itself, and has the root that it had.

    Raises:
        InvalidInput: it does not.
    """
    outcome = verify.within(connection, workspace.trust, ref.no, report)
    for finding in outcome.findings:
        raise InvalidInput(
            f"the export does not verify: position {finding.position} ({finding.where}): {finding.problem}",
            field="folder",
        )
    leaves = portable.leaves(connection, ref.no)
    root = merkle.root(len(leaves), merkle.from_leaves(leaves)).hex()
    if root != manifest.root:
        raise InvalidInput(f"the history has root {root}, and the manifest says {manifest.root}", field="folder")


async def _artifacts_in(
    workspace: Workspace, connection: sa.Connection, ref: ProjectRef, folder: Path, report: Report
) -> None:
    """Put the bytes where the records say they are, before anybody can read these."""
    given: list[str] = []
    last = done = 0
    while found := artifacts.active_after(connection, ref.no, last):
        for number, artifact in found:
            done, last = done + 1, number
            path = folder / "artifacts" / artifact.digest.removeprefix("sha256:")
            report("artifacts", done, done)
            if not path.exists():  # it was taken out without
                continue

            async def pieces(source: Path = path) -> AsyncIterator[bytes]:
                for piece in pieces_of(source):
                    yield piece

            given.append(artifact.location)
            try:
                await workspace.blobs.put(artifact.location, pieces())
            except BaseException:
                for location in given:  # the transaction that would have spoken for them fails
                    await workspace.blobs.delete(location)
                raise

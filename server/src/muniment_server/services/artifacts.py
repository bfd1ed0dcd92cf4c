"""Use cases of artifacts: receive bytes, give them to records, hand them out, collect what nobody refers to."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
import structlog

from muniment.model.artifact import (
    Artifact,
    ArtifactData,
    Attach,
    Attached,
    Attachment,
    Attachments,
    Collect,
    Collected,
    check_path,
    parse_digest,
)
from muniment.model.errors import Conflict, Gone, InvalidInput, MunimentError, NotFound, Unavailable
from muniment.model.ids import new_id
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import catalog
from muniment_server.services.references import Finder, refuse_deleted, resolve
from muniment_server.services.workspace import Change, Workspace, now
from muniment_server.store import artifacts, belongings
from muniment_server.store.draft import Draft
from muniment_server.store.held import Held
from muniment_server.store.kinds import kind_of
from muniment_server.store.reader import Reader
from muniment_server.store.receipts import Receipt

HOLDERS = ("run", "dataset_version", "model_version", "evaluation")
"""Kinds of records that have artifacts."""
FIXED = frozenset(("dataset_version", "model_version"))
"""Kinds whose artifacts are never replaced or taken away, since a version never changes."""
REFERRERS = 100
PAGE = 1_000
"""Attachments in one page."""

_MEDIA = re.compile(r"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}( *;[ -~]{1,200})?", re.ASCII)
M = TypeVar("M", Artifact, Attached)
_log = structlog.get_logger()


class Received(msgspec.Struct, frozen=True):
    """Bytes that have arrived and that no record speaks for yet."""

    location: str
    digest: str
    size: int
    media_type: str | None


async def receive(
    workspace: Workspace,
    scope: Scope,
    project: str,
    chunks: AsyncIterator[bytes],
    *,
    digest: str | None = None,
    media_type: str | None = None,
    location: str | None = None,
) -> Received:
    """Take bytes in. What this raises, nothing is left of.

    Args:
        workspace: the store.
        scope: who sends them.
        project: where to.
        chunks: the bytes as they come.
        digest: what their SHA-256 must be.
        media_type: what they are.
        location: where they are to lie, if not at a place that says nothing; none is ever used twice.

    Raises:
        InvalidInput: the digest is another one, or the bytes ended early.
    """
    ref = await asyncio.to_thread(workspace.project, scope, project, Permission.WRITE)
    wanted = None if digest is None else parse_digest(digest)
    if media_type is not None and not _MEDIA.fullmatch(media_type):
        raise InvalidInput(f"Content-Type must be TYPE/SUBTYPE, not {media_type[:80]!r}", field="Content-Type")
    upload = new_id()
    location = location or f"{ref.id}/{upload[-2:]}/{upload}"
    hashed, size = hashlib.sha256(), 0

    async def measured() -> AsyncIterator[bytes]:
        nonlocal size
        async for chunk in chunks:
            hashed.update(chunk)
            size += len(chunk)
            yield chunk
        found = f"sha256:{hashed.hexdigest()}"
        if wanted not in (None, found):
            raise InvalidInput(
                f"the bytes have digest {found}, not {wanted} as was said; send them again", field="digest"
            )

    await asyncio.to_thread(artifacts.begin_upload, workspace.store, ref.no, location, now())
    try:
        await workspace.blobs.put(location, measured())
    except BaseException:
        await asyncio.shield(give_up(workspace, ref.no, location))
        raise
    return Received(location, f"sha256:{hashed.hexdigest()}", size, media_type)


async def give_up(workspace: Workspace, project_id: int, location: str) -> None:
    """Delete what arrived of an upload, unless a record speaks for it."""
    try:
        await asyncio.to_thread(artifacts.doom_upload, workspace.store, project_id, location, now())
    except Exception as error:  # noqa: BLE001 - what is left is deleted by the next collection
        _log.warning("an upload was given up and something may be left of it", location=location, error=str(error))
    await tidy(workspace, project_id)


async def tidy(workspace: Workspace, project_id: int) -> None:
    """Sweep if that can be done now; if not, the next collection does."""
    try:
        await sweep(workspace, project_id)
    except Exception as error:  # noqa: BLE001 - nothing that was asked for failed
        _log.warning("bytes that nobody speaks for could not be deleted", error=str(error))


async def sweep(workspace: Workspace, project_id: int) -> None:
    """Delete the bytes of doomed locations."""
    doomed = await asyncio.to_thread(artifacts.doomed, workspace.store, project_id)
    gone, failure = [], None
    for location in doomed:
        try:
            await workspace.blobs.delete(location)
            gone.append(location)
        except MunimentError as error:  # one that cannot be deleted now does not keep the others
            failure = error
    if gone:
        await asyncio.to_thread(artifacts.forget, workspace.store, project_id, gone)
    if failure is not None:
        raise failure


async def keep(workspace: Workspace, scope: Scope, project: str, received: Received) -> Artifact:
    """Make an artifact of bytes that have arrived, or find the one that it is."""
    ref = workspace.project(scope, project, Permission.WRITE)

    def act(draft: Draft) -> Artifact:
        kept = of(keep_in(draft, received))
        artifacts.settle(draft, received.location, spoken_for=kept.location == received.location)
        return kept

    return await _committed(workspace, Change(ref.no, scope.principal, "artifact.create", act), received)


async def keep_at(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    path: str,
    received: Received,
    receipt: Receipt | None = None,
) -> Attached:
    """Give a record bytes that have arrived."""
    change = keeping(workspace, scope, project, record, path, received, receipt)
    made = await _committed(workspace, change, received)
    if receipt is not None:  # what was answered once is answered again, and then nobody speaks for these bytes
        await give_up(workspace, change.project_id, received.location)
    return made


def keeping(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    path: str,
    received: Received,
    receipt: Receipt | None = None,
) -> Change[Attached]:
    """Prepare that a record has bytes that have arrived."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_path(path)

    def act(draft: Draft) -> Attached:
        kept = keep_in(draft, received)
        made = attach_in(draft, record, path, kept)
        artifacts.settle(draft, received.location, spoken_for=of(kept).location == received.location)
        return made

    return Change(ref.no, scope.principal, "artifact.attach", act, receipt)


async def _committed(workspace: Workspace, change: Change[M], received: Received) -> M:
    try:
        made = await workspace.writer.write_async(change)
    except BaseException:
        await asyncio.shield(give_up(workspace, change.project_id, received.location))
        raise
    kept = made if isinstance(made, Artifact) else made.artifact
    if kept is None or kept.location != received.location:  # the bytes were there already, and these are doomed
        await tidy(workspace, change.project_id)
    return made


def keep_in(draft: Draft, received: Received) -> Held:
    """Make an artifact in a draft, or find the one that it is; `settle` comes last, since it changes the database."""
    if not artifacts.is_arriving(draft, received.location):
        raise Unavailable("the upload took so long that it was given up; send it again")
    there = draft.find_named("artifact", received.digest)
    if there is None:
        return draft.create(
            "artifact",
            lambda position: Artifact(
                id=new_id(), digest=received.digest, size=received.size, media_type=received.media_type,
                location=received.location, created_at=draft.time, position=position,
            ),
        )  # fmt: skip
    if of(there).lifecycle == "active":
        return there
    revived = msgspec.structs.replace(of(there), location=received.location, lifecycle="active")
    return draft.replace("artifact", there, revived)


def attach(
    workspace: Workspace, scope: Scope, project: str, record: str, given: Attach, receipt: Receipt | None = None
) -> Change[Attached]:
    """Prepare that a record has an artifact whose bytes are there already."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_attach(given)
    return Change(
        ref.no, scope.principal, "artifact.attach", lambda draft: attach_known_in(draft, record, given), receipt
    )


def check_attach(given: Attach) -> None:
    """Check what can be checked without the store."""
    check_path(given.path)
    parse_digest(given.digest)


def attach_known_in(draft: Draft, record: str, given: Attach) -> Attached:
    """Give a record an artifact in a draft, by the digest of bytes that are there already."""
    return attach_in(draft, record, given.path, _active(draft, parse_digest(given.digest)))


def _active(draft: Draft, digest: str) -> Held:
    found = draft.find_named("artifact", digest)
    if found is None or of(found).lifecycle != "active":
        raise NotFound(f"the bytes of {digest} are not here; upload them", field="digest")
    return found


def attach_in(draft: Draft, record: str, path: str, artifact: Held) -> Attached:
    """Give a record an artifact in a draft."""
    holder = keeper_of(draft, record)
    there = draft.belonging("artifacts", holder, path)
    if there not in (None, artifact.record.id) and kind_of(holder.record).name in FIXED:
        raise Conflict(
            f"{record[:100]} has another artifact at {path[:100]!r}, and a version never changes", field="path"
        )
    changed = draft.set_belonging("artifacts", holder, path, artifact)
    return Attached(
        record=holder.record.id, path=path, artifact=of(artifact), changed=changed, position=draft.last_position
    )


def detach(
    workspace: Workspace, scope: Scope, project: str, record: str, path: str, receipt: Receipt | None = None
) -> Change[Attached]:
    """Prepare that a record has an artifact no more. The past keeps it."""
    ref = workspace.project(scope, project, Permission.WRITE)
    check_path(path)

    def act(draft: Draft) -> Attached:
        holder = keeper_of(draft, record)
        there = draft.belonging("artifacts", holder, path)
        if there is not None and kind_of(holder.record).name in FIXED:
            raise Conflict(f"{record[:100]} is a version, and a version never changes", field="path")
        changed = draft.set_belonging("artifacts", holder, path, None)
        return Attached(
            record=holder.record.id, path=path, artifact=None, changed=changed, position=draft.last_position
        )

    return Change(ref.no, scope.principal, "artifact.detach", act, receipt)


def holder_of(finder: Finder, record: str) -> Held:
    """The record that has artifacts, or may have.

    Raises:
        NotFound, Gone: as `resolve`.
        InvalidInput: it is of a kind that has none.
    """
    held = resolve(finder, record, None, "record")
    kind = kind_of(held.record).name
    if kind not in HOLDERS:
        raise InvalidInput(f"a {kind} has no artifacts; {', '.join(HOLDERS)} have", field="record")
    return held


def keeper_of(finder: Finder, record: str) -> Held:
    """The record that may be given artifacts.

    Raises:
        NotFound, Gone, InvalidInput: as `holder_of`.
        Conflict: it is deleted.
    """
    return refuse_deleted(finder, holder_of(finder, record), record, "record")


def check_holder(workspace: Workspace, scope: Scope, project: str, record: str) -> None:
    """Check that a record may be given artifacts, as `keeper_of`."""
    workspace.project(scope, project, Permission.WRITE)
    catalog.read(workspace, scope, project, None, lambda reader: keeper_of(reader, record).no)


def of(held: Held) -> Artifact:
    """The artifact of a held record."""
    assert isinstance(held.record, Artifact)
    return held.record


def get(workspace: Workspace, scope: Scope, project: str, digest: str, as_of: int | str | None = None) -> ArtifactData:
    """An artifact and who refers to it, now or as of the past."""
    wanted = parse_digest(digest)

    def ask(reader: Reader) -> ArtifactData:
        held = reader.find_named("artifact", wanted)
        if held is None:
            raise NotFound(f"there is no artifact {wanted} in this project", field="digest")
        common = (reader.connection, reader.project_id, held, reader.as_of)
        return ArtifactData(
            artifact=of(held),
            references=artifacts.count_references(*common),
            referrers=artifacts.referrers(*common, REFERRERS),
        )

    return catalog.read(workspace, scope, project, as_of, ask)


def of_record(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    *,
    prefix: str = "",
    after: str = "",
    limit: int = PAGE,
    as_of: int | str | None = None,
) -> Attachments:
    """A page of a record's artifacts by path, now or as of the past."""

    def ask(reader: Reader) -> Attachments:
        holder = holder_of(reader, record)
        found = belongings.all_of(
            reader.connection, reader.project_id, "artifacts", holder.no, reader.as_of,
            after=after, prefix=prefix, limit=limit + 1,
        )  # fmt: skip
        paths = list(found)[:limit]
        known = reader.by_ids("artifact", {found[path].said for path in paths})
        page = [Attachment(path=path, artifact=known[found[path].said]) for path in paths]
        return Attachments(artifacts=page, next=paths[-1] if len(found) > limit else None)

    return catalog.read(workspace, scope, project, as_of, ask)


def at_path(
    workspace: Workspace, scope: Scope, project: str, record: str, path: str, as_of: int | str | None = None
) -> Artifact:
    """The artifact that a record has at a path, now or as of the past, as it is now.

    Raises:
        NotFound: it has none there.
        Gone: nothing referred to it any more, and its bytes were collected.
    """
    check_path(path)

    def ask(reader: Reader) -> Artifact:
        holder = holder_of(reader, record)
        found = reader.belonging("artifacts", holder, path)
        if found is None:
            raise NotFound(f"{record[:100]} has no artifact at {path[:100]!r}", field="path")
        return _there(Reader(reader.connection, scope, reader.project_id, None).find("artifact", found))

    return catalog.read(workspace, scope, project, as_of, ask)


def by_digest(workspace: Workspace, scope: Scope, project: str, digest: str) -> Artifact:
    """The artifact with this digest, if its bytes are there.

    Raises:
        NotFound: there is none.
        Gone: its bytes were collected.
    """
    wanted = parse_digest(digest)

    def ask(reader: Reader) -> Artifact:
        held = reader.find_named("artifact", wanted)
        if held is None:
            raise NotFound(f"there is no artifact {wanted} in this project", field="digest")
        return _there(held)

    return catalog.read(workspace, scope, project, None, ask)


def _there(held: Held | None) -> Artifact:
    assert held is not None
    artifact = of(held)
    if artifact.lifecycle != "active":
        raise Gone(f"the bytes of {artifact.digest} were collected, since nothing referred to them; upload them again")
    return artifact


async def content(workspace: Workspace, artifact: Artifact, first: int, length: int) -> AsyncIterator[bytes]:
    """The bytes of an artifact, from `first` on. If it is all of them, their digest is checked on the way.

    Raises:
        NotFound: the bytes are not where they were put.
        Unavailable: they are not what they were. The last piece is never sent then, so nobody takes them for whole.
    """
    hashed, waiting = hashlib.sha256(), b""
    whole = (first, length) == (0, artifact.size)
    async for chunk in workspace.blobs.get(artifact.location, first, length):
        if waiting:
            yield waiting
        if whole:
            hashed.update(chunk)
        waiting = chunk
    if whole and f"sha256:{hashed.hexdigest()}" != artifact.digest:
        _log.error("the bytes of an artifact are not what they were", digest=artifact.digest)
        raise Unavailable(f"the bytes of {artifact.digest} were changed where they lie; muniment verify --bytes tells")
    if waiting:
        yield waiting


async def collect(workspace: Workspace, scope: Scope, project: str, given: Collect) -> Collected:
    """Delete the bytes of artifacts that nothing refers to, and of uploads that never ended."""
    ref = workspace.project(scope, project, Permission.ADMIN)
    before = now() - timedelta(seconds=given.older_than)
    if given.dry_run:
        return await asyncio.to_thread(_would_collect, workspace, ref.no, before)
    count = size = 0
    while True:
        done = await workspace.writer.write_async(collecting(ref.no, scope, before))
        count, size = count + done.artifacts, size + done.bytes
        if done.artifacts < artifacts.AT_ONCE:
            break
    abandoned = await asyncio.to_thread(artifacts.abandon, workspace.store, ref.no, before)
    await sweep(workspace, ref.no)
    return Collected(artifacts=count, bytes=size, abandoned=abandoned)


def collecting(project_id: int, scope: Scope, before: datetime) -> Change[Collected]:
    """Prepare that some artifacts that nothing refers to are collected; their bytes are deleted by `sweep`."""
    return Change(project_id, scope.principal, "artifact.collect", lambda draft: _collect_in(draft, before), alone=True)


def _collect_in(draft: Draft, before: datetime) -> Collected:
    """Collect some in a draft: under the lock of the project nobody can begin to refer to them meanwhile."""
    found = [artifact for _, artifact in artifacts.unreferenced(draft.connection, draft.project_id, before)]
    for artifact in found:
        held = draft.find("artifact", artifact.id)
        assert held is not None
        draft.replace("artifact", held, msgspec.structs.replace(of(held), lifecycle="collected"))
        artifacts.doom(draft, artifact.location)
    return Collected(artifacts=len(found), bytes=sum(artifact.size for artifact in found), abandoned=0)


def _would_collect(workspace: Workspace, project_id: int, before: datetime) -> Collected:
    count = size = last = 0
    with workspace.store.read() as connection:
        while found := artifacts.unreferenced(connection, project_id, before, last):
            count, size, last = count + len(found), size + sum(item.size for _, item in found), found[-1][0]
        abandoned = artifacts.abandoned(connection, project_id, before)
    return Collected(artifacts=count, bytes=size, abandoned=abandoned)

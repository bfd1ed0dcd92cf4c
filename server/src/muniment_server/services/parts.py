"""Use cases of artifacts that are sent in parts: begin, take in a part, put the parts together, give up.

An upload under way is no record and has no row of its own. Its id says what it is of, under a code that only this
store's signing key makes; its parts are bytes that have arrived and that no record speaks for, at locations that begin
with the id. So whatever becomes of it, its parts are deleted: when it is completed, when it is given up, or by the
collection of uploads that never ended.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Sequence
from weakref import WeakKeyDictionary

import msgspec

from muniment.model.artifact import Attached, check_path
from muniment.model.errors import InvalidInput, KeyReused, MunimentError, NotFound, TooLarge
from muniment.model.ids import new_id
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import artifacts
from muniment_server.services.workspace import ProjectRef, Workspace, now
from muniment_server.store import artifacts as stored
from muniment_server.store import receipts

PARTS_LIMIT = 10_000
"""Parts of one artifact."""
PART_LIMIT = 5 * 1024**3
"""Bytes of one part."""
SECONDS = 7 * 86_400
"""How long an upload may take."""
_TAG = re.compile(r'"?([0-9a-f]{32})\.([0-9a-f]{64})"?\Z')

_completing: WeakKeyDictionary[Workspace, dict[str, asyncio.Task[Attached]]] = WeakKeyDictionary()


class Upload(msgspec.Struct, frozen=True, array_like=True):
    """What an upload's id says.

    Attributes:
        nonce: what tells it from others.
        parts: how many there will be.
        began: seconds since 1970.
        target: the digest of the record and the path that it is of.
    """

    nonce: str
    parts: int
    began: int
    target: bytes


def begin(workspace: Workspace, scope: Scope, project: str, record: str, path: str, parts: int) -> str:
    """The id of a new upload.

    Args:
        workspace: the store.
        scope: who sends it.
        project: where to.
        record: whose artifact it will be.
        path: where it will be among the record's artifacts.
        parts: how many there will be; none is an empty artifact.

    Raises:
        InvalidInput: there are too many parts, or the path is not acceptable.
    """
    ref = workspace.project(scope, project, Permission.WRITE)
    check_path(path)
    if not 0 <= parts <= PARTS_LIMIT:
        raise InvalidInput(
            f"an artifact has 0 to {PARTS_LIMIT:,} parts, not {parts:,}; send larger ones", field="parts"
        )
    upload = Upload(new_id(), parts, int(now().timestamp()), _target(record, path))
    said = msgspec.msgpack.encode(upload)
    return f"{_text(said)}.{_text(_code(workspace, scope, ref, said))}"


async def take(
    workspace: Workspace, scope: Scope, project: str, upload: str, number: int, chunks: AsyncIterator[bytes]
) -> str:
    """Take in a part; what it is named by when the upload is completed. Another one of the same number may come.

    Args:
        workspace: the store.
        scope: who sends it.
        project: where to.
        upload: the upload's id.
        number: of the part, from 1.
        chunks: its bytes as they come.

    Raises:
        InvalidInput: the id is none of this caller's, or there is no part of this number.
        TooLarge: the part is.
        NotFound: the upload ended meanwhile.
    """
    ref = await asyncio.to_thread(workspace.project, scope, project, Permission.WRITE)
    meant = _meant(workspace, scope, ref, upload)
    if not 1 <= number <= meant.parts:
        raise InvalidInput(f"this upload has parts 1 to {meant.parts:,}, not {number:,}", field="part_number")
    piece = new_id()
    location = _location(ref, meant, number, piece)
    received = await artifacts.receive(workspace, scope, project, _bounded(chunks), location=location)
    if not await asyncio.to_thread(stored.arriving_below, workspace.store, ref.no, location):
        await artifacts.give_up(workspace, ref.no, location)
        raise NotFound("this upload was completed, given up or collected meanwhile; begin a new one", field="upload_id")
    return f"{piece}.{received.digest.removeprefix('sha256:')}"


async def _bounded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > PART_LIMIT:
            raise TooLarge(f"a part has at most {PART_LIMIT:,} bytes; send more and smaller ones", field="body")
        yield chunk


async def complete(
    workspace: Workspace,
    scope: Scope,
    project: str,
    record: str,
    path: str,
    upload: str,
    tags: Sequence[tuple[int, str]],
    media_type: str | None = None,
) -> Attached:
    """Put the parts together, and give the record what they make. Done once, however often it is asked for.

    It goes on if the caller leaves: putting much together takes longer than some callers wait, who then ask again, and
    are answered when it is done.

    Args:
        workspace: the store.
        scope: who asks.
        project: where.
        record: whose artifact it is.
        path: where it is among the record's artifacts.
        upload: the upload's id.
        tags: (number, what `take` answered) of each part, in order.
        media_type: what the bytes are.

    Raises:
        InvalidInput: the id is none of this caller's for this path, or a part is missing, twice, or out of order.
        NotFound: a part is not there.
        KeyReused: the upload was completed with other parts.
        Conflict, Gone: as `artifacts.attach_in`.
    """
    ref = await asyncio.to_thread(workspace.project, scope, project, Permission.WRITE)
    meant = _meant(workspace, scope, ref, upload, _target(record, path))
    running = _completing.setdefault(workspace, {})
    while (before := running.get(meant.nonce)) is not None:
        await asyncio.wait({before})
    work = _complete(workspace, scope, ref, record, path, meant, tags, media_type)
    task = running[meant.nonce] = asyncio.ensure_future(work)

    def ended(task: asyncio.Task[Attached]) -> None:
        del running[meant.nonce]
        if not task.cancelled():
            task.exception()  # which is raised to those who wait; nobody may be left

    task.add_done_callback(ended)
    return await asyncio.shield(task)


async def _complete(
    workspace: Workspace,
    scope: Scope,
    ref: ProjectRef,
    record: str,
    path: str,
    meant: Upload,
    tags: Sequence[tuple[int, str]],
    media_type: str | None,
) -> Attached:
    request = msgspec.json.encode([record, path, [[number, tag.strip('"')] for number, tag in tags]])
    receipt = receipts.receipt(scope.principal, "parts", meant.nonce, request, Attached)
    done = await asyncio.to_thread(_done, workspace, ref, receipt)
    if done is not None:
        return done
    parts = _parts(ref, meant, tags)
    there = await asyncio.to_thread(stored.arriving_below, workspace.store, ref.no, _below(ref, meant))
    for number, (location, _) in enumerate(parts, 1):
        if location not in there:
            raise NotFound(f"part {number} of this upload is not here; send it again", field="parts")
    received = await artifacts.receive(workspace, scope, ref.slug, _joined(workspace, parts), media_type=media_type)
    made = await artifacts.keep_at(workspace, scope, ref.slug, record, path, received, receipt)
    await _end(workspace, ref, meant)
    return made


def _done(workspace: Workspace, ref: ProjectRef, receipt: receipts.Receipt) -> Attached | None:
    """What was answered when this upload was completed before, if it was."""
    with workspace.store.read() as connection:
        kept = receipts.find(connection, ref.no, receipt.token)
    if kept is None:
        return None
    if kept["request"] != receipt.request:
        raise KeyReused("this upload was completed with other parts; begin a new one", field="upload_id")
    answer: Attached = receipts.answer_of(receipt, kept["answer"])
    return answer


def _parts(ref: ProjectRef, meant: Upload, tags: Sequence[tuple[int, str]]) -> list[tuple[str, str]]:
    """(location, SHA-256) of each part."""
    if [number for number, _ in tags] != list(range(1, meant.parts + 1)):
        raise InvalidInput(
            f"this upload has {meant.parts:,} parts: name each once, with its number, in order", field="parts"
        )
    found = []
    for number, tag in tags:
        match = _TAG.match(tag)
        if match is None:
            raise InvalidInput(f"the ETag of part {number} is none that this server gave", field="parts")
        found.append((_location(ref, meant, number, match[1]), match[2]))
    return found


async def _joined(workspace: Workspace, parts: Sequence[tuple[str, str]]) -> AsyncIterator[bytes]:
    """The bytes of all parts, one after the other, each checked against what it was when it came."""
    for number, (location, digest) in enumerate(parts, 1):
        hashed = hashlib.sha256()
        try:
            async for chunk in workspace.blobs.whole(location):
                hashed.update(chunk)
                yield chunk
        except NotFound:
            raise NotFound(f"part {number} of this upload is not here; send it again", field="parts") from None
        if hashed.hexdigest() != digest:
            raise InvalidInput(f"part {number} is not what its ETag says; send it again", field="parts")


async def abort(workspace: Workspace, scope: Scope, project: str, record: str, path: str, upload: str) -> None:
    """Give an upload up: its parts are deleted. One that has ended stays as it is.

    Raises:
        InvalidInput: the id is none of this caller's for this path.
    """
    ref = await asyncio.to_thread(workspace.project, scope, project, Permission.WRITE)
    await _end(workspace, ref, _meant(workspace, scope, ref, upload, _target(record, path)))


async def _end(workspace: Workspace, ref: ProjectRef, meant: Upload) -> None:
    """Delete the parts; what cannot be deleted now is by the next collection."""
    await asyncio.to_thread(stored.doom_below, workspace.store, ref.no, _below(ref, meant))
    await artifacts.tidy(workspace, ref.no)


def _meant(workspace: Workspace, scope: Scope, ref: ProjectRef, upload: str, target: bytes | None = None) -> Upload:
    """What an id says, if it is this caller's in this project, and not too old."""
    said, _, code = upload.partition(".")
    try:
        raw = _bytes(said)
        if not hmac.compare_digest(_bytes(code), _code(workspace, scope, ref, raw)):
            raise InvalidInput(_NONE, field="upload_id")
        meant = msgspec.msgpack.decode(raw, type=Upload)
    except MunimentError:
        raise
    except ValueError:  # also of base64 and msgspec
        raise InvalidInput(_NONE, field="upload_id") from None
    if target is not None and target != meant.target:
        raise InvalidInput("this upload is of another path", field="upload_id")
    if now().timestamp() > meant.began + SECONDS:
        raise InvalidInput("this upload began too long ago; begin a new one", field="upload_id")
    return meant


_NONE = "upload_id is none that this server gave to you in this project; begin an upload first"


def _code(workspace: Workspace, scope: Scope, ref: ProjectRef, said: bytes) -> bytes:
    bound = msgspec.msgpack.encode([ref.id, scope.principal, said])
    return hmac.digest(workspace.trust.secret("uploads in parts"), bound, "sha256")


def _target(record: str, path: str) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode([record, path])).digest()


def _below(ref: ProjectRef, meant: Upload) -> str:
    """How the locations of all parts of an upload begin."""
    return f"{ref.id}/{meant.nonce[-2:]}/{meant.nonce}."


def _location(ref: ProjectRef, meant: Upload, number: int, piece: str) -> str:
    return f"{_below(ref, meant)}{number}.{piece}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)

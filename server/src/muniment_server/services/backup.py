"""The use case of backing a whole store up, while it is being written.

A backup is a folder: the store in its engine's own form (``store.sqlite``, or ``tables/NAME.copy``), the list of the
bytes that its records speak for (``artifacts.ndjson``) and these bytes, each in a file named by its SHA-256, the public
keys and checkpoints of the trust folder, and a manifest with the SHA-256 of every other file. The folder is there whole
or not at all. The private key that signs seals is never in it.

Bytes may be collected while they are copied. So they are copied first, then the snapshot is taken, then what came in
between; should something of that have been collected since the snapshot, another snapshot is taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from muniment.model.errors import Conflict, InvalidInput, NotFound, SchemaMismatch
from muniment_server.services.bundles import (
    SECONDS,
    File,
    Report,
    made_whole,
    measured,
    pieces_of,
    put,
)
from muniment_server.services.trust import CHECKPOINTS_FILE, TrustFolder
from muniment_server.store import backup, migrations
from muniment_server.store.backup import Spoken
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store

FORMAT = 1
MANIFEST = "manifest.json"
STORE = "store.sqlite"
LISTING = "artifacts.ndjson"
_AT_ONCE = 8
"""Artifacts that are copied at a time."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup is, and what must be in it. Artifacts stand in the file `LISTING`, which stands here."""

    format: int
    engine: str
    engine_version: str
    schema: str
    """The release of the tables."""
    muniment: str
    store: str
    """The id of the store."""
    began: datetime
    """Everything acknowledged by then is in it."""
    entries: int
    artifacts: int
    artifact_bytes: int
    content: bool
    """Whether the bytes of artifacts are in it."""
    tables: dict[str, list[str]]
    """The columns of each table of PostgreSQL, in the order in which tables go back."""
    files: dict[str, File]


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """The answer.

    Attributes:
        folder: the backup.
        engine, schema: what it can be restored into.
        began: everything acknowledged by then is in it.
        entries: of all projects.
        artifacts: how many the records speak for.
        bytes: of all files.
        linked: artifacts that an earlier backup shares with this one.
        content: whether the bytes of artifacts are in it.
        signing_key: where the key lies that is not in it.
    """

    folder: str
    engine: str
    schema: str
    began: datetime
    entries: int
    artifacts: int
    bytes: int
    linked: int
    content: bool
    signing_key: str


def artifact_path(digest: str) -> str:
    """Where a backup keeps bytes, from ``sha256:HEX``."""
    name = digest.removeprefix("sha256:")
    return f"artifacts/{name[:2]}/{name}"


def take(
    store: Store,
    trust: TrustFolder,
    blobs: Blobs,
    folder: Path,
    report: Report,
    *,
    content: bool = True,
    since: Path | None = None,
) -> BackedUp:
    """Back a store up into a folder, which is there whole or not at all.

    Args:
        store: of any schema that this release knows.
        trust: its trust folder.
        blobs: where its artifacts lie.
        folder: where to; it must not be there yet.
        report: hears how far it is.
        content: with the bytes of artifacts.
        since: an earlier backup, whose artifacts are linked instead of copied.

    Raises:
        Conflict: the folder is there, or bytes that a record speaks for are lost.
        InvalidInput: there is no store, or `since` is no backup.
        StoreFull: there is no room for the backup.
    """
    check_store(store)
    if since is not None and not (since / MANIFEST).is_file():
        raise InvalidInput(f"{since} is no backup: it has no {MANIFEST}", field="since")
    with made_whole(folder) as making:
        work = _Making(store, trust, blobs, making, report, since if content else None)
        return msgspec.structs.replace(work.run(content=content), folder=str(folder))


def check_store(store: Store) -> None:
    """Check that there is a store of a release that this one knows.

    Raises:
        InvalidInput: there is none.
    """
    if store.path is not None and not store.path.exists():  # SQLite would make one
        raise InvalidInput(f"there is no store at {store.path}; name it by --store", field="store")
    with store.read() as connection:
        revision = backup.begin(connection)
    if revision is None:
        raise InvalidInput(f"{store.name} holds no store; name another --store", field="store")
    if revision not in migrations.known():
        raise SchemaMismatch(
            f"{store.name} has schema {revision}, which this release does not know: back it up with the release that "
            "wrote it, or a newer one"
        )


def listed(folder: Path) -> Iterator[Spoken]:
    """The bytes that the records of a backup speak for."""
    decoder = msgspec.json.Decoder(Spoken)
    with (folder / LISTING).open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)


class _Lost(Exception):
    """Bytes are not where a record says they are, or not what it says."""


class _Making:
    """One backup under way."""

    def __init__(
        self, store: Store, trust: TrustFolder, blobs: Blobs, folder: Path, report: Report, since: Path | None
    ) -> None:
        self.store, self.trust, self.blobs, self.folder, self.report = store, trust, blobs, folder, report
        self.since = since
        self.linked = 0

    def run(self, *, content: bool) -> BackedUp:
        began = datetime.now(UTC)
        if content:
            with self.store.read(SECONDS) as connection:
                self._list(backup.spoken_for(connection))
            asyncio.run(self._bytes())  # what is lost now may have been collected: the next pass tells
        keys = self._trust()
        while True:
            manifest = self._snapshot(began, keys, content=content)
            lost = asyncio.run(self._bytes()) if content else []
            if not lost:
                break
            self._refuse_lost(lost)
        kept = self._sweep()
        (self.folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        return BackedUp(
            folder=str(self.folder), engine=manifest.engine, schema=manifest.schema, began=began,
            entries=manifest.entries, artifacts=manifest.artifacts, linked=self.linked, content=content,
            bytes=kept + sum(file.bytes for file in manifest.files.values()),
            signing_key=str(self.trust.signing_key),
        )  # fmt: skip

    def _list(self, spoken: Iterable[Spoken]) -> File:
        return put(self.folder / LISTING, (msgspec.json.encode(item) + b"\n" for item in spoken))

    def _trust(self) -> dict[str, File]:
        """Copy what is public. It is done before the snapshot, which therefore has every seal that was published."""
        made = {}
        for key in self.trust.public_files():
            made[f"trust/{key.name}"] = put(self.folder / "trust" / key.name, pieces_of(key))
        made[f"trust/{CHECKPOINTS_FILE}"] = put(self.folder / "trust" / CHECKPOINTS_FILE, self.trust.whole_lines())
        return made

    def _snapshot(self, began: datetime, files: dict[str, File], *, content: bool) -> Manifest:
        """Write the store as it is at one moment, and the list of what it speaks for."""
        with self.store.read(SECONDS) as connection:
            revision = backup.begin(connection)
            assert revision is not None
            files = {**files, LISTING: self._list(backup.spoken_for(connection))}
            tables: dict[str, list[str]] = {}
            if self.store.is_sqlite:
                (self.folder / STORE).unlink(missing_ok=True)
                backup.copy_file(connection, self.folder / STORE, lambda done, total: self.report("store", done, total))
            else:
                tables = backup.columns(connection, revision)
                for done, (name, names) in enumerate(tables.items()):
                    self.report(f"table {name}", done, len(tables))
                    path = f"tables/{name}.copy"
                    # closed at once when the disk is full: a copy that is still open cannot be rolled back
                    with closing(backup.copy_out(connection, name, names)) as pieces:
                        files[path] = put(self.folder / path, pieces)
            head = (backup.engine_version(connection), backup.store_id(connection), backup.entries(connection))
        if self.store.is_sqlite:
            self.report("digest", 0, 1)
            files[STORE] = measured(self.folder / STORE)
        count = size = 0
        for item in listed(self.folder):
            count, size = count + 1, size + item.size
        return Manifest(
            format=FORMAT, engine=self.store.dialect, engine_version=head[0], schema=revision,
            muniment=version("muniment"), store=head[1], began=began, entries=head[2], artifacts=count,
            artifact_bytes=size, content=content, tables=tables,
            files=dict(sorted(files.items())),
        )  # fmt: skip

    async def _bytes(self) -> list[Spoken]:
        """Copy the bytes of what is listed and not copied yet; what is lost."""
        wanted = [item for item in listed(self.folder) if not (self.folder / artifact_path(item.digest)).exists()]
        lost: list[Spoken] = []
        for start in range(0, len(wanted), _AT_ONCE):
            self.report("artifacts", start, len(wanted))
            part = {item.digest: item for item in wanted[start : start + _AT_ONCE]}
            found = await asyncio.gather(*map(self._copied, part.values()), return_exceptions=True)
            for item, outcome in zip(part.values(), found, strict=True):
                if isinstance(outcome, _Lost):
                    lost.append(item)
                elif outcome is not None:
                    raise outcome
        return lost

    async def _copied(self, item: Spoken) -> None:
        path = self.folder / artifact_path(item.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        if self._from_earlier(item, part):
            self.linked += 1
        else:
            hashed = hashlib.sha256()
            try:
                with part.open("wb") as file:
                    async for piece in self._whole(item):
                        file.write(piece)
                        hashed.update(piece)
            except NotFound:
                raise _Lost from None
            if f"sha256:{hashed.hexdigest()}" != item.digest:
                raise _Lost
        part.rename(path)

    def _whole(self, item: Spoken) -> AsyncIterator[bytes]:
        return self.blobs.whole(item.location)

    def _from_earlier(self, item: Spoken, part: Path) -> bool:
        """Take bytes from an earlier backup, if they still are there what they were."""
        if self.since is None:
            return False
        source = self.since / artifact_path(item.digest)
        if not source.is_file() or f"sha256:{measured(source).sha256}" != item.digest:
            return False
        part.unlink(missing_ok=True)
        try:
            os.link(source, part)
        except OSError:  # another disk, or one that knows no links
            shutil.copyfile(source, part)
        return True

    def _refuse_lost(self, lost: list[Spoken]) -> None:
        """Check that what is lost was collected meanwhile, so that another snapshot does without.

        Raises:
            Conflict: a record still speaks for it.
        """
        gone = {item.location: item for item in lost}
        with self.store.read(SECONDS) as connection:
            for item in backup.spoken_for(connection):
                if item.location in gone:
                    raise Conflict(
                        f"the bytes of {item.digest} are missing or not what they were; muniment verify --bytes tells "
                        "of all that are, and --without-bytes backs up the rest"
                    )

    def _sweep(self) -> int:
        """Drop the bytes that were collected before the snapshot; how many bytes are left."""
        kept = {artifact_path(item.digest) for item in listed(self.folder)}
        size = 0
        for path in (self.folder / "artifacts").rglob("*"):
            if not path.is_file():
                continue
            if path.relative_to(self.folder).as_posix() in kept:
                size += path.stat().st_size
            else:
                path.unlink()
        return size

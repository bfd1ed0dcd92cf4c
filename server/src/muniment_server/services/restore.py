"""The use case of restoring a store from a backup.

Nothing of a backup is believed: digests are compared first, then everything is put where nobody can see it yet, brought
to the schema of this release and verified, the published checkpoints and the bytes of artifacts included. The store
appears as the last thing of all, and at once. What a killed restore leaves is bytes of artifacts that no record speaks
for and checkpoints that the next one finds; it goes through as if there had been none before.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import zip_longest
from pathlib import Path

import msgspec
import sqlalchemy as sa

from muniment.model.errors import Conflict, InvalidInput, Unavailable
from muniment.model.ledger import Verification
from muniment_server.services import verify
from muniment_server.services.backup import FORMAT, LISTING, MANIFEST, STORE, Manifest, artifact_path, listed
from muniment_server.services.bundles import SECONDS, File, Report, check_file, flush, pieces_of, room_for
from muniment_server.services.trust import CHECKPOINTS_FILE, TrustFolder
from muniment_server.store import backup, migrations, tiles
from muniment_server.store.backup import Spoken
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store

_NAME = re.compile(
    r"(store\.sqlite|artifacts\.ndjson|tables/[a-z_]{1,60}\.copy|trust/[0-9a-f]{16}\.pub|trust/checkpoints\.ndjson)\Z"
)
_LOCATION = re.compile(r"[0-9a-f]{32}/[0-9a-f]{2}/[0-9a-f]{32}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_AT_ONCE = 8
"""Artifacts that are put at a time."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """The answer.

    Attributes:
        store: the store that is there now.
        schema: of the backup, and what it was brought to.
        entries, sealed, published, records, points: what was verified: entries under a seal, and those of these whose
            seal was published.
        artifacts: whose bytes are there and were read; None if the backup was made without them.
        trust, blobs: where its trust folder and the bytes of its artifacts are.
    """

    store: str
    schema: tuple[str, str]
    entries: int
    sealed: int
    published: int
    records: int
    points: int
    artifacts: int | None
    trust: str
    blobs: str


def check(folder: Path, report: Report) -> Manifest:
    """The manifest of a backup whose files are what it says.

    Raises:
        InvalidInput: it is no backup, of a release that this one does not know, or damaged.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"{folder} is no backup: it has no {MANIFEST}", field="folder") from None
    except ValueError as error:
        raise InvalidInput(f"{folder / MANIFEST} is not that of a backup: {error}", field="folder") from None
    if manifest.format != FORMAT or manifest.schema not in migrations.known():
        raise InvalidInput(
            f"{folder} has format {manifest.format}, schema {manifest.schema[:40]!r}, which this release cannot read: "
            "restore it with the release that made it, or a newer one",
            field="folder",
        )
    wanted = {STORE} if manifest.engine == "sqlite" else {f"tables/{name}.copy" for name in manifest.tables}
    missing = sorted({*wanted, LISTING, f"trust/{CHECKPOINTS_FILE}"} - set(manifest.files))
    if missing:
        raise InvalidInput(f"{folder / MANIFEST} does not name {missing[0][:80]}: it was changed", field="folder")
    known = set(migrations.created(manifest.engine, manifest.schema)) if manifest.engine == "postgresql" else set()
    bad = [path for path in manifest.files if not _NAME.match(path)] + sorted(set(manifest.tables) - known)
    if bad:
        raise InvalidInput(f"{folder / MANIFEST} names {bad[0][:120]!r}, which no backup has", field="folder")
    for done, (path, file) in enumerate(manifest.files.items()):
        report("digests", done, len(manifest.files))
        check_file(folder / path, file)
    if manifest.content:
        for done, item in enumerate(_listed(folder)):
            report("digests of artifacts", done, manifest.artifacts)
            check_file(folder / artifact_path(item.digest), File(item.digest.removeprefix("sha256:"), item.size))
    return manifest


def _listed(folder: Path) -> Iterator[Spoken]:
    try:
        for item in listed(folder):
            if not (_DIGEST.match(item.digest) and _LOCATION.match(item.location)):
                raise InvalidInput(
                    f"{folder / LISTING} names {item.location[:80]!r}, which no store has", field="folder"
                )
            yield item
    except ValueError as error:
        raise InvalidInput(f"{folder / LISTING} is no list of artifacts: {error}", field="folder") from None


def put_back(
    store: Store, folder: Path, manifest: Manifest, report: Report, *, trust: TrustFolder, blobs: Blobs
) -> Restored:
    """Restore a store where there is none.

    Args:
        store: where to; of the backup's engine, and empty.
        folder: the backup.
        manifest: of the backup, as `check` gave it.
        report: hears how far it is.
        trust: the trust folder to use; the backup must have every seal that it has published.
        blobs: where the bytes of artifacts are to lie.

    Raises:
        Conflict: there is a store already, it is of the other engine, or the trust folder speaks of another history.
        InvalidInput: the backup does not verify.
        StoreFull: there is no room.
    """
    if store.dialect != manifest.engine:
        raise Conflict(
            f"{folder} is a backup of a {manifest.engine} store, and {store.name} is none: restore it into one; "
            "muniment export and import take projects from one engine to the other",
            field="store",
        )
    _refuse_store(store)
    making = _sqlite if store.is_sqlite else _postgresql
    with ExitStack() as undo, tempfile.TemporaryDirectory(prefix="muniment-restore-") as temporary:
        staged = _staged(folder, trust, TrustFolder(Path(temporary)))
        if manifest.content:
            asyncio.run(_bytes_in(blobs, folder, manifest, report, _taking_away(undo, blobs)))
        with making(store, folder, manifest, report) as connection:
            _check_published(connection, trust, folder)
            outcome = _proved(connection, staged, folder, report)
            _publish(trust, staged, undo)
        undo.pop_all()
    return Restored(
        store=store.name, schema=(manifest.schema, migrations.head()), entries=outcome.entries, sealed=outcome.sealed,
        published=outcome.published, records=outcome.records, points=outcome.points,
        artifacts=manifest.artifacts if manifest.content else None, trust=str(trust.path), blobs=blobs.url,
    )  # fmt: skip


def _there(store: Store) -> Conflict:
    return Conflict(f"there is a store already at {store.name}; restore into an empty place", field="store")


def _refuse_store(store: Store) -> None:
    """Check that there is room for a store, so that nothing is begun in vain."""
    if store.path is None:
        with store.read() as connection:
            if not backup.is_empty(connection):
                raise _there(store)
        return
    if store.path.exists():
        raise _there(store)
    if not store.path.parent.is_dir():
        raise Unavailable(f"the folder {store.path.parent} does not exist; create it, or name another --store")
    for path in backup.beside(store.path):
        if path.exists():
            raise Conflict(f"{path} is left of another store; move it away, or it would be read into this one")


def _staged(folder: Path, trust: TrustFolder, staged: TrustFolder) -> TrustFolder:
    """A trust folder with the keys and checkpoints of the backup and those that are there."""
    for key in (*trust.public_files(), *TrustFolder(folder / "trust").public_files()):
        shutil.copyfile(key, staged.path / key.name)
    shutil.copyfile(folder / "trust" / CHECKPOINTS_FILE, staged.path / CHECKPOINTS_FILE)
    known = {seal.number: seal for seal in staged.checkpoints()}
    more = []
    for seal in trust.checkpoints():
        if known.setdefault(seal.number, seal) != seal:
            raise Conflict(
                f"{trust.path} has published another seal {seal.number} than {folder} has: it is the trust folder of "
                "another store; name another --trust"
            )
        more.append(seal)
    staged.publish(more)
    return staged


def _check_published(connection: sa.Connection, trust: TrustFolder, folder: Path) -> None:
    """Check that the trust folder knows of nothing that came after the backup."""
    last = tiles.last_of_chain(connection)[0]
    published = max((seal.number for seal in trust.checkpoints()), default=0)
    if published > last:
        raise Conflict(
            f"{trust.path} has published seals up to {published}, and {folder} ends with seal {last}: what came after "
            f"it is lost. To go on from the backup, move {CHECKPOINTS_FILE} out of the trust folder and keep it: it is "
            "the evidence of what was lost"
        )


def _publish(trust: TrustFolder, staged: TrustFolder, undo: ExitStack) -> None:
    """Put keys and checkpoints where servers look for them."""
    checkpoints = trust.path / CHECKPOINTS_FILE
    if not trust.path.exists():
        undo.callback(shutil.rmtree, trust.path, ignore_errors=True)
    elif not checkpoints.exists():
        undo.callback(checkpoints.unlink, missing_ok=True)
    else:
        undo.callback(os.truncate, checkpoints, checkpoints.stat().st_size)
    there = {seal.number for seal in trust.checkpoints()}
    with room_for(trust.path):
        trust.path.mkdir(parents=True, exist_ok=True)
        for key in staged.public_files():
            if not (trust.path / key.name).exists():
                undo.callback((trust.path / key.name).unlink, missing_ok=True)
                shutil.copyfile(key, trust.path / key.name)
        trust.publish(seal for seal in staged.checkpoints() if seal.number not in there)


def _proved(connection: sa.Connection, staged: TrustFolder, folder: Path, report: Report) -> Verification:
    """Check everything that was put back: it agrees with itself, its seals, and the bytes that were put."""
    outcome = verify.within(connection, staged, None, report)
    for finding in outcome.findings:
        raise InvalidInput(
            f"{folder} does not verify: project {finding.project}, position {finding.position} ({finding.where}): "
            f"{finding.problem}",
            field="folder",
        )
    for spoken, there in zip_longest(backup.spoken_for(connection), _listed(folder)):
        if spoken != there:
            raise InvalidInput(f"{folder / LISTING} is not what the records of the store speak for", field="folder")
    return outcome


def _taking_away(undo: ExitStack, blobs: Blobs) -> Callable[[str], None]:
    """What is told of each location that bytes are put at, so that they are taken away if the restore fails."""
    put: list[str] = []
    if blobs.folder is not None and not blobs.folder.exists():
        undo.callback(shutil.rmtree, blobs.folder, ignore_errors=True)
        return lambda _: None

    async def take_away() -> None:
        for location in put:
            with suppress(Unavailable):  # bytes that no record speaks for do no harm
                await blobs.delete(location)

    undo.callback(lambda: asyncio.run(take_away()))
    return put.append


async def _bytes_in(
    blobs: Blobs, folder: Path, manifest: Manifest, report: Report, tell: Callable[[str], None]
) -> None:
    """Put the bytes where the records will say that they are, and read them there."""
    waiting: list[Spoken] = []
    for done, item in enumerate(_listed(folder), 1):
        report("artifacts", done, manifest.artifacts)
        waiting.append(item)
        if len(waiting) == _AT_ONCE or done == manifest.artifacts:
            found = await asyncio.gather(*(_put(blobs, folder, each, tell) for each in waiting), return_exceptions=True)
            for outcome in found:
                if outcome is not None:
                    raise outcome
            waiting = []


async def _put(blobs: Blobs, folder: Path, item: Spoken, tell: Callable[[str], None]) -> None:
    found = await blobs.digest(item.location)
    if found == item.digest:
        return  # they have survived, or an earlier restore has put them

    async def pieces() -> AsyncIterator[bytes]:
        for piece in pieces_of(folder / artifact_path(item.digest)):
            yield piece

    if found is None:
        tell(item.location)
    await blobs.put(item.location, pieces())
    if await blobs.digest(item.location) != item.digest:
        raise Unavailable(f"{blobs.url} does not give back the bytes of {item.digest} that were put there")


@contextmanager
def _sqlite(store: Store, folder: Path, manifest: Manifest, report: Report) -> Iterator[sa.Connection]:
    """A connection to what was put back; it has its name once the block ends well."""
    del manifest
    path = store.path
    assert path is not None
    part = path.with_name(f".{path.name}.restore.part")
    with ExitStack() as last, room_for(path):
        lock = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
        last.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"another process restores into {path}; wait for it", field="store") from None
        for left in (part, *backup.beside(part)):
            last.callback(left.unlink, missing_ok=True)
        for left in backup.beside(part):  # of a restore that was killed
            left.unlink(missing_ok=True)
        report("store", 0, 1)
        shutil.copyfile(folder / STORE, part)
        made = Store(store.url.set(database=str(part)).render_as_string(hide_password=False))
        try:
            with _legible(folder):
                migrations.prepare(made, migrate=True)
                with made.read(SECONDS) as connection:
                    yield connection
        finally:
            made.close()
        backup.close_file(part)
        flush(part)
        _name(part, path, store)
        flush(path.parent)


def _name(part: Path, path: Path, store: Store) -> None:
    """Give a file its name, unless there is one of that name."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise _there(store) from None
    except OSError:  # a disk that knows no links
        if path.exists():
            raise _there(store) from None
        part.rename(path)


@contextmanager
def _legible(folder: Path) -> Iterator[None]:
    try:
        yield
    except sa.exc.DatabaseError as error:
        reason = str(error.orig or error).splitlines()[0][:300]
        raise InvalidInput(f"{folder} holds what is no store: {reason}", field="folder") from error


@contextmanager
def _postgresql(store: Store, folder: Path, manifest: Manifest, report: Report) -> Iterator[sa.Connection]:
    """A transaction that has put everything back; it is committed if the block ends well."""
    with store.write() as connection:
        if not backup.begin_restore(connection):
            raise _there(store)
        migrations.bring(connection, manifest.schema)
        for done, (name, columns) in enumerate(manifest.tables.items()):
            report(f"table {name}", done, len(manifest.tables))
            backup.copy_in(connection, name, columns, pieces_of(folder / f"tables/{name}.copy"))
        report("schema", 0, 1)
        migrations.bring(connection, migrations.head())
        backup.take_stock(connection, manifest.tables)
        yield connection

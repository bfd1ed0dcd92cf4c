"""The use case of looking at a store, its trust folder and its artifacts, and saying what is wrong and what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Literal

import msgspec
import sqlalchemy as sa

from muniment.model.errors import MunimentError
from muniment.model.ids import new_id
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import default_artifacts, default_trust, now
from muniment_server.store import backup, inspection, migrations
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store, masked
from muniment_server.store.inspection import State

Level = Literal["ok", "warning", "wrong"]
LEAST_FREE = 100 * 2**20
"""With fewer bytes free, writes will soon be refused."""
LITTLE_FREE = 2**30
SKEW_WARNING, SKEW_WRONG = 1.0, 5.0
"""Seconds between this clock and the database's. A keeper's lease is 5 seconds."""
WAITING_SECONDS = 60.0
"""Entries that are sealed every second, and seals that are published at once, do not wait that long."""
STALE_UPLOAD = timedelta(days=1)
SAMPLE = 20
LARGEST = 64 * 2**20
"""Bytes of the largest artifact that is read."""
_LEAST = {"sqlite": (3, 37), "postgresql": (14,)}
"""SQLite before 3.37 knows no STRICT tables; PostgreSQL before 14 is not maintained any more."""


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, where, what was found, and what to do about it."""

    level: Level
    what: str
    where: str
    found: str
    advice: str | None = None


def line(error: BaseException) -> str:
    """What an error says, in one line and without secrets."""
    if isinstance(error, MunimentError):
        return error.message[:300]
    text = str(getattr(error, "orig", None) or error)
    return masked((text.splitlines() or [type(error).__name__])[0][:300])


def room(what: str, folder: Path, advice: str) -> Finding:
    """How much space is free where a folder is or would be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 2**30:,.1f} GiB free"
    level: Level = "wrong" if free < LEAST_FREE else "warning" if free < LITTLE_FREE else "ok"
    return Finding(level, what, str(folder), found, None if level == "ok" else advice)


def of_installation(store: Store, trust: Path | None, artifacts: str | None) -> Iterator[Finding]:
    """A store and what belongs to it, as far as it can be opened.

    Args:
        store: the store, which may not be there.
        trust: its trust folder; the usual one if nobody says.
        artifacts: where its bytes lie; the usual place if nobody says.
    """
    try:
        for finding in of_store(store):
            yield finding
            if finding.level == "wrong" and finding.what in {"store", "schema"}:
                return
        folder = TrustFolder(trust or default_trust(store))
        found = state(store, folder)
        yield from of_time(store, found)
        yield from of_trust(store, folder, found)
        yield from of_artifacts(store, Blobs(artifacts or default_artifacts(store)), found)
    except (MunimentError, sa.exc.SQLAlchemyError, OSError) as error:
        yield Finding("wrong", "store", store.name, line(error), "run muniment verify")


def of_store(store: Store) -> Iterator[Finding]:
    """Whether a store can be used. What is called store or schema and is wrong is the end: nothing more can be said."""
    where = store.name
    if store.path is not None and not store.path.exists():
        yield Finding("wrong", "store", where, "there is none", "name it by --store; muniment serve makes a new one")
        return
    try:
        with store.read() as connection:
            begun = now()
            there = inspection.clock(connection)
            halfway = begun + (now() - begun) / 2
            revision = backup.begin(connection)
            version, mode = backup.engine_version(connection), inspection.journal_mode(connection)
    except (MunimentError, sa.exc.SQLAlchemyError, OSError) as error:
        yield Finding("wrong", "store", where, line(error), "check the URL, that the database runs, and its rights")
        return
    yield Finding("ok", "store", where, "can be read")
    yield _engine(store, version)
    if mode is not None:
        good = mode == "wal"
        advice = None if good else "no server has opened it, or its disk does not allow a write-ahead log"
        yield Finding("ok" if good else "warning", "journal mode", where, mode, advice)
    if store.path is not None:
        yield room("disk of the store", store.path.parent, "free some space, or writes will be refused")
    if there is not None:
        yield _skew(where, (halfway - there.astimezone(UTC)).total_seconds())
    yield _schema(where, revision)


def _engine(store: Store, version: str) -> Finding:
    good = tuple(int(part) for part in version.split(".")[:2]) >= _LEAST[store.dialect]
    least = ".".join(map(str, _LEAST[store.dialect]))
    return Finding(
        "ok" if good else "wrong", "engine", store.name, f"{store.dialect} {version}",
        None if good else f"use {store.dialect} {least} or newer",
    )  # fmt: skip


def _skew(where: str, seconds: float) -> Finding:
    size = abs(seconds)
    level: Level = "wrong" if size > SKEW_WRONG else "warning" if size > SKEW_WARNING else "ok"
    found = f"{size:.1f} s {'ahead of' if seconds > 0 else 'behind'} the database"
    return Finding(level, "clock", where, found, None if level == "ok" else "let both machines set their clocks by NTP")


def _schema(where: str, revision: str | None) -> Finding:
    if revision == migrations.head():
        return Finding("ok", "schema", where, revision)
    if revision is None:
        return Finding(
            "wrong", "schema", where, "holds no store", "name another --store; muniment serve fills this one"
        )
    if revision in migrations.known():
        advice = "muniment backup, then muniment migrate"
        return Finding("wrong", "schema", where, f"{revision}, and this release needs {migrations.head()}", advice)
    return Finding("wrong", "schema", where, f"{revision}, which a newer Muniment has written", "upgrade this one")


def state(store: Store, trust: TrustFolder) -> State:
    """What a store of this release's schema tells of itself."""
    with store.read() as connection:
        return inspection.look(connection, trust.last_published(), now() - STALE_UPLOAD)


def of_time(store: Store, found: State) -> Iterator[Finding]:
    """Whether history is sealed, and this clock goes with it."""
    ahead = 0.0 if found.newest is None else (found.newest - now()).total_seconds()
    if ahead > SKEW_WARNING:
        advice = "set this machine's clock by NTP; until it has caught up, entries get the time of the latest"
        yield Finding("wrong", "clock", store.name, f"{ahead:.0f} s behind the latest entry", advice)
    alive = found.keeper is not None and found.keeper.expires_at > now()
    waited = 0.0 if found.waiting_since is None else (now() - found.waiting_since).total_seconds()
    who = found.keeper.holder if found.keeper is not None and alive else "nobody keeps it"
    if waited > WAITING_SECONDS:
        advice = "read the server's log for 'keeper failed'" if alive else "start muniment serve: it seals them"
        text = f"{found.unsealed:,} entries unsealed, the oldest for {waited:,.0f} s; {who}"
        yield Finding("wrong", "keeper", store.name, text, advice)
    else:
        yield Finding("ok", "keeper", store.name, f"{who}; {found.unsealed:,} entries wait for a seal")


def of_trust(store: Store, trust: TrustFolder, found: State) -> Iterator[Finding]:
    """Whether the trust folder can do what it is for."""
    where = str(trust.path)
    if not trust.path.is_dir():
        level: Level = "wrong" if found.last_seal else "warning"
        advice = "name the right one by --trust, or restore it from a backup" if found.last_seal else None
        yield Finding(level, "trust folder", where, "is not there", advice)
        return
    yield from _keys(trust, found)
    if store.path is not None and _disk(trust.path) == _disk(store.path):
        advice = "move it to storage that whoever can change the store cannot change, and name it by --trust"
        yield Finding("warning", "trust folder", where, "lies on the disk of the store", advice)
    else:
        yield Finding("ok", "trust folder", where, "lies apart from the store")
    published = trust.last_published()
    late = 0.0 if found.unpublished_since is None else (now() - found.unpublished_since).total_seconds()
    text = f"seal {published:,} of {found.last_seal:,}"
    if published > found.last_seal:
        advice = "the store has lost what was sealed: run muniment verify, and look for a later backup"
        yield Finding("wrong", "published", where, text, advice)
    elif late > WAITING_SECONDS:
        advice = "let the server write to this folder, or name the one that it uses by --trust"
        yield Finding("wrong", "published", where, f"{text}, for {late:,.0f} s", advice)
    else:
        yield Finding("ok", "published", where, text)


def _disk(path: Path) -> int:
    return path.stat().st_dev


def _keys(trust: TrustFolder, found: State) -> Iterator[Finding]:
    key = trust.signing_key
    if found.last_seal and not trust.knows_keys():
        advice = "put the KEY.pub files back, from a backup: without them nothing can be verified"
        yield Finding("wrong", "public keys", str(trust.path), "there are none", advice)
    if not key.exists():
        yield Finding("warning", "signing key", str(key), "is not there", "put it back, or a server makes a new one")
        return
    about = key.stat()
    mode = stat.S_IMODE(about.st_mode)
    if mode & 0o077:
        yield Finding("wrong", "signing key", str(key), f"others may read it (mode {mode:o})", f"chmod 600 {key}")
    elif not os.access(key, os.R_OK):
        yield Finding(
            "warning", "signing key", str(key), "not readable by this user", "run doctor as the server's user"
        )
    else:
        yield Finding("ok", "signing key", str(key), "readable by its owner only")


def of_artifacts(store: Store, blobs: Blobs, found: State) -> Iterator[Finding]:
    """Whether bytes can be written, and are what they were."""
    where = masked(blobs.url)
    if blobs.folder is not None and not blobs.folder.exists():
        if found.artifacts:
            advice = "name the right place by --artifacts, or restore it from a backup"
            text = f"is not there, and {found.artifacts:,} artifacts should be"
            yield Finding("wrong", "artifacts", where, text, advice)
        else:
            yield Finding("ok", "artifacts", where, "will be made for the first artifact")
        return
    try:
        asyncio.run(_write(blobs))
    except (MunimentError, OSError) as error:
        yield Finding("wrong", "artifacts", where, line(error), "let the server's user write there")
    else:
        yield Finding("ok", "artifacts", where, "can be written")
    if blobs.folder is not None:
        yield room("disk of artifacts", blobs.folder, "free some space; muniment collect deletes what nobody refers to")
    with store.read() as connection:
        some = inspection.sample(connection, SAMPLE, LARGEST)
    wrong = [spoken for spoken in some if asyncio.run(blobs.digest(spoken.location)) != spoken.digest]
    if wrong:
        advice = "muniment verify --bytes tells of all; restore them from a backup"
        text = f"{len(wrong)} of {len(some)} missing or changed, such as {wrong[0].digest}"
        yield Finding("wrong", "bytes", where, text, advice)
    elif some:
        yield Finding("ok", "bytes", where, f"{len(some)} of {found.artifacts:,} read: as they were")
    if found.stale_uploads:
        text = f"{found.stale_uploads:,} older than a day never ended, or wait to be deleted"
        yield Finding("warning", "uploads", where, text, "muniment collect")


async def _write(blobs: Blobs) -> None:
    """Write something and delete it."""
    if blobs.folder is not None:
        with tempfile.TemporaryFile(dir=blobs.folder) as file:
            file.write(b"written by muniment doctor")
        return

    async def pieces() -> AsyncIterator[bytes]:
        yield b"written by muniment doctor"

    location = f"doctor/{new_id()}"
    await blobs.put(location, pieces())
    await blobs.delete(location)

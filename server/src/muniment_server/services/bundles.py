"""Folders that are there whole or not at all, and what their files are: for backups and exports alike."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from muniment.model.errors import Conflict, InvalidInput, StoreFull, Unavailable

SECONDS = 86_400.0
"""A snapshot for as long as it takes."""
PIECE = 1 << 20
_FULL = frozenset((errno.ENOSPC, errno.EFBIG, errno.EDQUOT))
Report = Callable[[str, int, int], None]
"""Hears what is being done, how far it is, and of how much."""


class File(msgspec.Struct, frozen=True):
    """One file of a folder; its sha256 in hex."""

    sha256: str
    bytes: int


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name once the block ends well.

    Raises:
        Conflict: the folder is there, or somebody else makes it at the moment.
        StoreFull: there is no room for it.
    """
    if folder.exists():
        raise Conflict(f"{folder} is there already; name a folder that is not", field="folder")
    making = folder.with_name(f".{folder.name}.part")
    with room_for(folder):
        making.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            making.mkdir(mode=0o700)
        lock = os.open(making, os.O_RDONLY)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Conflict(f"{folder} is being made by another process; wait for it", field="folder") from None
            for left in making.iterdir():  # by one that was killed
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            try:
                yield making
                for path in (*making.rglob("*"), making):
                    flush(path)
                making.rename(folder)
            except BaseException:
                shutil.rmtree(making, ignore_errors=True)
                raise
            flush(folder.parent)
        finally:
            os.close(lock)


@contextmanager
def room_for(folder: Path) -> Iterator[None]:
    """Say of a full disk which one it is."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"there is no room for {folder}: free some, then try again") from error
        raise Unavailable(f"{folder} cannot be made: {error.strerror} ({error.filename})") from error


def flush(path: Path) -> None:
    """Ask the disk to keep a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put(path: Path, pieces: Iterable[bytes]) -> File:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hashed, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            hashed.update(piece)
            size += len(piece)
    return File(hashed.hexdigest(), size)


def pieces_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in pieces."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def measured(path: Path) -> File:
    """What a file is."""
    hashed, size = hashlib.sha256(), 0
    for piece in pieces_of(path):
        hashed.update(piece)
        size += len(piece)
    return File(hashed.hexdigest(), size)


def check_file(path: Path, file: File) -> None:
    """Check that a file is what a manifest says.

    Raises:
        InvalidInput: it is not, or cannot be read.
    """
    try:
        found = measured(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="folder") from None
    if found != file:
        raise InvalidInput(f"{path} is not what the manifest says: it was changed or cut short", field="folder")

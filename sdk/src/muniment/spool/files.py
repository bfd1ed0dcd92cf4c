"""Making files of a spool, and bringing them to the disk itself."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from pathlib import Path

from muniment.spool import layout
from muniment.spool.layout import COMMITTED, COUNTER, HEADER, SLOT

_UNSUPPORTED = frozenset((errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS))


def created(path: Path, first: int, size: int, *, careful: bool) -> mmap.mmap:
    """A new segment whose room is really there: a map of a file with holes would kill the process on a full disk."""
    if careful:
        check_memory(path.parent, size)
    making = path.with_suffix(".new")
    descriptor = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            for start in range(0, size, 1 << 20):
                os.pwrite(descriptor, bytes(min(1 << 20, size - start)), start)
        head = layout.HEAD.pack(
            layout.MAGIC, layout.VERSION, SLOT, first, (size - HEADER) // SLOT, layout.boot().encode()
        )
        os.pwrite(descriptor, head, 0)
        mapped = mmap.mmap(descriptor, size)
        making.rename(path)
    except OSError:
        making.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return mapped


def size_of(source: str | os.PathLike[str]) -> int:
    """Bytes of a file that can be read to its end.

    Raises:
        OSError: it is none.
    """
    found = Path(source).stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, and a device has no end
        raise OSError(errno.EINVAL, "it is not a file", os.fspath(source))
    Path(source).open("rb").close()
    return found.st_size


def check_memory(folder: Path, size: int) -> None:
    """Memory is not ours alone: take some only if much more is free.

    Raises:
        OSError: it is not.
    """
    free = os.statvfs(folder)
    if free.f_bavail * free.f_frsize < 8 * size:
        raise OSError(errno.ENOSPC, "too little memory is free", str(folder))


def fsync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk itself; what has been sent and deleted needs it no more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_segment(path: Path) -> None:
    """Bring a segment to the disk itself, and then say so in it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        count = os.pread(descriptor, COUNTER.size, COMMITTED)
        os.fsync(descriptor)
        os.pwrite(descriptor, count, layout.SYNCED)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def written(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    making = path.with_name(path.name + ".new")
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
    making.rename(path)

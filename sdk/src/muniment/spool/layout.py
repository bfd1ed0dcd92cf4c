"""What lies where in a spool.

::

    ROOT/                       $MUNIMENT_SPOOL, or muniment/spool in the user's state folder
      sender-HOST.lock          held by the sender of a host
      refused/WRITER.ndjson     what the store refused, and why
      WRITER/                   one process that logs to one project
        about.json              where it goes, and who writes
        lock                    held while the process lives
        sent                    how far the sender has come
        runs/RUN                runs that this process has begun and not ended
        files/NAME              copies of files to keep
        FIRST.segment           entries, from slot number FIRST (hexadecimal)

A segment is a page of header and then slots of 32 bytes, in the machine's own byte order. A point takes one slot:
kind, series, step, timestamp, value. Anything else is a frame: kind and length, then so many bytes, over as many slots
as it takes. Two counters in the header say how many slots are committed, and how many of these are on the disk itself:
after a restart of the machine only the latter are believed.

A second root lies in memory (/dev/shm) and takes segments while the disk is full.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import stat
import struct
import time
from pathlib import Path

import msgspec

HEADER = 4096
SLOT = 32
HEAD = struct.Struct("@8sIIQQ36s")
"""Magic, version, bytes of a slot, number of the first slot, slots, boot id."""
MAGIC = b"MUNSPOOL"
VERSION = 1
COUNTER = struct.Struct("@Q")
COMMITTED, SYNCED, URGENT = 128, 192, 256
"""Where the counters are, each in a cache line of its own."""
POINT_SLOT = struct.Struct("@IIqqd")
FRAME = struct.Struct("@II")
POINT, SERIES, COMMAND, FILE, NEED = 1, 2, 3, 4, 5
"""Kinds of entries. The last is the id of a run of another writer, which has to be in the store before what follows."""
SENT = struct.Struct("@QIIQQ")
"""Slots that the store has, state of the sender, refused entries, time in milliseconds, and how many entries the store
has said that it refused."""
GOING, AWAY, HELD = 0, 1, 2
"""States of a sender: it sends; the store cannot be reached; the store does not take what this writer has written."""
_SUFFIX = ".segment"
_SEGMENT = re.compile("[0-9a-f]{16}[.]segment")


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Where a writer's entries go, and who writes them."""

    url: str
    project: str
    host: str
    boot: str
    pid: int
    program: str
    started: int
    """Epoch milliseconds."""


class Series(msgspec.Struct, frozen=True, array_like=True):
    """What a number of a series means within a segment."""

    number: int
    run: str
    name: str


class File(msgspec.Struct, frozen=True):
    """A file to give a run."""

    run: str
    path: str
    name: str
    """In the writer's folder `files`."""
    media_type: str | None = None


def slots_of(length: int) -> int:
    """Slots that a frame of some bytes takes."""
    return -(-(FRAME.size + length) // SLOT)


def root() -> Path:
    """The spool's folder on disk."""
    given = os.environ.get("MUNIMENT_SPOOL")
    if given:
        return Path(given).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser().absolute() / "muniment" / "spool"


def memory_root(disk: Path) -> Path | None:
    """The spool's folder in memory, which belongs to one on disk; None where there is no such place."""
    if not os.access("/dev/shm", os.W_OK | os.X_OK):  # noqa: S108 - made and checked by `private`
        return None
    name = hashlib.sha256(os.fsencode(disk)).hexdigest()[:16]
    return Path(f"/dev/shm/muniment-{os.getuid()}-{name}")  # noqa: S108


def roots(disk: Path) -> list[Path]:
    """Where segments may lie, the disk first."""
    memory = memory_root(disk)
    return [disk] if memory is None else [disk, memory]


def ours(folder: Path) -> bool:
    """Whether a folder is this user's own, and nobody else can put something into it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def private(folder: Path) -> Path:
    """Make a folder that nobody else can look into, or be sure that it is one.

    Raises:
        OSError: it cannot be made, or it is somebody else's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user; set MUNIMENT_SPOOL to one that is")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def host() -> str:
    """This machine's name, as it is good for a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", platform.node())[:64] or "unknown"


def boot() -> str:
    """What tells this start of the machine from others; empty where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:36]
    except OSError:
        return ""


def milliseconds() -> int:
    """Now, as epoch milliseconds."""
    return time.time_ns() // 1_000_000


def segment_name(first: int) -> str:
    """The name of the segment that begins with a slot."""
    return f"{first:016x}{_SUFFIX}"


def segments(folder: Path) -> dict[int, Path]:
    """The segments in a folder, by first slot."""
    found: dict[int, Path] = {}
    try:
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return found
    for name in names:
        if _SEGMENT.fullmatch(name):
            found[int(name.partition(".")[0], 16)] = folder / name
    return found


def try_lock(path: Path) -> int | None:
    """Lock a file for as long as the returned descriptor is open; None if somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


class Sent(msgspec.Struct, frozen=True):
    """How far the sender of a writer has come; see `SENT`."""

    done: int = 0
    state: int = GOING
    refused: int = 0
    time: int = 0
    counted: int = 0


def read_sent(folders: list[Path]) -> Sent:
    """What the sender of a writer has said last, in whichever of the writer's folders it could."""
    said = [Sent()]
    for folder in folders:
        try:
            raw = (folder / "sent").read_bytes()
        except OSError:
            continue
        if len(raw) == SENT.size:
            said.append(Sent(*SENT.unpack(raw)))
    return max(said, key=lambda sent: (sent.time, sent.done))

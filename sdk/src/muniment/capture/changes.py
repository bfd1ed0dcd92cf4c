"""What a working tree has beyond its commit, as one difference that `git apply` takes."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from muniment.capture.git import Git, GitError, OutOfTime, zero_ended
from muniment.capture.redaction import is_secret_file, mask_patch, mask_text

FILE_LIMIT = 256 * 1024
"""Bytes of one file's difference, and of a file that git does not know yet."""
WHOLE_LIMIT = 8 * 1024 * 1024
"""Bytes of the whole difference."""
SIDE_LIMIT = 4 * 1024 * 1024
"""Bytes of a changed file before or after: git reads both sides, however little they differ."""
READ_LIMIT = 64 * 1024 * 1024
"""Bytes that git is asked to compare in all."""
FILES_LIMIT = 2_000
"""Files that are looked at."""
STAGED_TOGETHER = 200
"""Files that git takes at once. Thousands can take seconds on a slow disk, and what is not taken is told."""
COMPARING_SECONDS = 1.0
"""What is kept back of the time for the comparison itself."""
SINGLY_LIMIT = 50
"""Blobs that are asked for one by one, where some are missing."""
TOLD_LIMIT = 200
"""Lines in the list of what was left out."""

_SOURCES = frozenset(
    (".py", ".ipynb", ".toml", ".yaml", ".yml", ".json", ".cfg", ".ini", ".sh", ".sql", ".r", ".jl", ".c", ".cc",
     ".cpp", ".cu", ".h", ".hpp", ".rs", ".go", ".java", ".scala", ".js", ".ts", ".lua", ".pyx", ".txt", ".md", ".rst")
)  # fmt: skip
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_GITLINK, _ABSENT = "160000", "000000"


class Changed(msgspec.Struct, frozen=True):
    """A file that is not as in the commit."""

    path: bytes
    before: str
    """Mode in the commit; 000000 if it is not there."""
    blob: str
    now: str
    """Mode in the working tree; 000000 if it is not there."""
    known: bool = True
    """Whether git knows it; if not, it is taken only if it looks like a source file."""


class Status(msgspec.Struct):
    """What `git status` says."""

    commit: str | None = None
    branch: str | None = None
    changed: list[Changed] = []
    left_out: list[str] = []


class Changes(msgspec.Struct):
    """The difference, what it lacks, and in how many lines something was masked."""

    patch: bytes = b""
    left_out: list[str] = []
    masked: int = 0


def status(git: Git) -> Status:
    """Commit, branch and what has changed; without files that git does not know, if looking for them takes too long."""
    asked = (
        "status",
        "--porcelain=v2",
        "--branch",
        "--no-ahead-behind",
        "-z",
        "--no-renames",
        "--ignore-submodules=dirty",
    )
    try:
        found = _parsed(git(*asked, "--untracked-files=all", seconds=1.5))
    except GitError:
        found = _parsed(git(*asked, "--untracked-files=no"))
        found.left_out.append("files that git does not know: there was no time to look for them")
    if (git.top / ".gitmodules").is_file():
        found.left_out += [f"{path}: a submodule, which is not looked into" for path in _submodules(git)]
    return found


def _parsed(answer: bytes) -> Status:
    found = Status()
    changed: dict[bytes, Changed] = {}
    for line in answer.split(b"\x00"):
        kind = line[:1]
        if kind == b"#":
            _, name, value = os.fsdecode(line).split(" ", 2)
            if name == "branch.oid":
                found.commit = None if value == "(initial)" else value
            elif name == "branch.head":
                found.branch = None if value == "(detached)" else value
        elif kind == b"1":
            _, _, _, before, _, now, blob, _, path = line.split(b" ", 8)
            changed[path] = Changed(path, before.decode(), blob.decode(), now.decode())
        elif kind == b"u":  # a conflict: the commit's side is the second
            _, _, _, _, before, _, now, _, blob, _, path = line.split(b" ", 10)
            changed[path] = Changed(path, before.decode(), blob.decode(), now.decode())
        elif kind == b"?":
            fresh = Changed(line[2:], _ABSENT, "", "100644", known=False)
            # what is in the commit, not in the index and yet there has a line of each kind
            gone = changed.get(fresh.path)
            changed[fresh.path] = fresh if gone is None else msgspec.structs.replace(gone, now=fresh.now)
    found.changed = list(changed.values())
    return found


def _submodules(git: Git) -> list[str]:
    try:
        answer = git("config", "--file", ".gitmodules", "-z", "--get-regexp", r"\.path$")
    except GitError:
        return []
    return [told(pair.partition(b"\n")[2]) for pair in answer.split(b"\x00") if pair]


def told(path: bytes) -> str:
    """A path to be read by people."""
    return path.decode("utf-8", "replace").replace("\n", "\N{SYMBOL FOR NEWLINE}")[:500]


def changes(git: Git, found: Status) -> Changes:
    """The difference between the commit and the working tree.

    An index of its own, in a temporary folder, takes what is chosen of the working tree; git compares it with the
    commit. So line ends, modes and names are git's, and the repository itself is not touched.
    """
    made = Changes(left_out=list(found.left_out))
    taken: list[Changed] = []
    sizes = _blob_sizes(git, found.changed)
    ordered = sorted(found.changed, key=_order)
    if len(ordered) > FILES_LIMIT:
        made.left_out.append(f"{len(ordered) - FILES_LIMIT:,} files: too many have changed")
    budget, fresh = READ_LIMIT, WHOLE_LIMIT
    for file in ordered[:FILES_LIMIT]:
        size = sizes.get(file.blob, 0)
        reason, now = _refused(git.top, file, size)
        if reason is None and size is not None and size + now <= budget and (file.known or now <= fresh):
            budget -= size + now
            fresh -= 0 if file.known else now
            taken.append(file)
        else:
            made.left_out.append(f"{told(file.path)}: {reason or 'the whole is too large'}")
    if git.filters:
        taken = list(_unfiltered(git, taken, made.left_out))
    if taken:
        with tempfile.TemporaryDirectory(prefix="muniment-") as folder:
            answer = _compared(git, found.commit, taken, Path(folder), made.left_out)
        _collect(git.top, answer, made)
    if len(made.left_out) > TOLD_LIMIT:
        made.left_out[TOLD_LIMIT:] = [f"and {len(made.left_out) - TOLD_LIMIT:,} more"]
    return made


def _order(file: Changed) -> tuple[bool, bool, bytes]:
    """What git knows first, then what looks like source; so that what is cut off matters least."""
    return not file.known, Path(os.fsdecode(file.path)).suffix.lower() not in _SOURCES, file.path


def _blob_sizes(git: Git, changed: Iterable[Changed]) -> dict[str, int | None]:
    """Bytes of the blobs in the commit; None for one that is not in this clone."""
    blobs = sorted({file.blob for file in changed if file.blob.strip("0") and file.before != _GITLINK})
    if not blobs:
        return {}
    try:
        return _asked_sizes(git, blobs)
    except OutOfTime:
        raise
    except GitError:  # in a clone that has not all of them, one that is missing ends the answer
        sizes: dict[str, int | None] = dict.fromkeys(blobs)
        for blob in blobs[:SINGLY_LIMIT]:
            with contextlib.suppress(GitError):
                sizes |= _asked_sizes(git, [blob])
        return sizes


def _asked_sizes(git: Git, blobs: list[str]) -> dict[str, int | None]:
    answer = git("cat-file", "--batch-check=%(objectsize)", given="".join(f"{blob}\n" for blob in blobs).encode())
    sizes = [int(line) if line.isdigit() else None for line in answer.decode().splitlines()]
    return dict(zip(blobs, sizes, strict=True))


def _refused(top: Path, file: Changed, before: int | None) -> tuple[str | None, int]:
    """Why a file is not taken, if it is not; and its bytes in the working tree."""
    if _GITLINK in {file.before, file.now}:
        return "a submodule at another commit", 0
    if file.path.endswith(b"/"):
        return "a repository of its own", 0
    if is_secret_file(os.fsdecode(file.path)):
        return "its name says that it holds secrets", 0
    if before is None:
        return "what the commit has of it is not in this clone", 0
    if before > SIDE_LIMIT:
        return f"{before:,} bytes in the commit", 0
    if file.now == _ABSENT:
        return None, 0
    try:
        return _refused_now(top / os.fsdecode(file.path), known=file.known)
    except OSError as error:
        return f"cannot be read ({error.strerror})", 0


def _refused_now(path: Path, *, known: bool) -> tuple[str | None, int]:
    there = path.lstat()
    if stat.S_ISLNK(there.st_mode):
        return None, there.st_size
    if not stat.S_ISREG(there.st_mode):
        return "neither a file nor a link", 0
    if there.st_size > (SIDE_LIMIT if known else FILE_LIMIT):
        return f"{there.st_size:,} bytes", 0
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as opened:
        if not known and b"\x00" in opened.read(FILE_LIMIT):
            return "no text, and git does not know it", 0
    return None, there.st_size


def _unfiltered(git: Git, taken: list[Changed], left_out: list[str]) -> Iterator[Changed]:
    """Files whose content git would not pass through a command, such as that of LFS, before it compares."""
    answer = git("check-attr", "-z", "--stdin", "filter", given=zero_ended(file.path for file in taken))
    for file, name in zip(taken, answer.split(b"\x00")[2::3], strict=False):
        if os.fsdecode(name) in git.filters:
            left_out.append(f"{told(file.path)}: it goes through the filter {told(name)!r}, which is not run")
        else:
            yield file


def _compared(git: Git, commit: str | None, taken: list[Changed], folder: Path, left_out: list[str]) -> bytes:
    objects = folder / "objects"
    (objects / "info").mkdir(parents=True)
    (objects / "info" / "alternates").write_bytes(os.fsencode(git.objects) + b"\n")
    environment = {"GIT_INDEX_FILE": str(folder / "index"), "GIT_OBJECT_DIRECTORY": str(objects)}
    base = commit
    if base is None:  # nothing is committed; the empty tree's name depends on the repository's hash
        base = git("hash-object", "-t", "tree", "-w", "--stdin", environment=environment).decode().strip()
    git("read-tree", base, environment=environment)
    gone = [file.path for file in taken if file.now == _ABSENT]
    if gone:
        width = len(base)
        lines = zero_ended(b"0 %s\t%s" % (b"0" * width, path) for path in gone)
        git("update-index", "-z", "--index-info", given=lines, environment=environment)
    there = [file.path for file in taken if file.now != _ABSENT]
    for at in range(0, len(there), STAGED_TOGETHER):
        if git.seconds_left() < COMPARING_SECONDS:
            left_out += [f"{told(path)}: there was no time" for path in there[at:]]
            break
        refused = _staged(git, there[at : at + STAGED_TOGETHER], environment)
        left_out += [f"{told(path)}: git cannot take it" for path in refused]
    return git(
        "diff-index", "--cached", "--patch", "--binary", "--full-index", "--no-renames", "--no-color", "--no-ext-diff",
        "--no-textconv", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/", base, "--", environment=environment,
    )  # fmt: skip


def _staged(git: Git, paths: list[bytes], environment: dict[str, str]) -> list[bytes]:
    """Put files into the index; those that git refuses come back. It takes all or none, so they are found by halves."""
    if not paths:
        return []
    try:
        git(
            "update-index",
            "--add",
            "--remove",
            "--replace",
            "-z",
            "--stdin",
            given=zero_ended(paths),
            environment=environment,
        )
    except OutOfTime:
        raise
    except GitError:
        half = len(paths) // 2
        return [*_staged(git, paths[:half], environment), *_staged(git, paths[half:], environment)] if half else paths
    return []


def _collect(top: Path, answer: bytes, made: Changes) -> None:
    """Take the difference file by file, as far as the limits go, with secrets masked."""
    parts: list[bytes] = []
    size = 0
    for part in re.split(rb"(?m)^(?=diff --git )", answer):
        if not part:
            continue
        path = _path_of(part)
        name = told(path) if path else part.split(b"\n", 1)[0].decode("utf-8", "replace")
        kept, masked = mask_patch(part, name)
        if len(kept) > FILE_LIMIT:
            made.left_out.append(f"{name}: a difference of {len(kept):,} bytes")
        elif size + len(kept) > WHOLE_LIMIT:
            made.left_out.append(f"{name}: the whole is too large")
        elif b"\nGIT binary patch\n" in part and _speaks(top, path):
            made.left_out.append(f"{name}: binary, with something like a secret in it")
        else:
            parts.append(kept)
            size += len(kept)
            made.masked += masked
    made.patch = b"".join(parts)


def _speaks(top: Path, path: bytes) -> bool:
    """Whether a file that git takes for binary has something like a secret in it, which a binary patch would hide."""
    try:
        file = top / os.fsdecode(path)
        if not path or file.is_symlink():
            return False
        with file.open("rb") as opened:
            return mask_text(opened.read(SIDE_LIMIT).decode("latin-1"), os.fsdecode(path))[1] > 0
    except OSError:
        return False


def _path_of(part: bytes) -> bytes:
    """The path of one file's difference, from its first line, whose halves are alike."""
    line = part.split(b"\n", 1)[0][len(b"diff --git ") :]
    half = line[: len(line) // 2]
    if not half.startswith(b'"'):
        return half[2:]
    return re.sub(rb"\\([0-7]{3}|.)", _unescaped, half[3:-1], flags=re.DOTALL)


def _unescaped(found: re.Match[bytes]) -> bytes:
    sign = found[1]
    return bytes((int(sign, 8),)) if len(sign) == 3 else _ESCAPES.get(sign, sign)

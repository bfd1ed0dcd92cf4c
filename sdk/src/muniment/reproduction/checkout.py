"""Restoring code: a fresh folder with the recorded commit and the changes that were there, or with the program alone.

Nothing of the repository runs: no hook, filter, submodule or file system monitor.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from muniment.capture.git import Git, GitError, top_of
from muniment.model.errors import Conflict, InvalidInput, NotFound, Unavailable
from muniment.model.run import CHANGES, PROGRAM
from muniment.reproduction.plan import Recorded

FILTERED_TOLD = 20
"""Files behind filters that are named."""
NAMELESS = "program.py"
"""What a program is called that had no file."""
_OFF = (
    f"core.hooksPath={os.devnull}", "core.fsmonitor=false", "core.pager=cat", "protocol.version=2",
    "submodule.recurse=false", "fetch.recurseSubmodules=false", "gc.auto=0", "maintenance.auto=false",
    "advice.detachedHead=false", "core.alternateRefsCommand=",
)  # fmt: skip
_OF_A_REPOSITORY = frozenset((
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE", "GIT_EXTERNAL_DIFF",
))  # fmt: skip
"""Variables that would lead git to another repository."""


class Checkout(msgspec.Struct, frozen=True):
    """Restored code."""

    top: Path
    """The folder that is the top of the repository, or that has the program."""
    folder: Path
    """Where the command is to be run."""
    said: str
    """What was restored, in words."""
    not_restored: list[str]
    program: Path | None = None
    """The program, where it was kept as a text of its own."""
    origin: Path | None = None
    """The top of the repository on this machine that the commit comes from."""


def restore(
    recorded: Recorded, fetch: Callable[[str], bytes], top: Path, repository: str | None, here: Path
) -> Checkout:
    """Put the recorded code into a folder.

    Args:
        recorded: what is recorded.
        fetch: gives the bytes of an artifact by its path.
        top: a folder that does not exist yet.
        repository: path or URL to take the commit from; None for that around `here`, if it has the commit, or else
            the recorded one.
        here: the current folder.

    Raises:
        NotFound: the commit is nowhere to be had.
        Conflict: the recorded changes are not those that the run had, or cannot be applied.
    """
    code = recorded.code
    top.mkdir(parents=True)
    told: list[str] = []
    said, origin = "nothing", None
    changes = _checked(recorded, CHANGES, fetch)
    program = _checked(recorded, PROGRAM, fetch)
    if code.commit or changes:
        git = _Repository(top)
        if code.commit:
            source, origin = _take(git, code.commit, repository, code.repository, here)
            said = f"commit {code.commit[:12]} from {source}"
            told += git.behind_filters()
        else:
            said = "a repository without a commit"
        if changes:
            git.apply(changes)
            said += ", with the changes that were not committed"
        if code.repository and re.fullmatch(r"[^-\s][^\s]*", code.repository):
            git("remote", "add", "--", "origin", code.repository)  # what runs records where it comes from
    file = None
    if program:
        path = _program_path(code.entry_point)
        # a text that had no file must not become one more file of the repository
        file = top.parent / path if said != "nothing" and path == NAMELESS else _within(top, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(program)
        if said != "nothing":
            told.append(f"code: the run has no digest of {path}, which was in no commit; it is what the store has now")
        said = f"the program {path}" if said == "nothing" else f"{said}, and the program {path}"
    folder = _within(top, code.folder or ".")
    if not folder.is_dir():
        told.append(f"code: the folder {code.folder} in which it was run is not in the repository; the top is taken")
        folder = top
    elif code.commit and not code.folder:
        told.append("code: it was run outside the repository; the top of the repository is taken")
    return Checkout(top, folder, said, told, file, origin)


def _checked(recorded: Recorded, path: str, fetch: Callable[[str], bytes]) -> bytes:
    """The bytes of an artifact, if it is there and is what the run says it is.

    The run has one digest: that of the changes, or of the program where there are none.
    """
    if path not in recorded.artifacts:
        return b""
    content, digest = fetch(path), recorded.code.diff_digest
    if path == PROGRAM and (recorded.code.commit or CHANGES in recorded.artifacts):
        return content
    if digest is None or hashlib.sha256(content).hexdigest() != digest:
        raise Conflict(
            f"{path} is not what the run recorded: its sha256 begins with {hashlib.sha256(content).hexdigest()[:12]}, "
            f"that of the run with {(digest or 'nothing')[:12]}; nothing was run"
        )
    return content


def _program_path(entry_point: str | None) -> str:
    """Where the program belongs, from the top: where it was in its repository, or its own name."""
    if entry_point is None or not entry_point.endswith((".py", ".ipynb")):
        return NAMELESS
    path = PurePosixPath(entry_point)
    return path.name.replace(".ipynb", ".py") if path.is_absolute() or ".." in path.parts else str(path)


def _within(top: Path, path: str) -> Path:
    found = (top / path).resolve()
    if not found.is_relative_to(top.resolve()):
        raise InvalidInput(f"the recorded path {path!r} leads out of the repository; nothing was run")
    return found


class _Repository:
    """A fresh repository, and git in it.

    Args:
        top: an empty folder.
    """

    def __init__(self, top: Path) -> None:
        program = shutil.which("git")
        if program is None:
            raise Unavailable("git is not installed, and the recorded code is a commit")
        self._program, self.top = program, top
        self._options = [part for setting in _OFF for part in ("-c", setting)]
        self._environment = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY} | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",  # not ext::, which is a command
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_PAGER": "cat",
        }
        self("init", "--quiet", "--template=")
        for key in self("config", "--list", "--name-only", "-z").split("\x00"):
            if not key.startswith("filter."):
                continue
            name = key.split(".", 1)[1].rpartition(".")[0]
            if "=" in name or "\n" in name:
                raise Unavailable("git's config has a filter with a name that cannot be switched off")
            for setting in ("clean=", "smudge=", "process=", "required=false"):
                self._options += ["-c", f"filter.{name}.{setting}"]

    def __call__(self, *arguments: str, given: bytes | None = None) -> str:
        """What git answers.

        Raises:
            GitError: it refuses; the message is the last line of what it says.
        """
        made = subprocess.run(  # noqa: S603 - no shell, and the program is git
            [self._program, "--no-pager", *self._options, *arguments],
            input=given, stdin=None if given is not None else subprocess.DEVNULL, capture_output=True, cwd=self.top,
            env=self._environment, check=False,
        )  # fmt: skip
        if made.returncode:
            lines = made.stderr.decode("utf-8", "replace").strip().splitlines()
            raise GitError(lines[-1].removeprefix("fatal: ").removeprefix("error: ") if lines else "git failed")
        return os.fsdecode(made.stdout)

    def take(self, source: str, commit: str) -> None:
        """Check out a commit of another repository.

        Raises:
            GitError: it is not there, or cannot be reached.
        """
        quiet = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--update-shallow", "--")
        try:
            self(*quiet, source, commit)
        except GitError:  # a server may refuse to give a commit by its name alone
            self(*quiet, source, "+refs/*:refs/fetched/*")
        self("checkout", "--quiet", "--detach", commit)

    def apply(self, changes: bytes) -> None:
        """Apply a difference to the working tree."""
        try:
            self("apply", "--whitespace=nowarn", "-", given=changes)
        except GitError as error:
            raise Conflict(f"{CHANGES} cannot be applied to the commit ({error}); nothing was run") from None

    def behind_filters(self) -> list[str]:
        """Files that a filter would have to make, such as that of LFS; one line each."""
        files = self("ls-files", "-z")
        answer = self("check-attr", "-z", "--stdin", "filter", given=os.fsencode(files)).split("\x00")
        found = [
            f"code: {path} is made by the filter {name}, which is not run"
            for path, name in zip(answer[0::3], answer[2::3], strict=False)
            if name not in {"unspecified", "unset", ""}
        ]
        more = len(found) - FILTERED_TOLD
        return found if more <= 0 else [*found[:FILTERED_TOLD], f"code: {more:,} more files are made by filters"]


def _take(
    git: _Repository, commit: str, repository: str | None, recorded: str | None, here: Path
) -> tuple[str, Path | None]:
    """Check out a commit from where it is to be had; where that was, in words, and the folder if it was one."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        raise InvalidInput(f"the recorded commit {commit[:80]!r} is none; nothing was run")
    sources: list[tuple[str, str, Path | None]] = []
    around = top_of(here)
    if repository is not None:
        local = Path(repository).expanduser().absolute()
        sources.append((str(local), repository, local) if local.exists() else (repository, repository, None))
    else:
        if around is not None and has_commit(around, commit):
            sources.append((str(around), "the repository here", around))
        if recorded:
            sources.append((recorded, recorded, None))
    failures = []
    for source, said, folder in sources:
        try:
            git.take(source, commit)
        except GitError as error:
            failures.append(f"{said}: {error}")
        else:
            return said, folder
    tried = "; ".join(failures) or "the repository here does not have it, and no URL is recorded"
    raise NotFound(f"commit {commit} cannot be had ({tried}); say where it is with --repository")


def has_commit(top: Path, commit: str) -> bool:
    """Whether a repository has a commit; nothing of it runs."""
    try:
        Git(top)("cat-file", "-e", f"{commit}^{{commit}}")
    except GitError:
        return False
    return True

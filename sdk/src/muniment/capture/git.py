"""Asks git about a folder without letting the folder's own settings run a command.

A repository can name commands in its config: file system monitors, hooks, external differences, filters. Looking at a
repository must not run them, and must not reach for a network, ask anybody, or write to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

SECONDS = 4.0
"""How long all questions to one repository may take together."""

_OFF = (
    "core.fsmonitor=false", "core.untrackedCache=false", f"core.hooksPath={os.devnull}", "core.pager=cat",
    "core.safecrlf=false", "core.quotePath=true", "core.splitIndex=false", "core.looseCompression=0",
    "core.fsync=none", "core.alternateRefsCommand=", "credential.helper=", "protocol.allow=never",
    "submodule.recurse=false", "diff.suppressBlankEmpty=false", "diff.ignoreSubmodules=dirty", "gc.auto=0",
    "maintenance.auto=false",
)  # fmt: skip
_SURROUNDINGS = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",  # a clone without all objects would fetch them; this stops every version
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PAGER": "cat",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "LC_ALL": "C",
}


class GitError(Exception):
    """git is not there, does not answer in time, or does not trust or understand the folder."""


class OutOfTime(GitError):
    """git did not answer in time."""

    def __init__(self) -> None:
        super().__init__("git took too long")


class Git:
    """git in one working tree.

    Args:
        top: the folder that has ``.git``.

    Raises:
        GitError: there is nothing to be had from git here; the message says why, in one line.
    """

    def __init__(self, top: Path) -> None:
        found = shutil.which("git")
        if found is None:
            raise GitError("git is not installed")
        self._program = found
        self.top = top
        self._deadline = time.monotonic() + SECONDS
        self._options = [part for setting in _OFF for part in ("-c", setting)]
        self._environment = {
            # GIT_DIR and the like would lead elsewhere; GIT_CONFIG_… say whom the user trusts
            name: value
            for name, value in os.environ.items()
            if not name.startswith("GIT_") or "_CONFIG_" in name
        } | _SURROUNDINGS
        self.settings = self._settings()
        self.filters = {key.split(".", 1)[1].rpartition(".")[0] for key in self.settings if key.startswith("filter.")}
        for name in sorted(self.filters):
            if "=" in name or "\n" in name:
                raise GitError("a filter of the repository has a name that cannot be switched off")
            for key in ("clean", "smudge", "process"):
                self._options += ["-c", f"filter.{name}.{key}="]
            self._options += ["-c", f"filter.{name}.required=false"]
        shown, _, objects = os.fsdecode(self("rev-parse", "--show-toplevel", "--git-path", "objects")[:-1]).partition(
            "\n"
        )
        # a config may say that the working tree is another folder, and everything in there would be taken for source
        if not shown or not Path(shown).samefile(top):
            raise GitError("the repository's working tree lies elsewhere")
        self.objects = top / objects
        """Where the repository keeps its blobs."""

    def seconds_left(self) -> float:
        """How long git may still be asked."""
        return self._deadline - time.monotonic()

    def _settings(self) -> dict[str, str]:
        pairs = (pair.partition("\n") for pair in os.fsdecode(self("config", "--list", "-z")).split("\x00"))
        return {key: value for key, _, value in pairs if key}

    def __call__(
        self,
        *arguments: str,
        given: bytes = b"",
        environment: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> bytes:
        """What git answers.

        Raises:
            GitError: it refuses, or time is up.
        """
        left = min(self.seconds_left(), seconds)
        if left <= 0:
            raise OutOfTime
        try:
            made = subprocess.run(  # noqa: S603 - no shell, and the program is git
                [self._program, "--no-pager", *self._options, *arguments],
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self.top,
                env=self._environment | dict(environment or {}),
                timeout=left,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OutOfTime from None
        except OSError as error:
            raise GitError(f"git cannot be started: {error.strerror}") from None
        if made.returncode:
            reason = "; it may not trust the folder (safe.directory)" if arguments[0] == "rev-parse" else ""
            raise GitError(f"git {arguments[0]} failed{reason}")
        return made.stdout


def top_of(folder: Path) -> Path | None:
    """The nearest folder at or above one that has ``.git``: the top of a clone, a worktree or a submodule."""
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists():
            return candidate
    return None


def remote_url(settings: Mapping[str, str], branch: str | None) -> str | None:
    """Where the branch comes from, as it stands in the config: its own remote, else ``origin``, else the only one."""
    names = [key[7:-4] for key in settings if key.startswith("remote.") and key.endswith(".url")]
    own = settings.get(f"branch.{branch}.remote")
    for name in (own, "origin", *(names if len(names) == 1 else ())):
        if name and f"remote.{name}.url" in settings:
            return settings[f"remote.{name}.url"]
    return None


def zero_ended(paths: Iterable[bytes]) -> bytes:
    """Paths as git reads them from its input."""
    return b"".join(path + b"\x00" for path in paths)

"""Real repositories, made where nothing of the machine's own settings is seen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

Tree = dict[bytes, tuple[str, bytes]]


class Repository:
    """A repository with one commit, and git to change it."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def git(self, *arguments: str, given: bytes | None = None) -> str:
        made = subprocess.run(["git", *arguments], cwd=self.top, input=given, capture_output=True, check=False)
        assert made.returncode == 0, made.stderr.decode()
        return made.stdout.decode().strip()

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def commit(self, message: str = "more") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def applied(self, changes: bytes, commit: str | None, to: Path) -> Tree:
        """What a clean checkout becomes with a difference."""
        if commit is None:
            to.mkdir()
            clean = Repository(to)
            clean.git("init", "--quiet")
        else:
            self.git("clone", "--quiet", "--no-checkout", str(self.top), str(to))
            clean = Repository(to)
            clean.git("checkout", "--quiet", "--detach", commit)
        if changes:
            clean.git("apply", "--whitespace=nowarn", "-", given=changes)
        return tree(to)


def tree(top: Path) -> Tree:
    """Every file with its kind and content, but for git's own."""
    found: Tree = {}
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name != ".git"]
        for path in [Path(folder, name) for name in [*folders, *files] if name != ".git"]:
            name = os.fsencode(path.relative_to(top))
            if path.is_symlink():
                found[name] = ("link", os.fsencode(path.readlink()))
            elif path.is_file():
                found[name] = ("program" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
    return found

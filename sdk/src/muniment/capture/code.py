"""What was run: the repository, the commit and what differs from it, the entry point, the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from muniment.capture import storable
from muniment.capture.changes import changes, status
from muniment.capture.entry import Entry, command, entry, text
from muniment.capture.git import Git, GitError, remote_url, top_of
from muniment.capture.redaction import mask_text
from muniment.capture.secrets import mask_arguments, without_credentials
from muniment.model.run import Code

ARGUMENTS_LIMIT = 1_000
"""Words of a command line that are kept."""
ARGUMENT_LIMIT = 4_096
"""Characters of one of them."""
COMMAND_LIMIT = 32 * 1024
"""Characters of all of them; even if JSON has to escape each, the store takes them."""


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """What could be told of the code, and the texts that belong to it."""

    code: Code = Code()
    changes: bytes = b""
    """With it ``git apply`` makes the working tree of a clean checkout; of an empty folder, if there is no commit."""
    script: bytes = b""
    """The program as text in UTF-8, where it is in no repository: a script, ``-c``, or the cells of a notebook."""
    left_out: list[str] = []
    """What is in neither, one line each: ``path: reason``."""
    masked: int = 0
    """Lines of `changes` or `script` in which a secret was masked."""

    @property
    def exact(self) -> bool:
        """Whether nothing was masked. If not, do not apply the difference blindly: it says ``***`` in places."""
        return not self.masked


def capture(start: Path | None = None) -> Captured:
    """Find out what runs; what cannot be found out is left out. It takes at most some five seconds.

    ``code.diff_digest`` is the sha256 of what was kept, with secrets masked: the digest of a text that differs only in
    a password would let the password be guessed. It is that of `Captured.changes`; without a repository, of
    `Captured.script`.

    Args:
        start: a folder in the repository; that of the program if left out, or, where the program is no file of the
            user's own (``-c``, a notebook, an installed command), the current one.
    """
    code, found = Code(), Entry("interactive")
    try:
        found = entry()
        code = msgspec.structs.replace(code, command=command_line(), entry_point=_entry_point(found, None))
        folder = (start or _folder(found)).absolute()
        top = top_of(folder)
    except Exception:  # noqa: BLE001 - capturing must never stop a training
        return Captured(code=code)
    if top is None:
        return _without_repository(code, found, [])
    try:
        return _in_repository(code, found, top)
    except GitError as error:
        return _without_repository(code, found, [f"the repository: {error}"])
    except Exception as error:  # noqa: BLE001 - as above
        return _without_repository(code, found, [f"the repository: {type(error).__name__}"])


def command_line() -> list[str]:
    """The command line with its secrets masked, shortened if it is very long."""
    words = command()
    kept: list[str] = []
    left = COMMAND_LIMIT
    for word in mask_arguments(words[:ARGUMENTS_LIMIT]):
        kept.append(storable(word, min(ARGUMENT_LIMIT, max(left, 0))))
        left -= len(kept[-1])
        if left <= 0:
            break
    if len(kept) < len(words):
        kept.append(f"… ({len(words) - len(kept):,} more)")
    return kept


def _folder(found: Entry) -> Path:
    return Path.cwd() if found.path is None or found.installed else found.path.parent


def _entry_point(found: Entry, top: Path | None) -> str | None:
    if found.path is not None and not found.installed:
        for path, base in ((found.path, top), (found.path.resolve(), top and top.resolve())):
            if base is not None and path.is_relative_to(base):
                return storable(path.relative_to(base).as_posix(), ARGUMENT_LIMIT)
        return storable(str(found.path), ARGUMENT_LIMIT)
    if found.module is not None:
        return f"-m {storable(found.module, ARGUMENT_LIMIT)}"
    if found.path is not None:
        return storable(found.path.name, ARGUMENT_LIMIT)  # an installed command
    return "-c" if found.kind == "command" else None


def _in_repository(code: Code, found: Entry, top: Path) -> Captured:
    git = Git(top)
    there = status(git)
    url = remote_url(git.settings, there.branch)
    code = msgspec.structs.replace(
        code,
        repository=None if url is None else storable(without_credentials(url), ARGUMENT_LIMIT),
        commit=there.commit,
        branch=None if there.branch is None else storable(there.branch, ARGUMENT_LIMIT),
        entry_point=_entry_point(found, top),
        folder=_run_in(top),
    )
    try:
        made = changes(git, there)
        script, masked = (b"", 0) if _has(git, found.path) else _script(found)
    except (GitError, OSError) as error:
        reason = str(error) if isinstance(error, GitError) else error.strerror
        return Captured(code=code, left_out=[*there.left_out, f"the difference to the commit: {reason}"])
    return Captured(
        code=msgspec.structs.replace(code, diff_digest=_digest(made.patch)),
        changes=made.patch,
        script=script,
        left_out=made.left_out,
        masked=made.masked + masked,
    )


def _run_in(top: Path) -> str | None:
    """The current folder, from the top of the repository; nothing if it is not within."""
    try:
        here = Path.cwd().resolve()
    except OSError:
        return None
    inside = here.is_relative_to(top.resolve())
    return storable(here.relative_to(top.resolve()).as_posix(), ARGUMENT_LIMIT) if inside else None


def _has(git: Git, path: Path | None) -> bool:
    """Whether a program is in the commit or the difference; one that .gitignore names is in neither."""
    if path is None:
        return False
    for file, top in ((path, git.top), (path.resolve(), git.top.resolve())):
        if file.is_relative_to(top):
            asked = str(file.relative_to(top))
            return bool(git("ls-files", "--cached", "--others", "--exclude-standard", "--", asked))
    return False


def _without_repository(code: Code, found: Entry, left_out: list[str]) -> Captured:
    script, masked = _script(found)
    code = msgspec.structs.replace(code, diff_digest=_digest(script))
    return Captured(code=code, script=script, left_out=left_out, masked=masked)


def _script(found: Entry) -> tuple[bytes, int]:
    try:
        program = text(found)
        if not program:
            return b"", 0
        kept, masked = mask_text(program, "script.py" if found.path is None else found.path.name)
        return kept.encode("utf-8", "replace"), masked
    except Exception:  # noqa: BLE001 - capturing must never stop a training
        return b"", 0


def _digest(content: bytes) -> str | None:
    return hashlib.sha256(content).hexdigest() if content else None

"""Repositories whose own settings would have us run a command, reach for a network, or read what is not theirs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sdk.tests.capture.repositories import Repository, tree

from muniment.capture import code


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves a trace and then behaves like a filter."""
    made = tmp_path / "trap"
    made.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{tmp_path / 'sprung'}'\ncat\n")
    made.chmod(0o755)
    return made


def _monitor(repository: Repository, trap: Path) -> None:
    repository.git("config", "core.fsmonitor", str(trap))


def _external(repository: Repository, trap: Path) -> None:
    repository.git("config", "diff.external", str(trap))
    repository.git("config", "diff.odd.command", str(trap))
    repository.write(".gitattributes", "*.py diff=odd\n")


def _textconv(repository: Repository, trap: Path) -> None:
    repository.git("config", "diff.odd.textconv", str(trap))
    repository.write(".gitattributes", "* diff=odd\n")


def _hooks(repository: Repository, trap: Path) -> None:
    for name in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc", "fsmonitor-watchman"):
        hook = repository.top / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(trap.read_text())
        hook.chmod(0o755)
    repository.git("config", "core.hooksPath", str(repository.top / ".git/hooks"))


def _pagers(repository: Repository, trap: Path) -> None:
    for key in ("core.pager", "pager.status", "pager.config", "pager.diff-index", "core.editor", "core.askPass",
                "core.sshCommand", "gpg.program", "credential.helper", "core.alternateRefsCommand"):  # fmt: skip
        repository.git("config", key, str(trap))
    repository.git("config", "alias.status", f"!{trap}")


def _included(repository: Repository, trap: Path) -> None:
    (repository.top / ".git/more").write_text(f"[core]\n\tfsmonitor = {trap}\n[diff]\n\texternal = {trap}\n")
    repository.git("config", "include.path", "more")


@pytest.mark.parametrize("lay", [_monitor, _external, _textconv, _hooks, _pagers, _included],
                         ids=lambda lay: lay.__name__.strip("_"))  # fmt: skip
def test_settings_run_nothing(
    repository: Repository, tmp_path: Path, trap: Path, lay: Callable[[Repository, Path], None]
) -> None:
    repository.write("train.py", "print('changed')\n")
    repository.write("new.py", "x = 1\n")
    lay(repository, trap)
    sprung = tmp_path / "sprung"
    repository.top.joinpath(".git/index").touch()
    sprung.unlink(missing_ok=True)  # laying it may have sprung it
    found = code.capture(repository.top)
    assert not sprung.exists()
    assert repository.applied(found.changes, found.code.commit, tmp_path / "clean") == tree(repository.top)


def test_the_trap_does_spring_where_git_is_asked_carelessly(repository: Repository, tmp_path: Path, trap: Path) -> None:
    repository.write("train.py", "print('changed')\n")
    for lay in (_monitor, _external):
        lay(repository, trap)
        repository.git("diff")
        assert (tmp_path / "sprung").exists()
        (tmp_path / "sprung").unlink()


@pytest.mark.parametrize("key", ["clean", "process"])
def test_filters_are_not_run_and_their_files_are_told(
    repository: Repository, tmp_path: Path, trap: Path, key: str
) -> None:
    repository.write(".gitattributes", "*.bin filter=lfs\n*.dat filter=unknown\n")
    repository.commit()
    repository.git("config", f"filter.lfs.{key}", str(trap))
    repository.git("config", "filter.lfs.required", "true")
    repository.write("data.bin", bytes(range(255, -1, -1)) * 8)  # as many bytes as before, so git has to read them
    repository.write("a.dat", "plain, since nothing filters it\n")
    repository.write("train.py", "print('changed')\n")
    found = code.capture(repository.top)
    assert not (tmp_path / "sprung").exists()
    assert found.left_out == ["data.bin: it goes through the filter 'lfs', which is not run"]
    made = repository.applied(found.changes, found.code.commit, tmp_path / "clean")
    assert made[b"train.py"] == ("file", b"print('changed')\n")
    assert b"a.dat" in made


def test_a_filter_that_cannot_be_switched_off_makes_us_look_away(
    repository: Repository, trap: Path, tmp_path: Path
) -> None:
    repository.git("config", "filter.a=b.clean", str(trap))
    repository.write(".gitattributes", "* filter=a=b\n")
    found = code.capture(repository.top)
    assert found.code.commit is None
    assert found.left_out == ["the repository: a filter of the repository has a name that cannot be switched off"]
    assert not (tmp_path / "sprung").exists()


def test_a_submodule_s_settings_run_nothing(repository: Repository, tmp_path: Path, trap: Path) -> None:
    other = Repository(tmp_path / "other")
    other.top.mkdir()
    other.git("init", "--quiet")
    other.write("lib.py", "x = 1\n")
    other.commit()
    repository.git("submodule", "--quiet", "add", str(other.top), "vendored")
    repository.commit()
    inside = Repository(repository.top / "vendored")
    inside.git("config", "core.fsmonitor", str(trap))
    inside.git("config", "filter.x.clean", str(trap))
    (tmp_path / "sprung").unlink(missing_ok=True)
    inside.write(".gitattributes", "* filter=x\n")
    inside.write("lib.py", "x = 2\n")
    assert code.capture(repository.top).code.commit is not None
    assert not (tmp_path / "sprung").exists()


def test_a_clone_without_blobs_fetches_nothing(repository: Repository, tmp_path: Path, trap: Path) -> None:
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("clone", "--quiet", "--filter=blob:none", f"file://{repository.top}", str(tmp_path / "partial"))
    partial = Repository(tmp_path / "partial")
    partial.git("rm", "--quiet", "--cached", "train.py")
    blob = partial.git("rev-parse", "HEAD:train.py")
    for pack in (partial.top / ".git/objects/pack").iterdir():
        pack.chmod(stat.S_IRWXU)
    packs = sorted((partial.top / ".git/objects/pack").glob("*.pack"))
    for pack in packs:  # keep what the clone got first, commits and trees; drop what the checkout fetched
        if blob in partial.git("verify-pack", "-v", str(pack)):
            for file in pack.parent.glob(f"{pack.stem}.*"):
                file.unlink()
    partial.write("train.py", "print('changed')\n")
    partial.write("new.py", "x = 1\n")
    for key, value in (("url", f"ext::{trap} %S"), ("uploadpack", str(trap))):
        partial.git("config", f"remote.origin.{key}", value)
    partial.git("config", "protocol.ext.allow", "always")
    found = code.capture(partial.top)
    assert not (tmp_path / "sprung").exists()
    assert "train.py: what the commit has of it is not in this clone" in found.left_out
    assert b"new.py" in found.changes


def test_a_working_tree_that_is_said_to_be_elsewhere_is_not_read(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "private.py").write_text("mine = 1\n")
    repository.git("config", "core.worktree", str(tmp_path))
    found = code.capture(repository.top)
    assert found.left_out == ["the repository: the repository's working tree lies elsewhere"]
    assert found.changes == b""


def test_variables_of_a_hook_lead_nowhere_else(
    repository: Repository, tmp_path: Path, trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    repository.write("train.py", "print('changed')\n")
    for name, value in {"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/", "GIT_INDEX_FILE": str(tmp_path / "no-index"),
                        "GIT_EXTERNAL_DIFF": str(trap)}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    found = code.capture(repository.top)
    assert found.code.commit == commit
    assert b"changed" in found.changes
    assert not (tmp_path / "sprung").exists()


def test_a_tree_that_git_does_not_trust_is_told(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setattr("muniment.capture.git._SURROUNDINGS", {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    found = code.capture(repository.top)
    assert found.code.commit is None
    assert found.left_out[0].startswith("the repository: git ")


def test_a_link_to_a_secret_is_kept_as_a_link(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("do not read me\n")
    (repository.top / "link.txt").symlink_to(tmp_path / "elsewhere")
    (repository.top / "folder").symlink_to(tmp_path)
    assert b"do not read me" not in code.capture(repository.top).changes


def test_git_that_hangs_or_is_not_there(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin/git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr("muniment.capture.git.SECONDS", 0.3)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    assert code.capture(repository.top).left_out == ["the repository: git took too long"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code.capture(repository.top).left_out == ["the repository: git is not installed"]


def test_untracked_files_are_given_up_before_the_commit_is(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin/git"
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\ncase "$*" in *--untracked-files=all*) exec sleep 60;; esac\nexec env PATH="$REAL" git "$@"\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("REAL", os.environ["PATH"])
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    repository.write("train.py", "print('changed')\n")
    repository.write("new.py", "x = 1\n")
    found = code.capture(repository.top)
    assert found.left_out == ["files that git does not know: there was no time to look for them"]
    assert b"train.py" in found.changes
    assert b"new.py" not in found.changes


@pytest.mark.parametrize("damage", ["HEAD", "config", "index", "objects"])
def test_a_damaged_repository_raises_nothing(repository: Repository, damage: str) -> None:
    path = repository.top / ".git" / damage
    if path.is_dir():
        path.rename(path.with_name("gone"))
    else:
        path.write_bytes(b"\xff\x00 nonsense [")
    repository.write("train.py", "print('changed')\n")
    found = code.capture(repository.top)
    assert found.code.command
    assert found.changes == b""
    assert found.left_out

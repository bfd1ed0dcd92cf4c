"""The difference of a working tree, applied by git itself to a clean checkout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sdk.tests.capture.repositories import Repository, tree

from muniment.capture import changes as limits
from muniment.capture import code
from muniment.capture.changes import changes, status
from muniment.capture.git import Git


def _edit(repository: Repository) -> None:
    repository.write("package/model.py", "".join(f"layer_{n} = {n * 2 if n == 20 else n}\n" for n in range(40)))


def _stage(repository: Repository) -> None:
    repository.write("train.py", "print('staged')\n")
    repository.git("add", "train.py")
    repository.write("train.py", "print('staged and changed again')\n")


def _remove(repository: Repository) -> None:
    (repository.top / "train.py").unlink()
    repository.git("rm", "--quiet", "data.bin")


def _move(repository: Repository) -> None:
    repository.git("mv", "package/model.py", "package/network.py")


def _create(repository: Repository) -> None:
    repository.write("new/deep/source.py", "x = 1\n")
    repository.write("new/empty.py", "")
    repository.write("new/no_end.txt", "no line end")
    repository.write("new/windows.txt", "a\r\nb\r\n")
    repository.write("new/latin.py", "# Gr\xfc\xdfe\n".encode("latin-1"))


def _name_oddly(repository: Repository) -> None:
    for name in ("a b.py", 'quo"te.py', "gr\xfcn.py", "[a-z]*.py", "tab\t.py", "line\nend.py", "back\\slash.py",
                 ":(top)x.py", "-c.py", "\\303.py"):  # fmt: skip
        repository.write(name, f"name = {name!r}\n")
    Path(os.fsdecode(os.fsencode(repository.top) + b"/bytes\xff\xfe.py")).write_text("x = 1\n")


def _binary(repository: Repository) -> None:
    repository.write("data.bin", bytes(range(255, -1, -1)) * 9)


def _modes(repository: Repository) -> None:
    (repository.top / "train.py").chmod(0o755)
    (repository.top / "link.py").symlink_to("train.py")
    (repository.top / "away").symlink_to("/nowhere/at/all")


def _kinds(repository: Repository) -> None:
    (repository.top / "train.py").unlink()
    repository.write("train.py/inside.py", "x = 1\n")
    shutil.rmtree(repository.top / "package")
    repository.write("package", "a file now\n")


def _linked_folder(repository: Repository) -> None:
    (repository.top / "package").rename(repository.top / "moved")
    (repository.top / "package").symlink_to("moved")


def _unstaged_intent(repository: Repository) -> None:
    repository.write("soon.py", "x = 1\n")
    repository.git("add", "--intent-to-add", "soon.py")


def _forgotten(repository: Repository) -> None:
    repository.git("rm", "--cached", "--quiet", "train.py")


def _conflict(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "other")
    repository.write("train.py", "other = 1\n")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("train.py", "main = 1\n")
    repository.commit()
    with pytest.raises(AssertionError):
        repository.git("merge", "other")


EDITS = [
    _edit, _stage, _remove, _move, _create, _name_oddly, _binary, _modes, _kinds, _linked_folder, _unstaged_intent,
    _forgotten, _conflict,
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_"))
def test_a_clean_checkout_becomes_the_working_tree(
    repository: Repository, tmp_path: Path, edit: Callable[[Repository], None]
) -> None:
    edit(repository)
    index = (repository.top / ".git/index").read_bytes()
    found = code.capture(repository.top)
    assert found.left_out == []
    assert found.exact
    assert bool(found.changes) == (edit is not _forgotten)  # git has forgotten it, the tree has not
    assert found.code.commit == repository.git("rev-parse", "HEAD")
    assert repository.applied(found.changes, found.code.commit, tmp_path / "clean") == tree(repository.top)
    assert (repository.top / ".git/index").read_bytes() == index


def test_an_unchanged_tree_has_no_difference(repository: Repository) -> None:
    repository.write("noise.log", "ignored\n")
    repository.write("out/model.txt", "ignored too\n")
    (repository.top / "train.py").touch()
    found = code.capture(repository.top)
    assert (found.changes, found.code.diff_digest, found.left_out) == (b"", None, [])
    assert found.code.branch == "main"


_CONTENTS = st.one_of(
    st.text("ab\n\r ", max_size=30).map(str.encode), st.binary(max_size=40), st.just(b"x" * 3000 + b"\n"), st.none()
)
_PATHS = st.sampled_from(["a", "b", "c/d", "c/e", "d", "d/e", "train.py", "data.bin", "package/model.py", "package"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    first=st.dictionaries(_PATHS, _CONTENTS, max_size=4), second=st.dictionaries(_PATHS, _CONTENTS, max_size=4),
    third=st.dictionaries(_PATHS, _CONTENTS, max_size=4),
)  # fmt: skip
def test_any_edits_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, bytes | None], second: dict[str, bytes | None], third: dict[str, bytes | None],
) -> None:  # fmt: skip
    top = tmp_path_factory.mktemp("any")
    repository = Repository(top / "repository")
    repository.top.mkdir()
    repository.git("init", "--quiet")
    _put(repository, first)
    repository.commit()
    _put(repository, second)
    repository.git("add", "--all")
    _put(repository, third)
    found = code.capture(repository.top)
    left_out = {line.partition(": ")[0].encode() for line in found.left_out}
    expected = {path: kept for path, kept in tree(repository.top).items() if path not in left_out}
    made = repository.applied(found.changes, found.code.commit, top / "clean")
    assert {path: kept for path, kept in made.items() if path not in left_out} == expected
    assert all(line.endswith("no text, and git does not know it") for line in found.left_out)


def _put(repository: Repository, files: dict[str, bytes | None]) -> None:
    for path, content in files.items():
        file = repository.top / path
        for parent in [*file.relative_to(repository.top).parents][:-1]:
            if (repository.top / parent).is_file():
                (repository.top / parent).unlink()
        if file.is_dir():
            shutil.rmtree(file)
        if content is None:
            file.unlink(missing_ok=True)
        else:
            repository.write(path, content)


def test_without_commits_the_difference_is_the_whole_tree(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "fresh")
    repository.top.mkdir()
    repository.git("init", "--quiet")
    repository.write("a.py", "x = 1\n")
    repository.git("add", "a.py")
    repository.write("b.py", "y = 2\n")
    found = code.capture(repository.top)
    assert (found.code.commit, found.code.branch) == (None, "main")
    assert repository.applied(found.changes, None, tmp_path / "clean") == tree(repository.top)


def test_worktrees_detached_heads_and_shallow_clones(repository: Repository, tmp_path: Path) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.write("train.py", "second = 1\n")
    second = repository.commit()
    repository.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"), first)
    repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.top}", str(tmp_path / "shallow"))
    for top, commit, branch in ((tmp_path / "tree", first, None), (tmp_path / "shallow", second, "main")):
        there = Repository(top)
        there.write("train.py", "third = 1\n")
        there.write("new.py", "")
        found = code.capture(top / "package")
        assert (found.code.commit, found.code.branch) == (commit, branch)
        assert repository.applied(found.changes, commit, tmp_path / f"clean-{top.name}") == tree(top)


def test_a_submodule_is_told_and_is_a_repository_itself(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    other.top.mkdir()
    other.git("init", "--quiet")
    other.write("lib.py", "x = 1\n")
    commit = other.commit()
    repository.git("submodule", "--quiet", "add", str(other.top), "vendored")
    repository.commit()
    inside = Repository(repository.top / "vendored")
    inside.write("lib.py", "x = 2\n")
    repository.write("train.py", "changed = 1\n")
    found = code.capture(repository.top)
    assert found.left_out == ["vendored: a submodule, which is not looked into"]
    assert b"lib.py" not in found.changes
    within = code.capture(inside.top)
    assert within.code.commit == commit
    assert within.code.repository == str(other.top)
    assert other.applied(within.changes, commit, tmp_path / "clean") == {b"lib.py": ("file", b"x = 2\n")}
    inside.commit()
    moved = code.capture(repository.top)
    assert "vendored: a submodule at another commit" in moved.left_out
    assert b"Subproject" not in moved.changes


def test_what_is_too_large_or_no_source_is_told(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.write("big.txt", "x" * (limits.FILE_LIMIT + 1))
    repository.write("fits.txt", "y\n" * (limits.FILE_LIMIT // 4))
    repository.write("weights.npy", b"\x93NUMPY\x00\x01")
    repository.write(".env", "A=1\n")
    repository.write("data.bin", os.urandom(limits.FILE_LIMIT + 1))
    repository.write("train.py", "x = 1\n")
    os.mkfifo(repository.top / "pipe")
    Repository(repository.write("inner/a.py", "").parent).git("init", "--quiet")
    found = code.capture(repository.top)
    told = dict(line.split(": ", 1) for line in found.left_out)
    assert told.pop("data.bin").startswith("a difference of ")
    assert told == {
        "big.txt": "262,145 bytes",
        "weights.npy": "no text, and git does not know it",
        ".env": "its name says that it holds secrets",
        "inner/": "a repository of its own",
    }
    assert b"fits.txt" in found.changes
    monkeypatch.setattr(limits, "WHOLE_LIMIT", 1_000)
    short = code.capture(repository.top)
    assert "fits.txt: the whole is too large" in short.left_out
    assert b"train.py" in short.changes
    monkeypatch.setattr(limits, "FILES_LIMIT", 1)
    assert any(line.endswith("files: too many have changed") for line in code.capture(repository.top).left_out)


def test_many_files_do_not_make_a_long_list(repository: Repository) -> None:
    for number in range(limits.TOLD_LIMIT + 50):
        repository.write(f"images/{number}.png", b"\x89PNG\x00")
    found = code.capture(repository.top)
    assert len(found.left_out) == limits.TOLD_LIMIT + 1
    assert found.left_out[-1] == "and 50 more"


def test_a_file_that_git_cannot_take_hides_no_other(repository: Repository) -> None:
    repository.write("train.py", "x = 1\n")
    repository.write("package/model.py", "y = 1\n")
    git = Git(repository.top)
    found = status(git)
    repository.git("add", "--all")
    (repository.top / "train.py").unlink()
    (repository.top / "train.py").mkdir()  # between looking and taking
    made = changes(git, found)
    assert made.left_out == ["train.py: neither a file nor a link"]
    assert b"+y = 1" in made.patch
    (repository.top / "train.py").rmdir()
    repository.write("train.py", "x = 1\n")
    repository.write(".gitattributes", "train.py working-tree-encoding=no-such-encoding\n")
    odd = code.capture(repository.top)
    assert odd.left_out == ["train.py: git cannot take it"]
    assert b"+y = 1" in odd.changes


def test_line_ends_and_encodings_are_git_s(repository: Repository, tmp_path: Path) -> None:
    repository.write(".gitattributes", "*.txt text eol=crlf\n*.u16 text working-tree-encoding=UTF-16\n")
    repository.write("a.txt", "one\r\ntwo\r\n")
    repository.write("b.u16", "gr\xfcn\n".encode("utf-16"))
    repository.commit()
    repository.git("config", "core.safecrlf", "true")
    repository.write("a.txt", "one\ntwo\r\nthree\r\n")
    repository.write("b.u16", "blau\n".encode("utf-16"))
    found = code.capture(repository.top)
    assert found.left_out == []
    made = repository.applied(found.changes, found.code.commit, tmp_path / "clean")
    assert made[b"a.txt"][1] == b"one\r\ntwo\r\nthree\r\n"  # as git itself would check it out
    assert made[b"b.u16"][1].decode("utf-16") == "blau\n"

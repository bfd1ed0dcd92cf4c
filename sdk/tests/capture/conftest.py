"""A home of its own for git, so that nothing of the machine's settings is seen, and a repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sdk.tests.capture.repositories import Repository


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
        '[protocol "file"]\n\tallow = always\n'
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.top.mkdir()
    made.git("init", "--quiet")
    made.write("train.py", "import sys\n\nprint(sys.argv)\n")
    made.write("data.bin", bytes(range(256)) * 8)
    made.write("package/__init__.py", "")
    made.write("package/__main__.py", "print('ran')\n")
    made.write("package/model.py", "".join(f"layer_{n} = {n}\n" for n in range(40)))
    made.write(".gitignore", "*.log\nout/\n")
    made.commit("first")
    return made

"""A repository with a program that trains, changed since its commit, and a store in which its run is recorded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sdk.tests.capture.repositories import Repository

from muniment.client import Client
from muniment.model.search import Query

PROGRAM = """
import random
import sys

import muniment
from settings import RATE

seed, noise, start = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed).random
with muniment.start_run("churn", "train", params={"seed": seed}) as run:
    for step in range(50):
        loss = draw() * RATE / (step + 1)
        run.log({"loss": loss * (1 + (noise if step >= start else 0.0)), "system.cpu_percent": noise}, step=step)
    if noise < 0:
        raise SystemExit(3)
"""


PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Where ``python`` is the one that runs the tests, as it is for whoever works in an environment."""


class Job:
    """The program of a repository, and what it records.

    Args:
        repository: where it lies.
        url: of the store.
    """

    def __init__(self, repository: Repository, url: str) -> None:
        self.repository, self.url = repository, url

    def run(self, *words: str, python: tuple[str, ...] = (sys.executable, "train.py"), status: int = 0) -> str:
        """Run the program in its repository; the id of its run."""
        made = subprocess.run(
            [*python, *words], cwd=self.repository.top, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "MUNIMENT_URL": self.url, "PATH": PATH},
        )  # fmt: skip
        assert made.returncode == status, made.stderr
        with Client(self.url) as client:
            query = Query(where="tags.`muniment.reproduces` IS NULL", order_by=["created_at DESC"], limit=1)
            return client.search(query).runs[0].run.id

    def reproduce(
        self, *words: str, folder: Path | None = None, terminal: int = subprocess.DEVNULL, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """`muniment reproduce`, in the repository."""
        return subprocess.run(
            [sys.executable, "-c", "from muniment.cli import main; main()", "reproduce", *words],
            cwd=folder or self.repository.top, capture_output=True, text=True, check=False, timeout=240,
            stdin=terminal, env={**os.environ, "MUNIMENT_URL": self.url, "PATH": PATH, "COLUMNS": "110", **environment},
        )  # fmt: skip


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own for git, so that nothing of the machine's settings is seen."""
    made = tmp_path_factory.mktemp("home")
    (made / ".gitconfig").write_text("[user]\n\tname = ada\n\temail = ada@example.org\n")
    return made


def _alone(patch: pytest.MonkeyPatch, home: Path, spool: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        patch.delenv(name)
    patch.setenv("HOME", str(home))
    patch.setenv("XDG_CONFIG_HOME", str(home))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    patch.setenv("MUNIMENT_SPOOL", str(spool))


@pytest.fixture(autouse=True)
def _surroundings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "home"
    shutil.copytree(home, own)
    _alone(monkeypatch, own, tmp_path / "spool")


@pytest.fixture(scope="session")
def recorded(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a repository whose commit does not train as its working tree does, and a store; and its run."""
    folder = tmp_path_factory.mktemp("recorded")
    made = Repository(folder / "repository")
    made.top.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        _alone(patch, home, folder / "spool")
        made.git("init", "--quiet")
        made.write("train.py", PROGRAM)
        made.write("settings.py", "RATE = 1.0\n")
        made.commit("first")
        made.write("settings.py", "RATE = 3.0\n")
        return folder, Job(made, f"sqlite:///{folder / 'runs.db'}").run("7", "0", "0")


@pytest.fixture
def job(recorded: tuple[Path, str], tmp_path: Path) -> Job:
    """The program, and the embedded store that has its run; both are this test's own."""
    folder = tmp_path / "job"
    shutil.copytree(recorded[0], folder, ignore=shutil.ignore_patterns("spool"))
    return Job(Repository(folder / "repository"), f"sqlite:///{folder / 'runs.db'}")


@pytest.fixture
def run(recorded: tuple[Path, str]) -> str:
    """The run of the program, with its changes."""
    return recorded[1]


@pytest.fixture
def repository(job: Job) -> Repository:
    """The repository of this test."""
    return job.repository

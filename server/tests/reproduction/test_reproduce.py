"""Runs of a real repository are run again: equal, nearly, different, and every way in which it cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from reproduction.conftest import Job
from sdk.tests.capture.repositories import Repository

import muniment
from muniment.client import Client
from muniment.model.errors import Conflict, NotFound
from muniment.model.link import LineageQuery
from muniment.model.run import Code, RunChange
from muniment.model.search import Query
from muniment.observing import CHANGES, PACKAGES
from muniment.reproduction.certificate import FACET, Certificate


@pytest.fixture
def connected(job: Job, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The store, as `muniment.reproduce` uses it, in the repository."""
    monkeypatch.chdir(job.repository.top)
    yield muniment.connect(job.url)
    muniment.disconnect()


def answer(job: Job, *words: str, status: int, **environment: str) -> dict[str, Any]:
    made = job.reproduce("--yes", "--json", *words, **environment)
    assert made.returncode == status, made.stderr
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def test_what_ran_is_run_again_and_certified(job: Job, run: str) -> None:
    job.repository.write("settings.py", "RATE = 5.0\n")  # what is there now is not what ran
    found = answer(job, run, status=0)
    assert (found["verdict"], found["of"], found["exit_status"]) == ("equal", run, 0)
    assert found["metrics"] == {"loss": {"verdict": "equal", "points": [50, 50]}}
    assert found["environment"] == "same"
    assert "from the repository here, with the changes that were not committed" in found["code"]
    with Client(job.url) as client:
        original, made = client.get_run(run), client.get_run(found["by"])
        assert made.tags["muniment.reproduces"] == run
        assert made.run.code is not None
        assert original.run.code is not None
        assert (made.run.code.commit, made.run.code.diff_digest, made.run.code.folder) == (
            original.run.code.commit, original.run.code.diff_digest, original.run.code.folder,
        )  # fmt: skip
        for record in (run, found["by"]):
            kept = client.facets(record)["reproduction"].value
            assert msgspec.convert(kept, Certificate).verdict == "equal"
            assert kept["by"] == found["by"]
        links = client.lineage(found["by"], LineageQuery()).links
    assert [(link.upstream, link.type, link.role) for link in links] == [(run, "derived_from", "reproduction")]


def test_nothing_is_run_unasked(job: Job, run: str) -> None:
    made = job.reproduce(run)
    assert made.returncode == 2
    assert made.stderr.splitlines() == [
        "muniment: this runs on this machine what was recorded; there is nobody to ask, so say --yes"
    ]
    shown = job.reproduce(run, "--dry-run")
    assert shown.returncode == 0
    assert "train.py 7 0 0" in shown.stdout
    assert "with changes that were not committed" in shown.stdout
    with Client(job.url) as client:
        assert client.facets(run) == {}
        assert len(client.search(Query()).runs) == 1


@pytest.mark.parametrize(("said", "status"), [(b"y\n", 0), (b"n\n", 2)])
def test_who_is_asked_decides(job: Job, run: str, said: bytes, status: int) -> None:
    mine, theirs = pty.openpty()
    try:
        os.write(mine, said)
        made = job.reproduce(run, terminal=theirs)
    finally:
        os.close(mine)
        os.close(theirs)
    assert made.returncode == status, made.stderr
    assert "Run this here?" in made.stderr
    with Client(job.url) as client:
        assert (FACET in client.facets(run)) == (status == 0)


def test_values_that_are_near_are_within_tolerance(job: Job, run: str) -> None:
    command = ["--", "python", "train.py", "7", "1e-12", "0"]
    found = answer(job, run, "--tolerance", "1e-9", *command, status=0)
    assert found["verdict"] == "within_tolerance"
    assert found["metrics"]["loss"]["largest"] == pytest.approx(1e-12, rel=0.01)
    assert answer(job, run, "--tolerance", "1e-13", *command, status=1)["verdict"] == "different"


def test_the_first_step_that_differs_is_told(job: Job, run: str) -> None:
    made = job.reproduce(run, "--yes", "--", "python", "train.py", "7", "0.5", "30")
    assert made.returncode == 1
    row = next(line for line in made.stdout.splitlines() if "loss" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][:4] == ["loss", "different", "50", "30"]
    found = answer(job, run, "--", "python", "train.py", "8", "0", "0", status=1)
    assert found["metrics"]["loss"]["step"] == 0
    assert found["params"] == {"seed": ["7", "8"], "seeds.seed": ["7", "8"]}


def test_a_command_that_fails_is_certified_as_failed(job: Job, run: str, connected: Client) -> None:
    found = muniment.reproduce(run, ["python", "train.py", "7", "-1", "50"])
    assert (found.verdict, found.exit_status, found.reason) == (
        "failed", 3, "its run is failed, the original is finished",
    )  # fmt: skip
    none = answer(job, run, "--", "python", "-c", "import sys; sys.exit(4)", status=2)
    assert (none["verdict"], none["by"], none["reason"]) == (
        "failed", None, "it ended with status 4; it began no run in this store and project",
    )  # fmt: skip
    assert connected.facets(run)["reproduction"].value["reason"] == none["reason"]


def test_a_failed_run_is_reproduced_by_failing_alike(job: Job) -> None:
    failed = job.run("7", "-1", "50", status=3)
    assert answer(job, failed, status=0)["verdict"] == "equal"


def test_time_that_is_up_is_told(run: str, connected: Client) -> None:
    program = "import time, muniment\nmuniment.start_run('churn', 'train').log({'loss': 1})\ntime.sleep(60)"
    found = muniment.reproduce(run, ["python", "-c", program], timeout=8)
    assert (found.verdict, found.exit_status, found.reason) == ("failed", None, "its time was up, and it was ended")
    assert found.by is not None
    assert connected.get_run(found.by).run.state == "killed"


def test_a_commit_that_is_gone_is_one_line(job: Job, run: str, tmp_path: Path) -> None:
    made = job.reproduce(run, "--yes", folder=tmp_path)  # in no repository, and no URL is recorded
    assert made.returncode == 2
    said = [line for line in made.stderr.splitlines() if line.startswith("muniment: ")]
    assert len(said) == 1
    assert "cannot be had" in said[0]
    assert "--repository" in said[0]
    moved = tmp_path / "moved.git"
    job.repository.git("clone", "--quiet", "--bare", str(job.repository.top), str(moved))
    found = job.reproduce(run, "--yes", "--repository", str(moved), folder=tmp_path)
    assert found.returncode == 0, found.stderr


def test_a_commit_on_no_branch_is_found(job: Job, run: str) -> None:
    job.repository.git("commit", "--quiet", "--amend", "--all", "--message", "other")
    assert answer(job, run, status=0)["verdict"] == "equal"


def test_the_recorded_url_serves_where_the_repository_is_gone(job: Job, repository: Repository, tmp_path: Path) -> None:
    repository.git("remote", "add", "origin", f"file://{tmp_path / 'origin.git'}")
    repository.git("clone", "--quiet", "--bare", str(repository.top), str(tmp_path / "origin.git"))
    run = job.run("7", "0", "0")
    shutil.rmtree(repository.top)
    made = job.reproduce(run, "--yes", "--json", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["code"].startswith("commit ")


def test_changes_that_are_not_those_of_the_run_are_not_applied(run: str, connected: Client) -> None:
    connected.upload(run, CHANGES, b"diff --git a/train.py b/train.py\n")
    with pytest.raises(Conflict, match=r"code/changes.diff is not what the run recorded"):
        muniment.reproduce(run)


def test_changes_that_are_not_kept_are_told(run: str, connected: Client) -> None:
    connected.remove_artifact(run, CHANGES)
    found = muniment.reproduce(run)
    assert (found.verdict, found.metrics["loss"].step) == ("different", 0)
    assert any("uncommitted changes" in line for line in found.not_restored)


def test_a_masked_secret_is_told(job: Job, connected: Client) -> None:
    job.repository.write("settings.py", 'RATE = 3.0\nAPI_KEY = "Xk29sLqpW83nZr71"\n')
    found = muniment.reproduce(job.run("7", "0", "0"))
    assert found.verdict == "equal"
    assert any("a secret is masked, so this is not what ran" in line for line in found.not_restored)
    assert connected.get_run(found.of).run.code is not None


def test_a_package_that_differs_is_told(run: str, connected: Client, tmp_path: Path) -> None:
    environment = connected.get_run(run).run.environment
    assert environment is not None
    listed = connected.download(run, PACKAGES, tmp_path / "packages.txt").read_bytes()
    other = b"\n".join(
        b"msgspec==0.0.1" if line.startswith(b"msgspec==") else line for line in listed.split(b"\n")
    )  # fmt: skip
    connected.upload(run, PACKAGES, other)
    made = msgspec.structs.replace(environment, packages_digest=hashlib.sha256(other).hexdigest())
    connected.update_run(run, RunChange(environment=made))
    found = muniment.reproduce(run, environment="current")
    assert (found.verdict, found.environment) == ("equal", "current")
    assert any(line.startswith("environment: msgspec was 0.0.1, is ") for line in found.not_restored)


def test_a_path_out_of_the_repository_is_not_followed(run: str, connected: Client) -> None:
    code = connected.get_run(run).run.code
    assert code is not None
    connected.update_run(run, RunChange(code=msgspec.structs.replace(code, folder="../..")))
    with pytest.raises(muniment.MunimentError, match="leads out of the repository"):
        muniment.reproduce(run)
    connected.update_run(run, RunChange(code=msgspec.structs.replace(code, commit="--output=x")))
    with pytest.raises(muniment.MunimentError, match="is none"):
        muniment.reproduce(run)


def test_nothing_of_the_repository_runs_but_the_command(job: Job, tmp_path: Path) -> None:
    repository, mark = job.repository, tmp_path / "ran"
    repository.write(".gitattributes", "*.txt filter=loud\n")
    repository.write("data.txt", "pointer\n")
    repository.commit("filtered")
    for hook in ("post-checkout", "post-merge", "pre-applypatch", "reference-transaction", "fsmonitor"):
        path = repository.write(f"hooks/{hook}", f"#!/bin/sh\ntouch {mark}\n")
        path.chmod(0o755)
    repository.commit("hooks")
    run = job.run("7", "0", "0")
    repository.git("config", "--global", "core.hooksPath", str(repository.top / "hooks"))
    repository.git("config", "--global", "core.fsmonitor", str(repository.top / "hooks/fsmonitor"))
    repository.git("config", "--global", "filter.loud.smudge", f"touch {mark}; cat")
    mark.unlink(missing_ok=True)
    found = answer(job, run, status=0)
    assert not mark.exists()
    assert "code: data.txt is made by the filter loud, which is not run" in found["not_restored"]


def test_a_url_that_is_a_command_is_not_run(run: str, connected: Client, tmp_path: Path, monkeypatch: Any) -> None:
    mark = tmp_path / "ran"
    code = connected.get_run(run).run.code
    assert code is not None
    connected.update_run(run, RunChange(code=msgspec.structs.replace(code, repository=f"ext::sh -c touch% {mark}")))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="cannot be had"):
        muniment.reproduce(run)
    assert not mark.exists()


def test_a_program_in_no_repository_is_run_as_it_was(job: Job, tmp_path: Path, connected: Client) -> None:
    program = tmp_path / "alone" / "once.py"
    program.parent.mkdir()
    program.write_text("import muniment\nwith muniment.start_run('e', 'once') as run:\n    run.log({'a': 1 / 3})\n")
    run = Job(Repository(program.parent), job.url).run(python=("python", str(program)))
    program.unlink()
    found = muniment.reproduce(run)
    assert (found.verdict, found.code) == ("equal", "the program once.py")
    connected.update_run(run, RunChange(code=Code(command=["python", str(program)], diff_digest="0" * 64)))
    with pytest.raises(Conflict, match=r"code/program.py"):
        muniment.reproduce(run)


def test_the_folder_is_kept_if_it_is_named(job: Job, run: str, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    answer(job, run, "--folder", str(folder), status=0)
    assert (folder / "code" / "settings.py").read_text() == "RATE = 3.0\n"
    assert job.reproduce(run, "--yes", "--folder", str(folder)).returncode == 2


def test_a_folder_of_the_repository_is_the_folder(job: Job, repository: Repository, connected: Client) -> None:
    repository.write("jobs/here.txt", "x\n")
    repository.commit("folder")
    made = Job(Repository(repository.top / "jobs"), job.url)
    run = made.run("7", "0", "0", python=("python", "../train.py"))
    found = muniment.reproduce(run)
    assert found.verdict == "equal"
    codes = [connected.get_run(str(id_)).run.code for id_ in (run, found.by)]
    said = [(code.commit, code.folder, code.entry_point, code.diff_digest) for code in codes if code is not None]
    assert said[0] == said[1]
    assert said[0][1:] == ("jobs", "train.py", None)

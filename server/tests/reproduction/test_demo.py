"""Runs of the demo: equal, and with another seed different."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from docs.test_readme import command, run
from reproduction.conftest import Job
from sdk.tests.capture.repositories import Repository

from muniment.client import Client
from muniment.model.errors import NotFound


def test_a_trial_is_reproduced_and_another_seed_is_seen(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'demo.db'}"
    run(command("muniment demo --trial 7"), store)
    job = Job(Repository(tmp_path), store)
    found = json.loads(run(command("muniment best accuracy --json"), store))
    trial = found["run"]["id"]
    equal = job.reproduce(trial, "--yes", "--json")
    assert equal.returncode == 0, equal.stderr
    certificate = json.loads(equal.stdout)
    assert (certificate["verdict"], certificate["environment"]) == ("equal", "same")
    assert {metric["verdict"] for metric in certificate["metrics"].values()} == {"equal"}
    assert not [line for line in certificate["not_restored"] if line.startswith("data")]
    other = job.reproduce(
        trial, "--yes", "--json", "--", sys.executable, "-c", "from muniment.cli import main; main()", "demo",
        "--trial", "7", "--seed", "8",
    )  # fmt: skip
    assert other.returncode == 1, other.stderr
    certificate = json.loads(other.stdout)
    assert (certificate["metrics"]["train_loss"]["verdict"], certificate["metrics"]["train_loss"]["step"]) == (
        "different", 1,
    )  # fmt: skip
    assert certificate["params"] == {"seeds.numpy": ["7", "8"]}
    with Client(store) as client, pytest.raises(NotFound):
        client.get_model_version("digits", 1)

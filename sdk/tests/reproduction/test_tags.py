"""A program that `muniment reproduce` runs marks the runs that it begins, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

import muniment
from muniment.model.run import REPRODUCES, REPRODUCES_VARIABLE, REPRODUCTION


def test_runs_that_are_begun_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("MUNIMENT_CAPTURE", "none")
    muniment.connect(f"sqlite:///{tmp_path / 'runs.db'}")
    try:
        with muniment.start_run("e", "before") as before:
            before.log({"a": 1})
        monkeypatch.setenv(REPRODUCES_VARIABLE, f"{before.id}:0123")
        with muniment.start_run("e", "marked", tags={"team": "risk"}) as marked:
            marked.log({"a": 1})
        with muniment.start_run("e", resume=before.id) as again:
            again.log({"a": 2})
        store = muniment.connection()
        assert store.get_run(marked.id).tags == {"team": "risk", REPRODUCES: before.id, REPRODUCTION: "0123"}
        assert store.get_run(before.id).tags == {}
    finally:
        muniment.disconnect()

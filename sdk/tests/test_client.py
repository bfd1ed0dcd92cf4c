"""The client against a store in its own process: what a training program does."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import muniment
from muniment.model.errors import InvalidInput, NotFound, Unavailable


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MUNIMENT_SPOOL", str(tmp_path / "spool"))
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    muniment.connect(url)
    yield url
    muniment.disconnect()


def test_a_sweep_is_recorded_and_asked(store: str) -> None:
    for rate in (0.1, 0.5):
        with muniment.start_run(
            "churn", f"rate-{rate}", params={"lr": rate, "layers": [1, 2]}, tags={"team": "risk"}
        ) as run:
            for step in range(5):
                run.log({"auc": rate + step / 100, "loss": np.float32(1 / (step + 1))}, step=step)
            run.log_params({"late": np.int64(3)})
            run.set_tags({"team": None, "note": "x"})
    best = muniment.best("auc")
    assert best.run.name == "rate-0.5"
    assert best.run.state == "finished"
    assert best.params == {"lr": "0.5", "layers": "[1, 2]", "late": "3"}
    assert best.tags == {"note": "x"}
    assert muniment.best("auc", maximize=False, where="params.lr < 0.3").run.name == "rate-0.1"
    points = muniment.history(best.run.id, "loss")
    assert [(step, value) for step, _, value in points] == [(s, float(np.float32(1 / (s + 1)))) for s in range(5)]
    assert [found.run.name for found in muniment.search(order_by="metrics.auc DESC")] == ["rate-0.5", "rate-0.1"]
    assert store.endswith("runs.db")


@pytest.mark.usefixtures("store")
def test_steps_count_by_themselves() -> None:
    with muniment.start_run("e") as run:
        for value in (1.0, math.nan, math.inf):
            run.log({"a": value})
        run.log({"b": 5})
    assert [step for step, _, _ in muniment.history(run.id, "a")] == [0, 1, 2]
    assert math.isnan(muniment.history(run.id, "a")[1][2])


@pytest.mark.usefixtures("store")
def test_an_exception_marks_the_run_failed_and_goes_on() -> None:
    run = muniment.start_run("e")
    with pytest.raises(ZeroDivisionError), run:
        run.log({"a": 1 / len([])})
    assert muniment.search(f"id = '{run.id}'")[0].run.state == "failed"


@pytest.mark.usefixtures("store")
def test_what_is_refused_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with muniment.start_run("e", params={"lr": 1}) as run:
        run.log_params({"lr": 2, "late": 3})
        assert "'lr' is '1' and never changes" in caplog.text, "a training program is told, and goes on"
        with pytest.raises(InvalidInput, match="character 12"):
            muniment.search("metrics.a ><")
    assert run.record().params == {"lr": "1", "late": "3"}
    with pytest.raises(NotFound, match="no run that matches"):
        muniment.best("nothing")


@pytest.mark.usefixtures("store")
def test_many_pages_are_fetched() -> None:
    client = muniment.connection()
    client.create_experiment("e")
    from muniment.model.run import NewRun

    for number in range(1_050):
        client.create_run(NewRun(experiment="e", name=f"{number:04}"))
    assert [found.run.name for found in muniment.search(order_by="name", limit=5_000)] == [
        f"{n:04}" for n in range(1_050)
    ]


def test_a_store_that_is_not_there_is_one_line() -> None:
    client = muniment.Client("http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        client.create_experiment("e")
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInput, match="a store is"):
        muniment.Client("ftp://x")


def test_importing_costs_next_to_nothing() -> None:
    program = "import sys; before = set(sys.modules); import muniment; print(sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"urllib3", "numpy", "msgspec", "muniment_server"} & set(found.stdout.split("'"))
    assert "muniment" in found.stdout.split("'")

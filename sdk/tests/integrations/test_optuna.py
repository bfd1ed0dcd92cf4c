"""Optuna's callback: what is in the store after a study."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

import muniment
from muniment.integrations.optuna import MunimentCallback
from muniment.model.run import RunData

Series = Callable[[RunData, str], dict[int, float]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def parts() -> list[RunData]:
    found = muniment.search("NOT parent IS NULL")
    return sorted(found, key=lambda data: int(data.tags["optuna.trial"]))


def above() -> RunData:
    (found,) = muniment.search("parent IS NULL")
    return found


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", None])
    for step in range(3):
        trial.report(x * step, step)
    return x * x + (kind is None)


def test_each_trial_is_a_run(series: Series) -> None:
    study = optuna.create_study(study_name="s", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=4, callbacks=[MunimentCallback("e")])
    whole, trials = above(), parts()
    assert (whole.run.name, whole.run.state) == ("s", "finished")
    assert whole.params["direction"] == "minimize"
    assert whole.params["sampler"] == "RandomSampler"
    assert [data.run.parent for data in trials] == [whole.run.id] * 4
    for data, trial in zip(trials, study.trials, strict=True):
        assert data.run.name == f"trial-{trial.number}"
        assert data.run.state == "finished"
        assert data.params == {"x": repr(trial.params["x"]), "kind": str(trial.params["kind"])}
        assert series(data, "value") == {0: trial.value}
        assert series(data, "intermediate_value") == trial.intermediate_values
        assert data.tags["optuna.state"] == "complete"
        assert data.run.started_at is not None
        assert trial.datetime_start is not None
        assert abs(data.run.started_at.timestamp() - trial.datetime_start.timestamp()) < 0.001
    assert series(whole, "value") == {trial.number: trial.value for trial in study.trials}
    assert whole.metrics["best_value"].last == study.best_value


def test_pruned_and_failed_trials_and_those_of_a_given_run() -> None:
    def mixed(trial: optuna.Trial) -> float:
        trial.suggest_int("n", 0, 9)
        if trial.number == 1:
            trial.report(1.0, 0)
            raise optuna.TrialPruned
        if trial.number == 2:
            raise ValueError("bad")
        return 1.0

    with muniment.start_run("e") as run:
        study = optuna.create_study(direction="maximize")
        study.optimize(mixed, n_trials=3, callbacks=[MunimentCallback(run)], catch=ValueError)
        assert run.record().run.state == "running"
    assert above().run.id == run.id
    assert above().params["direction"] == "maximize"
    assert [(data.tags["optuna.state"], data.run.state) for data in parts()] == [
        ("complete", "finished"),
        ("pruned", "finished"),
        ("fail", "failed"),
    ]
    assert "value" not in parts()[1].metrics


def test_an_exception_ends_the_study_and_its_trial_as_failed() -> None:
    def failing(trial: optuna.Trial) -> float:
        if trial.suggest_int("n", 0, 9) >= 0 and trial.number == 1:
            raise RuntimeError("out of memory")
        return 1.0

    study = optuna.create_study()
    with pytest.raises(RuntimeError, match="out of memory"), MunimentCallback("e") as callback:
        study.optimize(failing, n_trials=5, callbacks=[callback])
    assert above().run.state == "failed"
    assert [data.run.state for data in parts()] == ["finished", "failed"]
    assert "n" in parts()[1].params


def test_an_objective_logs_to_its_trials_run(series: Series) -> None:
    def logging_more(trial: optuna.Trial) -> float:
        run = callback.run(trial)
        for step in range(2):
            run.log({"loss": trial.number + step}, step=step)
        return 0.5

    study = optuna.create_study()
    with MunimentCallback("e") as callback:
        study.optimize(logging_more, n_trials=4, n_jobs=2, callbacks=[callback])
    assert [series(data, "loss") for data in parts()] == [{0: n, 1: n + 1} for n in range(4)]
    assert [data.metrics["value"].last for data in parts()] == [0.5] * 4


def test_threads() -> None:
    study = optuna.create_study()
    with MunimentCallback("e") as callback:
        study.optimize(objective, n_trials=24, n_jobs=4, callbacks=[callback])
    assert [data.run.name for data in parts()] == [f"trial-{n}" for n in range(24)]
    assert {data.run.state for data in parts()} == {"finished"}
    assert above().metrics["value"].count == 24


def test_several_objectives() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["loss", "auc"])
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.5), n_trials=2, callbacks=[MunimentCallback("e")])
    assert above().params["direction"] == "minimize,maximize"
    assert parts()[1].metrics["auc"].last == 0.5
    assert parts()[1].metrics["loss"].last == study.trials[1].values[0]


PROGRAM = """
import optuna, sys
from muniment.integrations.optuna import MunimentCallback
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(storage=sys.argv[1], study_name="shared", load_if_exists=True)
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4, callbacks=[MunimentCallback("e")])
"""


def test_several_processes_share_a_study_and_a_later_one_goes_on(tmp_path: Path, store: str) -> None:
    shared = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(storage=shared, study_name="shared")
    muniment.disconnect()

    def start() -> subprocess.Popen[Any]:
        return subprocess.Popen([sys.executable, "-c", PROGRAM, shared], env={**os.environ, "MUNIMENT_URL": store})

    assert [process.wait(240) for process in [start(), start()]] == [0, 0]
    muniment.connect(store)
    first = above()
    assert (first.run.name, first.run.state) == ("shared", "finished")
    assert [data.run.name for data in parts()] == [f"trial-{n}" for n in range(8)]
    study = optuna.load_study(storage=shared, study_name="shared")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1, callbacks=[MunimentCallback("e")])
    assert above().run.id == first.run.id
    assert above().run.attempt > first.run.attempt
    assert above().run.state == "finished"
    assert parts()[8].run.parent == first.run.id


def test_records_that_cannot_be_made_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    muniment.disconnect()
    monkeypatch.setenv("MUNIMENT_URL", "ftp://nowhere")
    study = optuna.create_study()
    study.optimize(objective, n_trials=2, callbacks=[MunimentCallback("e")])
    assert len(study.trials) == 2

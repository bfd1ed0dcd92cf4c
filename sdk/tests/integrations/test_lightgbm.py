"""LightGBM's callback: what is in the store after a training."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import lightgbm
import pytest
from sklearn.datasets import make_classification

import muniment
from muniment.integrations.lightgbm import MunimentCallback
from muniment.model.run import RunData

Only = Callable[[], RunData]
Series = Callable[[RunData, str], dict[int, float]]
X, Y = make_classification(300, 6, flip_y=0.2, random_state=0)
PARAMS = {"objective": "binary", "metric": ["auc", "binary_logloss"], "num_leaves": 5, "verbose": -1, "num_threads": 1}


def sets() -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    train = lightgbm.Dataset(X[:200], Y[:200])
    return train, lightgbm.Dataset(X[200:], Y[200:], reference=train)


def failing(env: Any) -> None:
    if env.iteration == 2:
        raise RuntimeError("out of memory")


def test_every_metric_of_every_set_at_its_iteration(only: Only, series: Series) -> None:
    train, valid = sets()
    seen: dict[str, Any] = {}
    lightgbm.train(
        PARAMS, train, 6, valid_sets=[train, valid], valid_names=["train", "valid"],
        callbacks=[lightgbm.record_evaluation(seen), MunimentCallback("churn", params={"data": "v3"}, name="first")],
    )  # fmt: skip
    found = only()
    assert (found.run.state, found.run.name) == ("finished", "first")
    for data in ("train", "valid"):
        for metric in ("auc", "binary_logloss"):
            assert series(found, f"{data}-{metric}") == dict(enumerate(seen[data][metric]))
    assert found.params["num_leaves"] == "5"
    assert found.params["data"] == "v3"
    assert "best_iteration" not in found.metrics


def test_early_stopping_is_an_end_and_has_a_best(only: Only, text: Callable[[RunData, str], str]) -> None:
    train, valid = sets()
    booster = lightgbm.train(
        PARAMS, train, 300, valid_sets=[valid],
        callbacks=[lightgbm.early_stopping(3, verbose=False), MunimentCallback("e")],
    )  # fmt: skip
    found = only()
    assert found.run.state == "finished"
    assert found.metrics["best_iteration"].last == booster.best_iteration - 1
    assert found.metrics["valid_0-auc"].count == booster.best_iteration + 3
    rows = list(csv.DictReader(io.StringIO(text(found, "importance.csv"))))
    assert [float(row["gain"]) for row in rows] == booster.feature_importance("gain").tolist()


def test_a_callback_that_is_kept_is_finished(only: Only) -> None:
    train, valid = sets()
    with muniment.start_run("e") as run, MunimentCallback(run) as callback:
        booster = lightgbm.train(
            PARAMS, train, 300, valid_sets=[valid], callbacks=[lightgbm.early_stopping(3, verbose=False), callback]
        )
    assert only().metrics["best_iteration"].last == booster.best_iteration - 1
    assert only().run.state == "finished"


def test_an_exception_is_the_trainings_own_and_fails_the_run(only: Only) -> None:
    train, valid = sets()
    with pytest.raises(RuntimeError, match="out of memory"), MunimentCallback("e") as callback:
        lightgbm.train(PARAMS, train, 6, valid_sets=[valid], callbacks=[callback, failing])
    found = only()
    assert found.run.state == "failed"
    assert found.metrics["valid_0-auc"].count >= 2


def test_each_training_has_a_run_of_its_own() -> None:
    train, _ = sets()
    with MunimentCallback("e") as callback:
        for leaves in (3, 4):
            lightgbm.train({**PARAMS, "num_leaves": leaves}, train, 2, valid_sets=[train], callbacks=[callback])
    runs = muniment.search(order_by="id")
    assert [(data.params["num_leaves"], data.run.state) for data in runs] == [("3", "finished"), ("4", "finished")]


def test_a_training_that_goes_on_counts_on(only: Only, series: Series) -> None:
    train, _ = sets()
    train.free_raw_data = False
    with muniment.start_run("e") as run:
        first = lightgbm.train(PARAMS, train, 3, valid_sets=[train], callbacks=[MunimentCallback(run)])
    with muniment.start_run("e", resume=run.id) as again:
        lightgbm.train(PARAMS, train, 2, valid_sets=[train], init_model=first, callbacks=[MunimentCallback(again)])
    assert sorted(series(only(), "training-auc")) == [0, 1, 2, 3, 4]
    assert only().run.attempt == 2


def test_cross_validation_has_means_and_deviations(only: Only, series: Series) -> None:
    train, _ = sets()
    seen = lightgbm.cv(PARAMS, train, 4, nfold=3, callbacks=[MunimentCallback("e")])
    assert series(only(), "valid-auc") == dict(enumerate(seen["valid auc-mean"]))
    assert series(only(), "valid-auc-std") == dict(enumerate(seen["valid auc-stdv"]))
    assert only().run.state == "finished"


def test_the_scikit_learn_wrapper(only: Only) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1)
    model.fit(X[:200], Y[:200], eval_X=X[200:], eval_y=Y[200:], callbacks=[MunimentCallback("e")])
    assert only().metrics["valid_0-binary_logloss"].count == 3
    assert only().run.state == "finished"


def test_records_that_cannot_be_made_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    muniment.disconnect()
    monkeypatch.setenv("MUNIMENT_URL", "ftp://nowhere")
    train, _ = sets()
    assert lightgbm.train(PARAMS, train, 2, callbacks=[MunimentCallback("e")]).current_iteration() == 2

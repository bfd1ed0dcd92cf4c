"""XGBoost's callback: what is in the store after a training."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
import xgboost
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import muniment
from muniment.integrations.xgboost import MunimentCallback
from muniment.model.run import RunData

Only = Callable[[], RunData]
Series = Callable[[RunData, str], dict[int, float]]
X, Y = make_classification(200, 6, flip_y=0.2, random_state=0)
TRAIN, VALID = (xgboost.DMatrix(X[:120], Y[:120]), xgboost.DMatrix(X[120:], Y[120:]))
PARAMS = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.3, "eval_metric": ["logloss", "auc"]}


class Failing(xgboost.callback.TrainingCallback):
    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        if epoch == 2:
            raise RuntimeError("out of memory")
        return False


def test_every_metric_of_every_set_at_its_iteration(only: Only, series: Series) -> None:
    seen: dict[str, Any] = {}
    xgboost.train(
        PARAMS, TRAIN, 6, evals=[(TRAIN, "train"), (VALID, "valid")], evals_result=seen, verbose_eval=False,
        callbacks=[MunimentCallback("churn", params={"data": "v3"}, name="first")],
    )  # fmt: skip
    found = only()
    assert (found.run.state, found.run.name) == ("finished", "first")
    for data in ("train", "valid"):
        for metric in ("logloss", "auc"):
            assert series(found, f"{data}-{metric}") == dict(enumerate(seen[data][metric]))
    assert found.params["max_depth"] == "3"
    assert found.params["objective"] == "binary:logistic"
    assert float(found.params["eta"]) == pytest.approx(0.3)
    assert found.params["booster"] == "gbtree"
    assert found.params["data"] == "v3"


def test_the_best_iteration_and_what_counts(only: Only, text: Callable[[RunData, str], str]) -> None:
    with muniment.start_run("e") as run:
        booster = xgboost.train(
            PARAMS, TRAIN, 200, evals=[(VALID, "valid")], early_stopping_rounds=3, verbose_eval=False,
            callbacks=[MunimentCallback(run)],
        )  # fmt: skip
        assert run.record().run.state == "running"
    found = only()
    assert found.run.state == "finished"
    assert found.metrics["best_iteration"].last == booster.best_iteration
    assert found.metrics["best_score"].last == booster.best_score
    assert found.metrics["valid-auc"].last_step == booster.best_iteration + 3
    rows = list(csv.DictReader(io.StringIO(text(found, "importance.csv"))))
    assert {row["feature"]: float(row["gain"]) for row in rows} == booster.get_score(importance_type="gain")
    assert [float(row["gain"]) for row in rows] == sorted((float(row["gain"]) for row in rows), reverse=True)


def test_a_training_that_goes_on_counts_on(only: Only, series: Series) -> None:
    with muniment.start_run("e") as run:
        first = xgboost.train(PARAMS, TRAIN, 3, evals=[(TRAIN, "train")], callbacks=[MunimentCallback(run)])
    with muniment.start_run("e", resume=run.id) as again:
        xgboost.train(
            {**PARAMS, "eta": 0.1},
            TRAIN,
            2,
            evals=[(TRAIN, "train")],
            xgb_model=first,
            callbacks=[MunimentCallback(again)],
        )
    found = only()
    assert found.run.attempt == 2
    assert sorted(series(found, "train-auc")) == [0, 1, 2, 3, 4]
    assert float(found.params["eta"]) == pytest.approx(0.3)


def test_an_exception_is_the_trainings_own_and_fails_the_run(only: Only) -> None:
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        MunimentCallback("e") as callback,
    ):
        xgboost.train(PARAMS, TRAIN, 6, evals=[(VALID, "valid")], callbacks=[callback, Failing()], verbose_eval=False)
    found = only()
    assert found.run.state == "failed"
    assert found.metrics["valid-auc"].last_step == 2


def test_cross_validation_has_means_and_deviations(only: Only, series: Series) -> None:
    seen = xgboost.cv(PARAMS, TRAIN, 4, nfold=3, callbacks=[MunimentCallback("e")], as_pandas=False)
    assert series(only(), "test-auc") == dict(enumerate(seen["test-auc-mean"]))
    assert series(only(), "test-auc-std") == dict(enumerate(seen["test-auc-std"]))
    assert only().params["max_depth"] == "3"


def test_the_scikit_learn_wrapper_and_its_clones() -> None:
    model = xgboost.XGBClassifier(n_estimators=3, callbacks=[MunimentCallback("e")])
    model.fit(X[:120], Y[:120], eval_set=[(X[120:], Y[120:])], verbose=False)
    (found,) = muniment.search()
    assert found.metrics["validation_0-logloss"].count == 3
    GridSearchCV(model, {"max_depth": [2, 3]}, cv=2, refit=False).fit(X, Y)
    runs = muniment.search()
    assert len(runs) == 5
    assert {data.run.state for data in runs} == {"finished"}
    assert sorted(data.params["max_depth"] for data in runs) == ["2", "2", "3", "3", "6"]


def test_a_linear_booster_has_weights_alone(only: Only, text: Callable[[RunData, str], str]) -> None:
    xgboost.train({"booster": "gblinear"}, TRAIN, 2, callbacks=[MunimentCallback("e")])
    assert text(only(), "importance.csv").splitlines()[0] == "feature,weight"
    assert only().params["booster"] == "gblinear"


def test_records_that_cannot_be_made_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    muniment.disconnect()
    monkeypatch.setenv("MUNIMENT_URL", "ftp://nowhere")
    booster = xgboost.train(PARAMS, TRAIN, 2, callbacks=[MunimentCallback("e")])
    assert booster.num_boosted_rounds() == 2

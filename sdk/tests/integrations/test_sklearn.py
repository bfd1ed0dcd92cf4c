"""scikit-learn, recorded: what is in the store after a fit."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import muniment
from muniment.integrations.sklearn import fit, recorded
from muniment.model.run import RunData

Only = Callable[[], RunData]
Series = Callable[[RunData, str], dict[int, float]]
X, Y = make_classification(120, 6, random_state=0)


def test_params_of_a_pipeline_and_scores_that_were_asked_for(only: Only) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
    fitted = fit("churn", model, X, Y, validation=(X[:40], Y[:40]), training_scores=True)
    assert fitted is model
    found = only()
    assert found.run.state == "finished"
    assert found.params["estimator"] == "Pipeline"
    assert found.params["logisticregression"] == "LogisticRegression"
    assert found.params["logisticregression__C"] == "0.5"
    assert found.params["standardscaler__with_mean"] == "true"
    assert "steps" not in found.params
    assert found.metrics["train_accuracy"].last == model.score(X, Y)
    assert found.metrics["valid_accuracy"].last == model.score(X[:40], Y[:40])


def test_scorers_by_name_and_a_regressor(only: Only) -> None:
    with muniment.start_run("e") as run:
        model = fit(run, Ridge(), X, X[:, 0] * 2, training_scores=True)
        fit(run, Ridge(), X, X[:, 0], validation=(X, X[:, 0]), scoring=["neg_mean_squared_error"])
        assert run.record().run.state == "running"
    assert only().metrics["train_r2"].last == model.score(X, X[:, 0] * 2)
    assert "valid_neg_mean_squared_error" in only().metrics


def test_what_is_kept_of_iterations_is_there_step_by_step(only: Only, series: Series) -> None:
    network = MLPClassifier((4,), max_iter=7, early_stopping=True, random_state=0)
    model = make_pipeline(StandardScaler(), network)
    with pytest.warns(ConvergenceWarning):
        fit("e", model, X, Y)
    found = only()
    assert series(found, "mlpclassifier__loss_curve") == dict(enumerate(network.loss_curve_))
    assert series(found, "mlpclassifier__validation_scores") == dict(enumerate(network.validation_scores_))
    assert found.metrics["mlpclassifier__n_iter"].last == 7
    assert found.metrics["mlpclassifier__best_validation_score"].last == network.best_validation_score_


def test_boosting_keeps_its_training_loss(only: Only, series: Series) -> None:
    model = fit("e", GradientBoostingClassifier(n_estimators=5, random_state=0), X, Y)
    assert series(only(), "train_score") == dict(enumerate(model.train_score_.tolist()))


def test_each_candidate_of_a_search_is_a_run(series: Series) -> None:
    search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0, -1.0]}, cv=3, error_score=np.nan)
    with pytest.warns((FitFailedWarning, UserWarning)):
        fit("e", search, X, Y)
    (above,) = muniment.search("parent IS NULL")
    parts = muniment.search("NOT parent IS NULL", order_by="name")
    assert [part.run.parent for part in parts] == [above.run.id] * 3
    assert [part.run.name for part in parts] == ["candidate-0", "candidate-1", "candidate-2"]
    assert [part.params for part in parts] == [{"C": "0.01"}, {"C": "1.0"}, {"C": "-1.0"}]
    assert [part.run.state for part in parts] == ["finished", "finished", "failed"]
    results = search.cv_results_
    assert [part.metrics["mean_test_score"].last for part in parts[:2]] == results["mean_test_score"][:2].tolist()
    splits = {at: results[f"split{at}_test_score"][1] for at in range(3)}
    assert series(parts[1], "test_score") == splits
    assert above.metrics["best_score"].last == search.best_score_
    assert above.params["best__C"] == str(search.best_params_["C"])
    assert above.run.experiment == parts[0].run.experiment


def test_a_fit_that_fails_raises_its_own_error(only: Only) -> None:
    with pytest.raises(ValueError, match="C"):
        fit("e", LogisticRegression(C=-1), X, Y)
    assert only().run.state == "failed"


def test_a_recorded_estimator_is_used_like_the_estimator(only: Only) -> None:
    with muniment.start_run("e") as run:
        model = recorded(LogisticRegression(C=0.25), run)
        assert model.fit(X, Y) is model
        assert model.predict(X).shape == Y.shape
        assert type(clone(model)) is LogisticRegression
        assert cross_val_score(model, X, Y, cv=3).shape == (3,)
        assert pickle.loads(pickle.dumps(model)).predict(X).shape == Y.shape
        scaled = recorded(StandardScaler(), run).fit_transform(X)
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(X))
    assert only().params["C"] == "0.25"
    assert only().params["with_std"] == "true"


def test_records_that_cannot_be_made_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(muniment.ActiveRun, "log_params", refuse)
    assert fit("e", LogisticRegression(), X, Y).score(X, Y) > 0.5

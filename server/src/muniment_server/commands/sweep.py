"""The demo's sweep: real scikit-learn models on the real data sets that scikit-learn ships."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec
import numpy as np
from sklearn import datasets
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from muniment import ActiveRun

SEED = 7
DATASETS = {"digits": datasets.load_digits, "breast-cancer": datasets.load_breast_cancer}


class Trial(msgspec.Struct, frozen=True):
    """One model to train on one data set."""

    dataset: str
    model: str
    params: dict[str, Any]


class Split(msgspec.Struct, frozen=True):
    """A data set, divided: scores are of the validation part."""

    train_x: Any
    valid_x: Any
    train_y: Any
    valid_y: Any


def trials() -> Iterator[Trial]:
    """Every trial of the sweep."""
    for dataset in DATASETS:
        for c in (0.01, 0.1, 1.0):
            yield Trial(dataset, "logistic-regression", {"c": c})
        for depth in (4, 16):
            yield Trial(dataset, "random-forest", {"max_depth": depth, "trees": 150})
        for rate, depth in product((0.03, 0.3), (2, 4)):
            if dataset == "breast-cancer":
                yield Trial(dataset, "gradient-boosting", {"learning_rate": rate, "max_depth": depth, "rounds": 80})
        for width, rate in product((16, 64), (0.001, 0.01)):
            yield Trial(dataset, "neural-network", {"hidden": width, "learning_rate": rate, "epochs": 40})


def load(dataset: str) -> Split:
    """The data set, split the same way every time."""
    x, y = DATASETS[dataset](return_X_y=True)
    train_x, valid_x, train_y, valid_y = train_test_split(x, y, test_size=0.3, random_state=SEED, stratify=y)
    return Split(train_x, valid_x, train_y, valid_y)


def train(trial: Trial, split: Split, run: ActiveRun) -> None:
    """Train one model, logging by step where it has steps, and its scores at the end."""
    predict = _TRAINERS[trial.model](trial.params, split, run)
    probabilities = predict(split.valid_x)
    predicted = probabilities.argmax(axis=1)
    run.log({
        "accuracy": accuracy_score(split.valid_y, predicted),
        "f1": f1_score(split.valid_y, predicted, average="macro"),
        "log_loss": log_loss(split.valid_y, probabilities),
    })  # fmt: skip


def _logistic(params: dict[str, Any], split: Split, run: ActiveRun) -> Any:
    del run
    model = make_pipeline(StandardScaler(), LogisticRegression(C=params["c"], max_iter=2_000))
    return model.fit(split.train_x, split.train_y).predict_proba


def _forest(params: dict[str, Any], split: Split, run: ActiveRun) -> Any:
    model = RandomForestClassifier(warm_start=True, max_depth=params["max_depth"], random_state=SEED, oob_score=True)
    for trees in range(25, params["trees"] + 1, 25):
        model.set_params(n_estimators=trees).fit(split.train_x, split.train_y)
        run.log({"oob_accuracy": model.oob_score_}, step=trees)
    return model.predict_proba


def _boosting(params: dict[str, Any], split: Split, run: ActiveRun) -> Any:
    model = GradientBoostingClassifier(
        n_estimators=params["rounds"], learning_rate=params["learning_rate"], max_depth=params["max_depth"],
        random_state=SEED,
    )  # fmt: skip
    model.fit(split.train_x, split.train_y)
    for step, probabilities in enumerate(model.staged_predict_proba(split.valid_x), start=1):
        run.log({
            "train_loss": model.train_score_[step - 1],
            "valid_loss": log_loss(split.valid_y, probabilities),
            "valid_accuracy": accuracy_score(split.valid_y, probabilities.argmax(axis=1)),
        }, step=step)  # fmt: skip
    return model.predict_proba


def _network(params: dict[str, Any], split: Split, run: ActiveRun) -> Any:
    scaler = clone(StandardScaler()).fit(split.train_x)
    train_x, valid_x = scaler.transform(split.train_x), scaler.transform(split.valid_x)
    model = MLPClassifier((params["hidden"],), learning_rate_init=params["learning_rate"], random_state=SEED)
    classes = np.unique(split.train_y)
    for epoch in range(1, params["epochs"] + 1):
        model.partial_fit(train_x, split.train_y, classes=classes)
        probabilities = model.predict_proba(valid_x)
        run.log({
            "train_loss": model.loss_,
            "valid_loss": log_loss(split.valid_y, probabilities),
            "valid_accuracy": accuracy_score(split.valid_y, probabilities.argmax(axis=1)),
        }, step=epoch)  # fmt: skip
    return lambda x: model.predict_proba(scaler.transform(x))


_TRAINERS = {
    "logistic-regression": _logistic,
    "random-forest": _forest,
    "gradient-boosting": _boosting,
    "neural-network": _network,
}

"""The demo's sweep: real scikit-learn models on the real data sets that scikit-learn ships."""

from __future__ import annotations

import hashlib
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
from muniment.model.dataset import Slice
from muniment.model.schema import Column

SEED = 7
"""Of the models, unless another one is asked for."""
SPLIT_SEED = 7
"""Of the division of the data, which is the same for every sweep."""
NAMESPACE = "scikit-learn"
FINALISTS = 3
"""Runs of each data set whose models are registered and evaluated on what was held out."""
THRESHOLDS = {"digits": 0.95, "breast-cancer": 0.95}
"""Accuracy that a model has to reach on each slice."""


class Trial(msgspec.Struct, frozen=True):
    """One model to train on one data set."""

    dataset: str
    model: str
    params: dict[str, Any]


class Split(msgspec.Struct, frozen=True):
    """A data set, divided: runs are compared on the validation part; what is held out judges the finalists.

    `held_out` has (features, labels) by the name of the slice.
    """

    train_x: Any
    valid_x: Any
    train_y: Any
    valid_y: Any
    held_out: dict[str, tuple[Any, Any]]


class Trained(msgspec.Struct, frozen=True):
    """A trained model: what it predicts, and how good it was on the validation part."""

    predict: Any
    accuracy: float


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


class Data(msgspec.Struct, frozen=True):
    """A data set as scikit-learn ships it, and what divides those who are held out into groups."""

    x: Any
    y: Any
    columns: list[str]
    groups: dict[str, str]
    """Which rows, by the name of the slice; in the words of pandas' ``query``."""

    @property
    def digest(self) -> str:
        """Of the content."""
        return digest_of(self.x, self.y)

    @property
    def schema(self) -> list[Column]:
        """The columns, the label last."""
        features = [Column(name=name, type=str(self.x.dtype)) for name in self.columns]
        return [*features, Column(name="label", type=str(self.y.dtype))]


def _digits() -> Data:
    found = datasets.load_digits()
    return Data(found.data, found.target, list(found.feature_names), {"low": "label < 5", "high": "label >= 5"})


def _breast_cancer() -> Data:
    found = datasets.load_breast_cancer()
    columns = [name.replace(" ", "_") for name in found.feature_names]
    return Data(found.data, found.target, columns, {"small": "mean_radius < 13.4", "large": "mean_radius >= 13.4"})


DATASETS = {"digits": _digits, "breast-cancer": _breast_cancer}


def digest_of(*arrays: Any) -> str:
    """What identifies the content of arrays."""
    made = hashlib.sha256()
    for array in arrays:
        made.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{made.hexdigest()}"


def split(data: Data) -> Split:
    """Divide a data set the same way every time: 56 % to train, 24 % to choose by, 20 % held out."""
    rest_x, test_x, rest_y, test_y = train_test_split(
        data.x, data.y, test_size=0.2, random_state=SPLIT_SEED, stratify=data.y
    )
    train_x, valid_x, train_y, valid_y = train_test_split(
        rest_x, rest_y, test_size=0.3, random_state=SPLIT_SEED, stratify=rest_y
    )
    held_out = {"test": (test_x, test_y)}
    for name, rule in data.groups.items():
        column, sign, bound = rule.split()
        values = test_y if column == "label" else test_x[:, data.columns.index(column)]
        rows = values < float(bound) if sign == "<" else values >= float(bound)
        held_out[f"test-{name}"] = (test_x[rows], test_y[rows])
    return Split(train_x, valid_x, train_y, valid_y, held_out)


def slices(data: Data, parts: Split) -> list[Slice]:
    """The parts of a divided data set, as they are recorded."""
    made = [
        Slice(name="train", rows=len(parts.train_y), digest=digest_of(parts.train_x, parts.train_y)),
        Slice(name="validation", rows=len(parts.valid_y), digest=digest_of(parts.valid_x, parts.valid_y)),
    ]
    rules = {f"test-{name}": rule for name, rule in data.groups.items()}
    for name, (x, y) in parts.held_out.items():
        made.append(Slice(name=name, rows=len(y), digest=digest_of(x, y), filter=rules.get(name)))
    return made


def scores(predict: Any, x: Any, y: Any) -> dict[str, float]:
    """How good predictions are."""
    probabilities = predict(x)
    predicted = probabilities.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(y, predicted)),
        "f1": float(f1_score(y, predicted, average="macro")),
        "log_loss": float(log_loss(y, probabilities, labels=range(probabilities.shape[1]))),
    }


def train(trial: Trial, seed: int, parts: Split, run: ActiveRun) -> Trained:
    """Train one model, logging by step where it has steps, and its scores at the end."""
    predict = _TRAINERS[trial.model](trial.params, seed, parts, run)
    found = scores(predict, parts.valid_x, parts.valid_y)
    run.log(found)
    return Trained(predict, found["accuracy"])


def _logistic(params: dict[str, Any], seed: int, split: Split, run: ActiveRun) -> Any:
    del seed, run
    model = make_pipeline(StandardScaler(), LogisticRegression(C=params["c"], max_iter=2_000))
    return model.fit(split.train_x, split.train_y).predict_proba


def _forest(params: dict[str, Any], seed: int, split: Split, run: ActiveRun) -> Any:
    model = RandomForestClassifier(warm_start=True, max_depth=params["max_depth"], random_state=seed, oob_score=True)
    for trees in range(25, params["trees"] + 1, 25):
        model.set_params(n_estimators=trees).fit(split.train_x, split.train_y)
        run.log({"oob_accuracy": model.oob_score_}, step=trees)
    return model.predict_proba


def _boosting(params: dict[str, Any], seed: int, split: Split, run: ActiveRun) -> Any:
    model = GradientBoostingClassifier(
        n_estimators=params["rounds"], learning_rate=params["learning_rate"], max_depth=params["max_depth"],
        random_state=seed,
    )  # fmt: skip
    model.fit(split.train_x, split.train_y)
    for step, probabilities in enumerate(model.staged_predict_proba(split.valid_x), start=1):
        run.log({
            "train_loss": model.train_score_[step - 1],
            "valid_loss": log_loss(split.valid_y, probabilities),
            "valid_accuracy": accuracy_score(split.valid_y, probabilities.argmax(axis=1)),
        }, step=step)  # fmt: skip
    return model.predict_proba


def _network(params: dict[str, Any], seed: int, split: Split, run: ActiveRun) -> Any:
    scaler = clone(StandardScaler()).fit(split.train_x)
    train_x, valid_x = scaler.transform(split.train_x), scaler.transform(split.valid_x)
    model = MLPClassifier((params["hidden"],), learning_rate_init=params["learning_rate"], random_state=seed)
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

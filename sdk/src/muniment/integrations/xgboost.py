"""XGBoost: a callback that records a training, by `xgboost.train`, `xgboost.cv` or the scikit-learn wrapper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from muniment.integrations.recording import Finishing, Recording, missing, params_of, safely, table
from muniment.recorder import ActiveRun

try:
    from xgboost.callback import TrainingCallback
except ImportError as error:
    raise missing("xgboost", error) from None

IMPORTANCE = "importance.csv"
"""Under which path a run has how much each feature counts."""
_KINDS = ("gain", "weight", "cover")


class MunimentCallback(Finishing, TrainingCallback):
    """Records params, every metric of every evaluation set at its iteration, the best iteration and importances.

    Metrics are called ``DATA-METRIC``, those of a cross-validation also ``DATA-METRIC-std``.

    Args:
        run: the run, or the name of an experiment to begin a run of, which ends with the training.
        params: further params to record, such as those of the data.
        importance: whether to keep ``importance.csv``, how much each feature counts.
        name: of runs of its own.
    """

    def __init__(
        self,
        run: ActiveRun | str,
        *,
        params: Mapping[str, Any] | None = None,
        importance: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self._recording = Recording(run, name)
        self._params = dict(params or {})
        self._importance = importance
        self._rounds = 0
        """How many the model had before this training, which counts its own from 0."""

    def before_training(self, model: Any) -> Any:
        """Begin the run, with the params that the model has."""
        self._begin(model)
        return model

    @safely
    def _begin(self, model: Any) -> None:
        folds = getattr(model, "cvfolds", None)
        booster = folds[0].bst if folds else model
        self._rounds = booster.num_boosted_rounds()
        run = self._recording.begin()
        run.log_params(params_of(_settings(json.loads(booster.save_config())["learner"])) | params_of(self._params))

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Log what the iteration has come to."""
        self._log(epoch, evals_log)
        return False

    @safely
    def _log(self, epoch: int, evals_log: Mapping[str, Any]) -> None:
        found: dict[str, float] = {}
        for data, metrics in evals_log.items():
            for metric, values in metrics.items():
                last = values[-1]
                if isinstance(last, tuple):
                    found[f"{data}-{metric}"], found[f"{data}-{metric}-std"] = last
                else:
                    found[f"{data}-{metric}"] = last
        if found:
            self._recording.run.log(found, step=self._rounds + epoch)

    def after_training(self, model: Any) -> Any:
        """Record what is best, and end a run of its own."""
        self._record_best(model)
        self._end()
        return model

    @safely
    def _record_best(self, model: Any) -> None:
        run, folds = self._recording.run, getattr(model, "cvfolds", None)
        booster = folds[0].bst if folds else model
        best, score = booster.attr("best_iteration"), booster.attr("best_score")
        if best is not None and score is not None:
            run.log({"best_iteration": int(best), "best_score": float(score)}, step=int(best))
        if self._importance and not folds:
            kept = _importance(model)
            if kept:
                run.log_artifact(kept, IMPORTANCE)

    @safely
    def _end(self) -> None:
        self._recording.end()


def _settings(learner: Mapping[str, Any]) -> dict[str, Any]:
    """The params among a model's configuration: the leaves of every part that is called ``…_param``."""
    found: dict[str, Any] = {}
    for name, part in learner.items():
        if not isinstance(part, Mapping):
            if name in {"objective", "name", "booster"}:
                found["booster" if name == "name" else name] = part
        elif name.endswith("_param"):
            found |= {key: _number(value) for key, value in part.items() if not isinstance(value, (Mapping, list))}
        elif name in {"gradient_booster", "updater", "tree_train_param"}:
            found |= _settings(part)
    return found


def _number(text: Any) -> Any:
    """A number that is spelled as text, as a number."""
    for spelled in (int, float):
        try:
            return spelled(text)
        except (TypeError, ValueError):
            continue
    return text


def _importance(booster: Any) -> bytes:
    """How much each feature counts, as a table; nothing for a model that cannot say."""
    columns: dict[str, dict[str, Any]] = {}
    for kind in _KINDS:
        try:
            columns[kind] = booster.get_score(importance_type=kind)
        except ValueError:  # a linear model has weights alone
            continue
    if not columns:
        return b""
    first = next(iter(columns.values()))
    features = sorted(first, key=lambda feature: (-_size(first[feature]), feature))
    made: dict[str, list[Any]] = {"feature": list(features)}
    return table(made | {kind: [values.get(feature, "") for feature in features] for kind, values in columns.items()})


def _size(value: Any) -> float:
    """How much a feature counts, over all classes."""
    return float(sum(abs(one) for one in value) if isinstance(value, list) else abs(value))

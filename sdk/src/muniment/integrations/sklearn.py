"""scikit-learn: fitting an estimator, recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from muniment.integrations.recording import Recording, missing, params_of, safely
from muniment.recorder import ActiveRun

try:
    import sklearn as _  # noqa: F401 - whoever has it not, is told here
except ImportError as error:
    raise missing("scikit-learn", error) from None

CURVES = ("loss_curve_", "validation_scores_", "train_score_", "validation_score_", "oob_scores_", "oob_improvement_")
"""Fitted attributes that hold a value an iteration; the metric is called without the underscore."""
SCORES = (
    "best_score_", "best_index_", "best_loss_", "best_validation_score_", "loss_", "n_iter_", "oob_score_", "inertia_",
    "lower_bound_", "reconstruction_err_", "refit_time_",
)  # fmt: skip
"""Fitted attributes that hold one value."""


def fit(
    run: ActiveRun | str,
    estimator: Any,
    X: Any,  # noqa: N803 - scikit-learn's own word
    y: Any = None,
    *,
    validation: tuple[Any, Any] | None = None,
    training_scores: bool = False,
    scoring: str | Iterable[str] | None = None,
    **fit_params: Any,
) -> Any:
    """Fit an estimator and record it.

    Recorded are its params (those of nested estimators as ``step__param``), what it keeps of its iterations, the
    scores among its fitted attributes, and each candidate of a search as a run of its own with the candidate's params.

    Args:
        run: the run, or the name of an experiment to begin a run of, which ends with the fit.
        estimator: to be fitted.
        X: features.
        y: labels.
        validation: features and labels to score the fitted estimator on, as ``valid_SCORE``.
        training_scores: whether to score it on what it was fitted to, as ``train_SCORE``.
        scoring: names of scikit-learn's scorers; the estimator's own score if left out.
        fit_params: of the estimator's ``fit``.

    Returns:
        The fitted estimator.
    """
    made = Recorded(estimator, run, validation=validation, training_scores=training_scores, scoring=scoring)
    return made.fit(X, y, **fit_params).estimator


def recorded(
    estimator: Any,
    run: ActiveRun | str,
    *,
    validation: tuple[Any, Any] | None = None,
    training_scores: bool = False,
    scoring: str | Iterable[str] | None = None,
) -> Recorded:
    """The estimator, in a cover whose ``fit`` is recorded as `fit` does; everything else is the estimator's own."""
    return Recorded(estimator, run, validation=validation, training_scores=training_scores, scoring=scoring)


class Recorded:
    """An estimator whose fits are recorded; see `recorded`. A clone of it is a plain clone of the estimator.

    Attributes:
        estimator: which it covers.
    """

    def __init__(
        self,
        estimator: Any,
        run: ActiveRun | str,
        *,
        validation: tuple[Any, Any] | None,
        training_scores: bool,
        scoring: str | Iterable[str] | None,
    ) -> None:
        self.estimator = estimator
        self._recording = Recording(run)
        self._validation, self._training_scores = validation, training_scores
        self._scoring = (scoring,) if isinstance(scoring, str) else tuple(scoring or ())

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:  # noqa: N803
        """Fit the estimator."""
        self._around(self.estimator.fit, X, y, params)
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__sklearn_tags__":  # pickle and copy ask before there is an estimator
            raise AttributeError(name)
        found = getattr(self.estimator, name)
        if name not in {"fit_transform", "fit_predict"}:
            return found
        return lambda X, y=None, **params: self._around(found, X, y, params)  # noqa: N803

    def __sklearn_clone__(self) -> Any:
        from sklearn.base import clone  # noqa: PLC0415

        return clone(self.estimator)

    def _around(self, method: Callable[..., Any], X: Any, y: Any, params: dict[str, Any]) -> Any:  # noqa: N803
        self._begin()
        try:
            result = method(X, y, **params)
            self._record(X, y)
        except BaseException as error:
            self._end("killed" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        self._end("finished")
        return result

    @safely
    def _begin(self) -> None:
        self._recording.begin().log_params(params_of(_settings(self.estimator)))

    @safely
    def _end(self, state: Any) -> None:
        self._recording.end(state)

    @safely
    def _record(self, X: Any, y: Any) -> None:  # noqa: N803
        run = self._recording.run
        for prefix, part in _parts(self.estimator):
            _record_curves(run, part, prefix)
            for name in SCORES:
                value = _number(getattr(part, name, None))
                if value is not None:
                    run.log({f"{prefix}{name[:-1]}": value})
            if hasattr(part, "cv_results_"):
                _record_search(run, part, prefix)
        if self._training_scores:
            run.log(self._scores("train", X, y))
        if self._validation is not None:
            run.log(self._scores("valid", *self._validation))

    def _scores(self, of: str, X: Any, y: Any) -> dict[str, float]:  # noqa: N803
        from sklearn.base import is_classifier, is_regressor  # noqa: PLC0415
        from sklearn.metrics import get_scorer  # noqa: PLC0415

        fitted = self.estimator
        if self._scoring:
            return {f"{of}_{name}": float(get_scorer(name)(fitted, X, y)) for name in self._scoring}
        asked = getattr(fitted, "scoring", None)
        name = "accuracy" if is_classifier(fitted) else "r2" if is_regressor(fitted) else "score"
        return {f"{of}_{asked if isinstance(asked, str) else name}": float(fitted.score(X, y))}


def _settings(estimator: Any) -> dict[str, Any]:
    """The params of an estimator and of those in it; an estimator itself is told by its class."""
    made: dict[str, Any] = {"estimator": type(estimator).__name__}
    for name, value in estimator.get_params(deep=True).items():
        if hasattr(value, "get_params"):
            made[name] = type(value).__name__
        elif not (isinstance(value, list) and any(isinstance(item, tuple) for item in value)):  # steps, named each
            made[name] = value if not isinstance(value, Mapping) else str(value)
    return made


def _parts(estimator: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fitted estimators of a pipeline, and what stands before the names of theirs."""
    yield prefix, estimator
    for name, part in getattr(estimator, "steps", None) or ():
        if hasattr(part, "get_params"):
            yield from _parts(part, f"{prefix}{name}__")


def _record_curves(run: ActiveRun, part: Any, prefix: str) -> None:
    for name in CURVES:
        values = getattr(part, name, None)
        if values is None or getattr(values, "ndim", 1) != 1:
            continue
        for step, value in enumerate(values):
            number = _number(value)
            if number is not None:
                run.log({f"{prefix}{name[:-1]}": number}, step=step)


def _record_search(run: ActiveRun, search: Any, prefix: str) -> None:
    """Each candidate of a search as a run of its own, and the best one's params as ``best__…``."""
    results = search.cv_results_
    if isinstance(getattr(search, "best_params_", None), Mapping):
        run.log_params(params_of(_named(search.best_params_), f"{prefix}best__"))
    for index, params in enumerate(results["params"]):
        metrics = {
            name: value
            for name, column in results.items()
            if name != "params" and not name.startswith(("param_", "split"))
            and (value := _number(column[index])) is not None
        }  # fmt: skip
        part = run.part(f"candidate-{index}", params=params_of(_named(params)), tags={"candidate": str(index)})
        part.log(metrics)
        for name, column in results.items():
            split, _, score = name.partition("_")
            if split.startswith("split") and split[5:].isdigit():
                part.log({score: column[index]}, step=int(split[5:]))
        scores = [value for name, value in metrics.items() if name.startswith("mean_test_")]
        part.finish("failed" if scores and all(math.isnan(value) for value in scores) else "finished", wait=False)


def _named(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: type(value).__name__ if hasattr(value, "get_params") else value for name, value in params.items()}


def _number(value: Any) -> float | None:
    """A value as a number, if it is one."""
    if value is None or isinstance(value, (str, bytes)) or getattr(value, "shape", ()) != ():
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None

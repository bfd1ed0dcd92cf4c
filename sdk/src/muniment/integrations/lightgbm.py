"""LightGBM: a callback that records a training, by `lightgbm.train`, `lightgbm.cv` or the scikit-learn wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muniment.integrations.recording import Finishing, Recording, missing, params_of, safely, table
from muniment.model.run import RunState
from muniment.recorder import ActiveRun

try:
    import lightgbm as _  # noqa: F401 - whoever has it not, is told here
except ImportError as error:
    raise missing("lightgbm", error) from None

IMPORTANCE = "importance.csv"
"""Under which path a run has how much each feature counts."""


class MunimentCallback(Finishing):
    """Records params, every metric of every evaluation set at its iteration, the best iteration and importances.

    Metrics are called ``DATA-METRIC``, those of a cross-validation also ``DATA-METRIC-std``.

    LightGBM tells its callbacks of no end. The best iteration is recorded, and a run of its own ended, when the
    callback is let go of, as after ``train(…, callbacks=[MunimentCallback("churn")])``; where a variable holds it,
    call `finish` or use it as a context manager.

    Args:
        run: the run, or the name of an experiment to begin a run of.
        params: further params to record, such as those of the data.
        importance: whether to keep ``importance.csv``, how much each feature counts.
        name: of runs of its own.
    """

    order = 25
    """After `record_evaluation` (20) and before `early_stopping` (30), which ends the last iteration."""
    before_iteration = False

    def __init__(
        self,
        run: ActiveRun | str,
        *,
        params: Mapping[str, Any] | None = None,
        importance: bool = True,
        name: str | None = None,
    ) -> None:
        self._recording = Recording(run, name)
        self._params = dict(params or {})
        self._importance = importance
        self._training: _Training | None = None

    @safely
    def __call__(self, env: Any) -> None:
        """Log what an iteration has come to; the first one begins the run."""
        training = self._training
        if training is None or training.model is not env.model or env.iteration == env.begin_iteration:
            self._training = training = _Training(env.model, self._importance)
            run = self._recording.begin(training.part)
            run.log_params(params_of(env.params) | params_of(self._params))
        found: dict[str, float] = {}
        for data, metric, value, _, *deviation in env.evaluation_result_list or ():
            found[f"{data}-{metric}"] = value
            if deviation and deviation[0] is not None:
                found[f"{data}-{metric}-std"] = deviation[0]
        if found:
            self._recording.run.log(found, step=env.iteration)
        training.complete = env.iteration == env.end_iteration - 1

    def finish(self) -> None:
        """Record the best iteration, and end a run of its own."""
        self._recording.leave()
        self._training = None


class _Training:
    """What is known of a training when it is over; it knows nothing of the callback, which goes before it."""

    def __init__(self, model: Any, importance: bool) -> None:
        self.model, self._importance = model, importance
        self.complete = False

    def part(self, run: ActiveRun) -> RunState:
        """Record what is best; how the training has ended."""
        best = self.model.best_iteration
        if not self.complete and best <= 0:
            return "failed"
        if best > 0:
            run.log({"best_iteration": best - 1}, step=best - 1)
        if self._importance and not hasattr(self.model, "boosters"):  # those of a cross-validation have one each
            columns = {"feature": self.model.feature_name()}
            columns |= {kind: self.model.feature_importance(kind).tolist() for kind in ("gain", "split")}
            run.log_artifact(table(columns), IMPORTANCE)
        return "finished"

"""Optuna: a callback of `study.optimize` that records each trial as a run of its own."""

from __future__ import annotations

import hashlib
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from muniment import fluent
from muniment.integrations.recording import Recording, missing, params_of, safely
from muniment.model.batch import BeginAttempt
from muniment.model.run import RunState
from muniment.recorder import ActiveRun, Plan

try:
    import optuna
    from optuna.storages import InMemoryStorage
    from optuna.trial import FrozenTrial, Trial, TrialState
except ImportError as error:
    raise missing("optuna", error) from None


class MunimentCallback:
    """Records a study as a run, and each trial as a run that is a part of it.

    A trial's run has its params, its value (or values), its intermediate values, and how it has ended: a pruned trial
    is finished and has the tag ``optuna.state`` ``pruned``, a failed one is failed. The study's run has the value of
    each trial, and the best so far, with the trial's number as the step.

    It can be used from threads (``n_jobs``) and from several processes that share a study: given the name of an
    experiment, all of them find the same run, and a study that is taken up again goes on with it. The run ends when
    the callback is let go of; where a variable holds it, call `finish` or use it as a context manager.

    Args:
        run: the run that the trials are parts of, or the name of an experiment to begin a run of.
    """

    def __init__(self, run: ActiveRun | str) -> None:
        self._recording = Recording(run)
        self._experiment = run if isinstance(run, str) else None
        self._study: _Study | None = None
        self._lock = threading.Lock()

    @safely
    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Record a trial that has ended."""
        self._of(study).record(trial)

    def run(self, trial: Trial) -> ActiveRun:
        """The run of a trial that is under way, for an objective to log more to; the callback ends it.

        Raises:
            Unrecorded: no run can be begun.
        """
        return self._of(trial.study).run(trial.number, trial.datetime_start)

    def finish(self, state: RunState = "finished") -> None:
        """End a run of its own, after recording trials that have failed and that Optuna has not told of."""
        if self._study is not None:
            self._study.told = state
        self._recording.leave()
        self._study = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish("finished" if kind is None else "killed" if issubclass(kind, KeyboardInterrupt) else "failed")

    def _of(self, study: optuna.Study) -> _Study:
        with self._lock:
            known = self._study
            if known is None or known.study.study_name != study.study_name:
                made = _Study(study)
                known = made
                if self._experiment is None:
                    known.above = self._recording.begin(made.part)
                else:
                    known.above = self._recording.begin(made.part, made=made.begin(self._experiment))
                known.describe()
                self._study = known
            return known


class _Study:
    """What is recorded of one study; it knows nothing of the callback, which goes before it."""

    above: ActiveRun

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.told: RunState | None = None
        self._began = datetime.now()  # noqa: DTZ005 - as Optuna's own times are
        self._runs: dict[int, ActiveRun] = {}
        self._done: set[int] = set()
        self._lock = threading.Lock()

    def begin(self, experiment: str) -> ActiveRun:
        """The study's own run, which has the same id in every process and whenever the study is taken up again.

        The first trial has begun before any trial ends, and when it has does not change.
        """
        first = self.study.get_trials(deepcopy=False)[0].datetime_start
        assert first is not None
        self._began = min(self._began, first) if len(self.study.get_trials(deepcopy=False)) == 1 else self._began
        run = _derived(first, self.study.study_name)
        made = ActiveRun(fluent.session, Plan(experiment=experiment, name=self.study.study_name[:250], id=run))
        _ = made.id
        fluent.session().command(BeginAttempt(run=run))  # refused, as it shall be, unless the run has ended before
        return made

    def describe(self) -> None:
        """Say what the study looks for."""
        study = self.study
        directions = [direction.name.lower() for direction in study.directions]
        self.above.log_params(
            params_of(
                {
                    "study": study.study_name,
                    "direction": ",".join(directions),
                    "sampler": type(study.sampler).__name__,
                    "pruner": type(study.pruner).__name__,
                }
            )
        )

    def run(self, number: int, started: datetime | None) -> ActiveRun:
        """The run of a trial."""
        with self._lock:
            found = self._runs.get(number)
            if found is None:
                at = None if started is None else started.astimezone()
                run = _derived(started or datetime.now(), self.above.id, str(number))  # noqa: DTZ005
                found = self.above.part(f"trial-{number}", id=run, started_at=at, tags={"optuna.trial": str(number)})
                _ = found.id
                self._runs[number] = found
            return found

    def record(self, trial: FrozenTrial) -> None:
        """Record a trial that has ended."""
        run = self.run(trial.number, trial.datetime_start)
        run.log_params(params_of(trial.params))
        run.set_tags({"optuna.state": trial.state.name.lower()})
        run.set_tags({f"optuna.{name}": str(value)[:1_000] for name, value in trial.user_attrs.items()})
        for step, value in sorted(trial.intermediate_values.items()):
            run.log({"intermediate_value": value}, step=step)
        names = self.study.metric_names or (
            ["value"]
            if len(self.study.directions) == 1
            else [f"value_{at}" for at in range(len(self.study.directions))]
        )
        if trial.values is not None and trial.state is TrialState.COMPLETE:  # a pruned one's is its last intermediate
            found = dict(zip(names, trial.values, strict=True))
            run.log(found, step=0)
            if len(names) == 1:
                found[f"best_{names[0]}"] = self.study.best_value
            self.above.log(found, step=trial.number)
        run.finish("failed" if trial.state is TrialState.FAIL else "finished", wait=False)
        with self._lock:
            self._runs.pop(trial.number, None)
            self._done.add(trial.number)

    def part(self, _run: ActiveRun) -> RunState:
        """Record trials that Optuna has not told of, since their exception ended the study; how it has ended."""
        lost = [
            trial
            for trial in self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
            if trial.number not in self._done and trial.datetime_start is not None
            and (trial.datetime_start >= self._began or trial.number in self._runs)
        ]  # fmt: skip
        for trial in lost:
            self.record(trial)
        for run in self._runs.values():  # of trials that have not ended at all
            run.finish("failed", wait=False)
        if self.told is not None:
            return self.told
        if isinstance(sys.exc_info()[1] or getattr(sys, "last_value", None), KeyboardInterrupt):
            return "killed"
        mine = isinstance(self.study._storage, InMemoryStorage)  # noqa: SLF001 - otherwise it may be another process's
        return "failed" if lost and mine else "finished"


def _derived(moment: datetime, *words: str) -> str:
    """An id that every process derives alike, ordered by a time like other ids."""
    digest = hashlib.sha256("\x00".join((moment.isoformat(), *words)).encode()).digest()
    millis = int(moment.replace(tzinfo=UTC).timestamp() * 1_000)
    tail = int.from_bytes(digest[:10], "big") & ~(0xF << 76) & ~(0x3 << 62)
    return f"{(millis << 80) | tail | (7 << 76) | (2 << 62):032x}"

"""PyTorch Lightning: a logger of its trainer. It serves the packages ``lightning`` and ``pytorch_lightning``."""

from __future__ import annotations

import itertools
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from muniment import fluent
from muniment.integrations.recording import complain, missing, params_of, safely
from muniment.model.ids import new_id, parse_id
from muniment.model.run import RunState
from muniment.recorder import ActiveRun, Plan

try:
    if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
        from lightning_fabric.loggers.logger import _DummyExperiment as Dummy
        from pytorch_lightning.loggers import Logger
        from pytorch_lightning.utilities import rank_zero_only
    else:
        from lightning.fabric.loggers.logger import _DummyExperiment as Dummy
        from lightning.pytorch.loggers import Logger
        from lightning.pytorch.utilities import rank_zero_only
except ImportError as error:
    raise missing("lightning", error) from None

RUNS = "MUNIMENT_LIGHTNING_RUNS"
"""The variable by which the first rank tells the processes that it starts which runs its loggers have."""
RANK_SECONDS = 30.0
"""How long another rank waits to be told the run, and the first one until the store has it."""
_numbers = itertools.count()
"""Each logger of a process has one, which is the same on every rank."""


class MunimentLogger(Logger):
    """Records what a trainer logs: hyperparameters, metrics, how it has ended and, if asked, its checkpoints.

    The first rank begins the run; `experiment` is the same run on every rank. It ends when the trainer is done:
    what is logged later, as by ``trainer.test``, is still kept; a training that has failed and is taken up again with
    this logger is the run's next attempt.

    Args:
        run: the name of an experiment to begin a run of, or a run, which is not ended then.
        name: of a run of its own.
        save_dir: where Lightning keeps its files; its ``default_root_dir`` if left out.
        checkpoints: keep those that are there at the end as artifacts (True), or each as soon as it is saved.
        resume: id of a run to go on with.
        tags: of a run of its own.
    """

    def __init__(
        self,
        run: ActiveRun | str,
        name: str | None = None,
        *,
        save_dir: str | os.PathLike[str] | None = None,
        checkpoints: bool | Literal["all"] = False,
        resume: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._experiment = run if isinstance(run, str) else None
        self._run_name, self._tags = name, dict(tags or {})
        self._save_dir = None if save_dir is None else os.fspath(save_dir)
        self._checkpoints = checkpoints
        self._saved: Any = None
        self._resume = None if resume is None else parse_id(resume, field="resume")
        self._given: ActiveRun | None = None if isinstance(run, str) else run
        self._run: ActiveRun | None = None
        self._state: RunState | None = None
        self._number = next(_numbers)
        self._id = self._given.id if self._given is not None else self._resume or _agreed(self._number)

    @property
    def name(self) -> str:
        """The name of the experiment; of the run, if that was given."""
        if self._experiment is not None:
            return self._experiment
        return (self._given.name if self._given is not None else "") or "muniment"

    @property
    def version(self) -> str:
        """The run's id; empty on a rank that does not know it yet."""
        return self._id or ""

    @property
    def save_dir(self) -> str | None:
        """Where Lightning keeps its files."""
        return self._save_dir

    @property
    def experiment(self) -> ActiveRun:
        """The run. If it could not be begun, something that takes every call and does nothing."""
        if self._run is None:
            try:
                self._run = self._begin() if rank_zero_only.rank == 0 else self._attach()
            except Exception as error:  # noqa: BLE001 - a training must not end because of its records
                complain("a run", error)
                self._run = Dummy()
        elif self._state in {"failed", "killed"}:
            again = self._begin(self._run.id)
            self._run, self._state = again, None
        return self._run

    def _begin(self, resume: str | None = None) -> ActiveRun:
        if self._experiment is None:
            assert self._given is not None
            run = self._given
        else:
            resume = resume or self._resume
            plan = Plan(
                experiment=self._experiment, name=self._run_name, tags=self._tags, resume=resume,
                id=None if resume else self._id,
            )  # fmt: skip
            run = ActiveRun(fluent.session, plan)
        self._id = run.id
        group = _group()
        if group is not None:
            run.wait(RANK_SECONDS)  # what others log to it comes to the store by ways of its own
            group.set(f"muniment/{self._number}", run.id)
        return run

    def _attach(self) -> ActiveRun:
        group = _group()
        if group is not None and self._given is None:
            key = f"muniment/{self._number}"
            group.wait([key], timedelta(seconds=RANK_SECONDS))
            self._id = group.get(key).decode()
        if self._id is None:
            return Dummy()  # type: ignore[no-any-return]
        return fluent.attach(self._id)

    @rank_zero_only
    @safely
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_args: Any, **_kwargs: Any) -> None:
        """Log hyperparameters as params; what is nested as ``outer.inner``."""
        self.experiment.log_params(params_of(vars(params) if isinstance(params, Namespace) else params))

    @rank_zero_only
    @safely
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics."""
        self.experiment.log({name: float(value) for name, value in metrics.items()}, step=step)

    @rank_zero_only
    @safely
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Keep a checkpoint, or remember where they are."""
        if not self._checkpoints:
            return
        self._saved = checkpoint_callback
        if self._checkpoints == "all":
            self._keep(checkpoint_callback._last_checkpoint_saved)  # noqa: SLF001 - no public name has it

    def _keep(self, path: str) -> None:
        found = Path(path)
        if found.exists():
            self.experiment.log_artifact(found, f"checkpoints/{found.name}")

    @rank_zero_only
    @safely
    def save(self) -> None:
        """Bring what was logged to the disk itself."""
        if self._run is not None:
            self._run.flush()

    @rank_zero_only
    @safely
    def finalize(self, status: str) -> None:
        """End a run of its own, as the trainer says it has ended."""
        run = self._run
        if run is None or isinstance(run, Dummy):
            return
        if self._saved is not None and self._checkpoints is True:
            last = getattr(self._saved, "last_model_path", "")
            for path in sorted({*getattr(self._saved, "best_k_models", {}), self._saved.best_model_path, last} - {""}):
                self._keep(path)
            self._saved = None
        if self._experiment is not None and self._state is None:
            interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
            self._state = "finished" if status != "failed" else "killed" if interrupted else "failed"
            run.finish(self._state)

    def __getstate__(self) -> dict[str, Any]:
        """For a process that the trainer starts: it knows which run it is, and opens it itself."""
        given = None if self._given is None else self._given.id
        used = fluent.session()
        return self.__dict__ | {"_run": None, "_saved": None, "_given": given, "_store": (used.url, used.project)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if fluent.session_or_none() is None:
            fluent.connect(*state["_store"])
        if state["_given"] is not None:
            self._given = fluent.attach(state["_given"])


def _agreed(number: int) -> str | None:
    """The id of the run to be: made by the first rank, told to the processes that it starts.

    It is told with the number of the process, since others that are started later inherit the variable too.
    """
    teller, _, runs = os.environ.get(RUNS, "").partition(":")
    told = runs.split(",")
    if rank_zero_only.rank != 0:
        return told[number] if teller == str(os.getppid()) and number < len(told) and told[number] else None
    made = new_id()
    mine = told[:number] if teller == str(os.getpid()) else []
    os.environ[RUNS] = f"{os.getpid()}:{','.join([*mine, *[''] * (number - len(mine)), made])}"
    return made


def _group() -> Any:
    """The store that the ranks share, if they are connected."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed.distributed_c10d._get_default_store()  # noqa: SLF001 - a broadcast would need every rank

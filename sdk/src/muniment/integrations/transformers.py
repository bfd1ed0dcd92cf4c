"""Hugging Face Transformers: a callback of its `Trainer`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muniment import fluent
from muniment.integrations.recording import Finishing, Recording, missing, params_of, safely
from muniment.recorder import ActiveRun

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise missing("transformers", error) from None

NOTE = "muniment.json"
"""The file in a checkpoint that says which run it is of."""


class MunimentCallback(Finishing, TrainerCallback):
    """Records the training arguments, the model's configuration (``model.…``) and everything that is logged.

    Only the first process of all records. A training that goes on from a checkpoint, goes on with the run that the
    checkpoint is of, as its next attempt; for that, checkpoints have a file ``muniment.json``.

    Args:
        run: the run, or the name of an experiment to begin a run of, which ends with the training.
        checkpoints: whether to keep checkpoints as artifacts.
        params: further params to record, such as those of the data.
        name: of runs of its own; the ``run_name`` of the arguments if left out.
    """

    def __init__(
        self,
        run: ActiveRun | str,
        *,
        checkpoints: bool = False,
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        self._recording = Recording(run, name)
        self._checkpoints = checkpoints
        self._further = dict(params or {})
        self._run: ActiveRun | None = None

    @safely
    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Begin the run, with its params."""
        if not state.is_world_process_zero:
            return
        resume = _run_of(args, state.global_step) if self._recording.owned and state.global_step else None
        run = self._run = self._recording.begin(resume=resume)
        found = params_of({name: value for name, value in args.to_dict().items() if value is not None})
        config = getattr(model, "config", None)
        if config is not None:
            settings = config.to_dict() if hasattr(config, "to_dict") else dict(config)
            found |= params_of({name: value for name, value in settings.items() if value is not None}, "model.")
        if getattr(state, "trial_params", None):
            found |= params_of(state.trial_params, "trial.")
        run.log_params(found | params_of(self._further))

    @safely
    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Log everything that is a number, at the trainer's step; also what comes after the training."""
        if state.is_world_process_zero and self._run is not None and logs:
            found = {name: value for name, value in logs.items() if isinstance(value, (int, float))}
            self._run.log(found, step=state.global_step)

    @safely
    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Note in a checkpoint which run it is of, and keep it if asked."""
        if not state.is_world_process_zero or self._run is None:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if folder.is_dir():
            used = fluent.session()
            note = {"store": used.url, "project": used.project, "run": self._run.id}
            (folder / NOTE).write_text(json.dumps(note) + "\n", "utf-8")
            if self._checkpoints:
                self._run.log_artifact(folder, f"checkpoints/{folder.name}")

    @safely
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Record the best checkpoint, and end a run of its own."""
        if not state.is_world_process_zero or self._run is None:
            return
        if state.best_metric is not None:
            self._run.log({"best_metric": state.best_metric}, step=state.global_step)
        if state.best_model_checkpoint is not None:
            self._run.set_tags({"best_checkpoint": Path(state.best_model_checkpoint).name})
        self._recording.end()


def _run_of(args: Any, step: int) -> str | None:
    """The run that the checkpoint is of from which a training goes on, if it is in the store that is in use."""
    used = fluent.session()
    given = args.resume_from_checkpoint
    for folder in ([Path(given)] if isinstance(given, str) else []) + [Path(args.output_dir) / f"checkpoint-{step}"]:
        try:
            note = json.loads((folder / NOTE).read_text("utf-8"))
            if (note["store"], note["project"]) == (used.url, used.project):
                return str(note["run"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None

"""Keras: a callback that records a training, with any backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muniment.integrations.recording import Finishing, Recording, missing, params_of, safely
from muniment.recorder import ActiveRun

try:
    import keras
except ImportError as error:
    raise missing("keras", error) from None

SUMMARY = "model/summary.txt"
"""Under which path a run has the layers of its model."""


class MunimentCallback(Finishing, keras.callbacks.Callback):
    """Records the optimizer's params, metrics of each epoch (and batch), and the model's summary.

    Metrics of an epoch are called as Keras calls them (``loss``, ``val_loss``), with the epoch, from 0, as the step.
    Those of a batch are called ``batch_…``, with the number of updates of the weights as the step.

    Args:
        run: the run, or the name of an experiment to begin a run of, which ends with the training.
        params: further params to record, such as those of the data.
        batches: record the metrics of every so many batches; 0 for none.
        name: of runs of its own.
    """

    def __init__(
        self,
        run: ActiveRun | str,
        *,
        params: Mapping[str, Any] | None = None,
        batches: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self._recording = Recording(run, name)
        self._further = dict(params or {})
        self._batches = batches
        self._updates = 0

    @safely
    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras calls it by name
        """Begin the run, with its params and the model's summary."""
        model, run = self.model, self._recording.begin()
        optimizer = model.optimizer
        self._updates = 0 if optimizer is None else int(optimizer.iterations)
        found: dict[str, Any] = {
            name: self.params[name] for name in ("epochs", "steps") if self.params.get(name) is not None
        }
        found |= {"model": model.name, "model_params": model.count_params()}
        if optimizer is not None:
            found["optimizer"] = {"class": type(optimizer).__name__, **optimizer.get_config()}
        found["loss"] = _name(model.loss)
        run.log_params(params_of(found) | params_of(self._further))
        lines: list[str] = []
        model.summary(print_fn=lambda line, **_: lines.append(line), line_length=100)
        run.log_artifact("\n".join([*lines, ""]).encode(), SUMMARY)

    @safely
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Log the metrics of the epoch so far."""
        self._updates += 1
        if self._batches and logs and self._updates % self._batches == 0:
            named = {f"batch_{name}": float(value) for name, value in logs.items()}
            self._recording.run.log(named, step=self._updates - 1)

    @safely
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log the metrics of the epoch."""
        if logs:
            self._recording.run.log({name: float(value) for name, value in logs.items()}, step=epoch)

    @safely
    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """End a run of its own."""
        self._recording.end()


def _name(loss: Any) -> str:
    """What a loss is called: it may be a text, a function or an object."""
    return loss if isinstance(loss, str) else str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))

"""A trainer's work with Lightning's own logger for MLflow. Prints, as JSON, what MLflow's client reads back."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from mlflow import MlflowClient
from torch.utils.data import DataLoader, TensorDataset

client = MlflowClient()
EPOCHS = 3
Seen = dict[str, list[tuple[int, float]]]


class Line(pl.LightningModule):
    """A line through points; it keeps what it logs, to compare.

    Args:
        lr: learning rate.
        optimizer: a nested hyperparameter.
        note: a long one.
        fails_at: the step at which it raises; none if it is negative.
    """

    def __init__(
        self,
        lr: float,  # noqa: ARG002 - Lightning takes hyperparameters from the frame
        optimizer: dict[str, Any],  # noqa: ARG002
        note: str,  # noqa: ARG002
        fails_at: int = -1,
    ) -> None:
        super().__init__()
        self.save_hyperparameters("lr", "optimizer", "note")
        self.layer, self.fails_at = torch.nn.Linear(1, 1), fails_at
        self.seen: Seen = {}

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        if self.global_step == self.fails_at:
            raise RuntimeError("stop")
        return self._logged("loss", batch)

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self._logged("val/loss", batch)

    def test_step(self, batch: list[torch.Tensor], _: int) -> None:  # noqa: PT019 - no test of pytest's
        self._logged("test loss", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.hparams["lr"])

    def _logged(self, name: str, batch: list[torch.Tensor]) -> torch.Tensor:
        loss = ((self.layer(batch[0]) - batch[1]) ** 2).mean()
        self.log(name, loss)
        if not self.trainer.sanity_checking:
            # Lightning numbers a validation by the last step that was taken, a test by how many were
            at = self.global_step if name != "val/loss" else self.global_step - 1
            self.seen.setdefault(name, []).append((at, float(loss.detach())))
        return loss


def loader(size: int) -> DataLoader[Any]:
    """Batches of four rows."""
    x = torch.linspace(0, 1, size)[:, None]
    return DataLoader(TensorDataset(x, 2 * x + 1), batch_size=4)


def trainer(logger: MLFlowLogger, **more: Any) -> pl.Trainer:
    """One that says nothing and logs every step."""
    return pl.Trainer(
        logger=logger, max_epochs=EPOCHS, accelerator="cpu", log_every_n_steps=1, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=Path.cwd(), **more,
    )  # fmt: skip


def line(**more: Any) -> Line:
    """The same line each time."""
    torch.manual_seed(1)
    return Line(0.1, {"name": "sgd", "betas": (0.9, 0.99)}, "ü" * 300, **more)


def read(run: str) -> dict[str, Any]:
    """What MLflow's client tells of a run."""
    found = client.get_run(run)
    return {
        "run": run, "name": found.info.run_name, "status": found.info.status, "params": found.data.params,
        "tags": {key: value for key, value in found.data.tags.items() if not key.startswith("mlflow.")},
        "experiment": client.get_experiment(found.info.experiment_id).name, "last": found.data.metrics,
        "series": {
            key: [(point.step, point.value) for point in client.get_metric_history(run, key)]
            for key in found.data.metrics
        },
        "files": files(run),
    }  # fmt: skip


def files(run: str, below: str | None = None) -> list[str]:
    """The paths of all files of a run."""
    found = client.list_artifacts(run, below)
    return sorted(path for one in found for path in (files(run, one.path) if one.is_dir else [one.path]))


def trained() -> dict[str, Any]:
    """A training with checkpoints, and the best of them as it comes back."""
    keeping = ModelCheckpoint(monitor="val/loss", filename="{epoch}-{step}", save_top_k=2, save_last=True)
    logger = MLFlowLogger("lines", run_name="first", tags={"team": "risk"}, log_model=True)
    model = line()
    work = trainer(logger, callbacks=[keeping])
    work.fit(model, loader(16), loader(4))
    work.test(model, loader(4), verbose=False)
    run, best = str(logger.run_id), Path(keeping.best_model_path)
    content = Path(client.download_artifacts(run, f"{best.stem}/{best.name}", str(Path.cwd()))).read_bytes()
    about = yaml.safe_load(
        Path(client.download_artifacts(run, f"{best.stem}/metadata.yaml", str(Path.cwd()))).read_text("utf-8")
    )
    weights = torch.load(io.BytesIO(content), weights_only=False)["state_dict"]
    return {
        **read(run), "seen": model.seen, "best": best.stem, "same": content == best.read_bytes(),
        "digest": hashlib.sha256(content).hexdigest(),
        "score": about["score"] == float(keeping.best_model_score), "weights": sorted(weights),
    }  # fmt: skip


def resumed(first: str) -> dict[str, Any]:
    """The same run, gone on with: a logger that is given its id, and every checkpoint as it is made."""
    keeping = ModelCheckpoint(filename="again-{epoch}", save_top_k=-1)
    logger = MLFlowLogger("lines", run_id=first, prefix="again", log_model="all")
    model = line()
    trainer(logger, callbacks=[keeping]).fit(model, loader(16))
    return {**read(first), "seen": model.seen}


def failed() -> dict[str, Any]:
    """A training that raises."""
    logger = MLFlowLogger("lines", run_name="second")
    model = line(fails_at=2)
    try:
        trainer(logger, enable_checkpointing=False).fit(model, loader(16))
    except RuntimeError:
        return {**read(str(logger.run_id)), "seen": model.seen}
    raise AssertionError("it did not fail")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Lightning's advice on workers
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    one = trained()
    json.dump({"trained": one, "resumed": resumed(one["run"]), "failed": failed()}, sys.stdout)

"""Lightning's logger: what is in the store after a trainer's work."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import muniment
from muniment.model.run import RunData
from muniment.spool import layout
from muniment.spool.delivery import deliver

pytestmark = pytest.mark.heavy

Only = Callable[[], RunData]
Series = Callable[[RunData, str], dict[int, float]]

MODULE = """
import lightning.pytorch as pl, torch
from muniment.integrations.lightning import MunimentLogger

class Line(pl.LightningModule):
    def __init__(self, lr=0.1, fails_at=-1, error=RuntimeError, optimizer={"betas": (0.9, 0.99)}):
        super().__init__()
        self.save_hyperparameters("lr", "optimizer")
        self.layer, self.fails_at, self.error, self.lr = torch.nn.Linear(1, 1), fails_at, error, lr
    def training_step(self, batch, index):
        if self.global_step == self.fails_at:
            raise self.error("stop")
        loss = (self.layer(batch[0]) ** 2).mean()
        self.log("loss", loss)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", (self.layer(batch[0]) ** 2).mean())
    def test_step(self, batch, index):
        self.log("test_loss", (self.layer(batch[0]) ** 2).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)

def loader():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 1)), batch_size=2)

def trainer(logger, folder, **more):
    options = dict(max_epochs=2, accelerator="cpu", log_every_n_steps=1, enable_progress_bar=False,
                   enable_model_summary=False, default_root_dir=folder, enable_checkpointing=False)
    return pl.Trainer(logger=logger, **{**options, **more})
"""


@pytest.fixture
def made() -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and versions
        exec(MODULE, found)
        yield found


def test_what_a_trainer_logs(made: dict[str, Any], only: Only, series: Series, tmp_path: Path) -> None:
    logger = made["MunimentLogger"]("churn", "first", tags={"team": "risk"})
    trainer = made["trainer"](logger, tmp_path)
    model = made["Line"](lr=0.2)
    trainer.fit(model, made["loader"](), made["loader"]())
    found = only()
    assert (found.run.name, found.run.state, found.tags) == ("first", "finished", {"team": "risk"})
    assert found.params["lr"] == "0.2"
    assert found.params["optimizer.betas"] == "(0.9, 0.99)"
    assert sorted(series(found, "loss")) == list(range(8))
    assert sorted(series(found, "val_loss")) == [3, 7]
    assert series(found, "val_loss")[7] == pytest.approx(float(trainer.callback_metrics["val_loss"]))
    assert (logger.name, logger.version, logger.experiment.id) == ("churn", found.run.id, found.run.id)
    trainer.test(model, made["loader"](), verbose=False)
    assert "test_loss" in only().metrics
    assert only().run.state == "finished"


@pytest.mark.parametrize(("error", "state"), [(RuntimeError, "failed"), (KeyboardInterrupt, "killed")])
def test_an_exception_shows_in_the_state_and_a_second_try_is_an_attempt(
    made: dict[str, Any], only: Only, tmp_path: Path, error: type[BaseException], state: str
) -> None:
    logger = made["MunimentLogger"]("e")
    with pytest.raises((error, SystemExit)):
        made["trainer"](logger, tmp_path).fit(made["Line"](fails_at=3, error=error), made["loader"]())
    assert only().run.state == state
    assert only().metrics["loss"].last_step == 2
    made["trainer"](logger, tmp_path).fit(made["Line"](), made["loader"]())
    assert (only().run.state, only().run.attempt) == ("finished", 2)


def test_resume_goes_on_with_a_run(made: dict[str, Any], only: Only, tmp_path: Path) -> None:
    checkpoint = tmp_path / "last.ckpt"
    first = made["MunimentLogger"]("e")
    trainer = made["trainer"](first, tmp_path, enable_checkpointing=True)
    trainer.fit(made["Line"](), made["loader"]())
    trainer.save_checkpoint(checkpoint)
    again = made["MunimentLogger"]("e", resume=first.version)
    made["trainer"](again, tmp_path, max_epochs=3).fit(
        made["Line"](lr=0.3), made["loader"](), ckpt_path=checkpoint, weights_only=False
    )
    found = only()
    assert (found.run.state, found.run.attempt) == ("finished", 2)
    assert found.metrics["loss"].count == 12
    assert found.params["lr"] == "0.1"


def test_a_given_run_is_not_ended(made: dict[str, Any], only: Only, tmp_path: Path) -> None:
    with muniment.start_run("e") as run:
        made["trainer"](made["MunimentLogger"](run), tmp_path).fit(made["Line"](), made["loader"]())
        assert run.record().run.state == "running"
    assert only().metrics["loss"].count == 8


@pytest.mark.parametrize("which", [True, "all"])
def test_checkpoints_are_kept_when_asked(made: dict[str, Any], only: Only, tmp_path: Path, which: Any) -> None:
    keeping = made["pl"].callbacks.ModelCheckpoint(monitor="val_loss", save_top_k=1, save_last=True)
    logger = made["MunimentLogger"]("e", save_dir=tmp_path, checkpoints=which)
    trainer = made["trainer"](logger, tmp_path, enable_checkpointing=True, callbacks=[keeping])
    trainer.fit(made["Line"](), made["loader"](), made["loader"]())
    paths = {item.path for item in muniment.connection().artifacts(only().run.id)}
    assert f"checkpoints/{Path(keeping.best_model_path).name}" in paths
    assert "checkpoints/last.ckpt" in paths
    assert Path(keeping.best_model_path).is_relative_to(tmp_path / "e" / only().run.id)


def test_records_that_cannot_be_made_are_no_matter(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    muniment.disconnect()
    monkeypatch.setenv("MUNIMENT_URL", "ftp://nowhere")
    trainer = made["trainer"](made["MunimentLogger"]("e"), tmp_path)
    trainer.fit(made["Line"](), made["loader"]())
    assert trainer.global_step == 8


def test_a_logger_travels_to_another_process_as_the_same_run(made: dict[str, Any], store: str) -> None:
    logger = made["MunimentLogger"]("e")
    there = pickle.loads(pickle.dumps(logger))
    assert there.version == logger.version
    assert there.experiment.id == logger.version
    there.finalize("success")
    assert store


DISTRIBUTED = (
    MODULE
    + """
if __name__ == "__main__":
    import warnings, sys
    warnings.simplefilter("ignore")
    logger = MunimentLogger("e")
    work = trainer(logger, ".", strategy="ddp", devices=2, use_distributed_sampler=False)
    class Told(pl.Callback):
        def on_train_start(self, trainer, module):
            trainer.logger.experiment.log({f"rank_{trainer.global_rank}": 1.0}, step=0)
            assert trainer.logger.version == trainer.logger.experiment.id
        def on_train_end(self, trainer, module):
            trainer.logger.experiment.wait()
    work.callbacks.append(Told())
    work.fit(Line(), loader())
"""
)


def synced() -> None:
    """What `muniment sync` does: a rank may end before the store has taken what it logged."""
    left = deliver(layout.root(), lambda _done, _total: None)
    assert not left.failures


def test_the_first_rank_begins_the_run_and_the_others_attach(
    program: Callable[..., Any], only: Only, series: Series
) -> None:
    found = program(DISTRIBUTED)
    assert found.returncode == 0, found.stderr[-3_000:]
    synced()
    run = only()
    assert run.run.state == "finished"
    assert sorted(series(run, "loss")) == list(range(8))
    assert run.metrics["rank_0"].count == 1
    assert run.metrics["rank_1"].count == 1


def test_ranks_that_were_not_started_by_the_first_are_told_by_the_group(
    program: Callable[..., Any], only: Only
) -> None:
    starting = """
import os, socket, subprocess, sys
if "RANK" not in os.environ:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
              "TORCHELASTIC_RUN_ID": "x"}
    ranks = [subprocess.Popen([sys.executable, __file__], env={**common, "RANK": str(r), "LOCAL_RANK": str(r)})
             for r in range(2)]
    sys.exit(max(rank.wait() for rank in ranks))
"""
    found = program(starting + DISTRIBUTED, MUNIMENT_LIGHTNING_RUNS=f"{os.getpid()}:{'0' * 32}")  # of another training
    assert found.returncode == 0, found.stderr[-3_000:]
    synced()
    assert only().metrics["rank_1"].count == 1
    assert only().run.state == "finished"

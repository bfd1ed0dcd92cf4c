"""The callback of Hugging Face's trainer: what is in the store after a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import muniment
from muniment.model.run import RunData

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]

Only = Callable[[], RunData]
Series = Callable[[RunData, str], dict[int, float]]


def callback(*args: Any, **kwargs: Any) -> Any:
    from muniment.integrations.transformers import MunimentCallback

    return MunimentCallback(*args, **kwargs)


def trainer(folder: Path, *callbacks: Any, **options: Any) -> Any:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

    set_seed(0)
    config = BertConfig(vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    data = [{"input_ids": torch.tensor([n % 16, 1, 2]), "labels": torch.tensor(n % 2)} for n in range(16)]
    given = {
        "output_dir": str(folder), "num_train_epochs": 2, "per_device_train_batch_size": 4, "logging_steps": 1,
        "report_to": "none", "use_cpu": True, "disable_tqdm": True, "save_strategy": "no", **options,
    }  # fmt: skip
    return Trainer(
        BertForSequenceClassification(config), TrainingArguments(**given), train_dataset=data, eval_dataset=data,
        callbacks=list(callbacks),
    )  # fmt: skip


class Failing:
    def __new__(cls, step: int) -> Any:
        from transformers import TrainerCallback

        class Fails(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
                if state.global_step == step:
                    raise RuntimeError("out of memory")

        return Fails()


def test_arguments_configuration_and_what_is_logged(only: Only, series: Series, tmp_path: Path) -> None:
    work = trainer(
        tmp_path, callback("churn", params={"data": "v3"}, name="first"), eval_strategy="epoch", hub_token="hf_secret",
        learning_rate=0.01,
    )  # fmt: skip
    work.train()
    found = only()
    assert (found.run.state, found.run.name) == ("finished", "first")
    logged = {entry["step"]: entry["loss"] for entry in work.state.log_history if "loss" in entry}
    assert series(found, "loss") == logged
    assert sorted(logged) == list(range(1, 9))
    assert sorted(series(found, "eval_loss")) == [4, 8]
    assert found.metrics["epoch"].last == 2
    assert found.metrics["train_runtime"].count == 1
    assert found.params["learning_rate"] == "0.01"
    assert found.params["model.hidden_size"] == "8"
    assert found.params["data"] == "v3"
    assert "hf_secret" not in json.dumps(found.params)
    work.evaluate(metric_key_prefix="last")
    assert only().metrics["last_loss"].count == 1


def test_a_training_that_fails_goes_on_from_its_checkpoint_as_the_same_run(only: Only, tmp_path: Path) -> None:
    keeping = {"save_strategy": "steps", "save_steps": 3}
    with pytest.raises(RuntimeError, match="out of memory"), callback("e", checkpoints=True) as recorded:
        trainer(tmp_path, recorded, Failing(5), **keeping).train()
    first = only()
    assert first.run.state == "failed"
    paths = {item.path for item in muniment.connection().artifacts(first.run.id)}
    assert "checkpoints/checkpoint-3/trainer_state.json" in paths
    trainer(tmp_path, callback("e"), **keeping, learning_rate=0.02).train(resume_from_checkpoint=True)
    found = only()
    assert (found.run.state, found.run.attempt) == ("finished", 2)
    assert found.params["learning_rate"] == first.params["learning_rate"]
    steps = [step for step, _, _ in muniment.history(found.run.id, "loss")]
    assert sorted(set(steps)) == list(range(1, 9))


def test_early_stopping_is_an_end_and_the_best_is_told(only: Only, tmp_path: Path) -> None:
    from transformers import EarlyStoppingCallback

    work = trainer(
        tmp_path, EarlyStoppingCallback(1, 100.0), callback("e"), num_train_epochs=9, eval_strategy="epoch",
        save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="loss", greater_is_better=False,
    )  # fmt: skip
    work.train()
    found = only()
    assert found.run.state == "finished"
    assert work.state.epoch < 9
    assert found.metrics["best_metric"].last == work.state.best_metric
    assert found.tags["best_checkpoint"] == Path(work.state.best_model_checkpoint).name


def test_a_given_run_is_not_ended(only: Only, tmp_path: Path) -> None:
    with muniment.start_run("e") as run:
        trainer(tmp_path, callback(run), max_steps=2).train()
        assert run.record().run.state == "running"
    assert only().metrics["loss"].count == 2


def test_another_process_than_the_first_records_nothing(tmp_path: Path) -> None:
    recorded = callback("e")
    work = trainer(tmp_path, max_steps=1)
    work.state.is_world_process_zero = False
    for event in ("on_train_begin", "on_log", "on_save", "on_train_end"):
        getattr(recorded, event)(work.args, work.state, work.control, logs={"loss": 1.0})
    assert muniment.search() == []


def test_records_that_cannot_be_made_are_no_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    muniment.disconnect()
    monkeypatch.setenv("MUNIMENT_URL", "ftp://nowhere")
    assert trainer(tmp_path, callback("e"), max_steps=2).train().global_step == 2

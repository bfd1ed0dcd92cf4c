"""Keras's callback: what is in the store after a training."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import muniment
from muniment.model.run import RunData

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]
os.environ.setdefault("KERAS_BACKEND", "torch")

Only = Callable[[], RunData]
Series = Callable[[RunData, str], dict[int, float]]
X = np.linspace(-1, 1, 32).reshape(-1, 1)
Y = 3 * X


def model() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, name="line")])
    made.compile(keras.optimizers.Adam(0.05), loss="mse", metrics=["mae"])
    return made


def callback(*args: Any, **kwargs: Any) -> Any:
    from muniment.integrations.keras import MunimentCallback

    return MunimentCallback(*args, **kwargs)


def train(*callbacks: Any, trained: Any = None, **more: Any) -> Any:
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, "validation_split": 0.25, **more}
    return (trained or model()).fit(X, Y, callbacks=list(callbacks), **options)


def test_epochs_batches_params_and_the_summary(only: Only, series: Series, text: Callable[[RunData, str], str]) -> None:
    history = train(callback("churn", params={"data": "v3"}, batches=1, name="first")).history
    found = only()
    assert (found.run.state, found.run.name) == ("finished", "first")
    for name in ("loss", "mae", "val_loss", "val_mae"):
        assert series(found, name) == pytest.approx({at: float(value) for at, value in enumerate(history[name])})
    assert sorted(series(found, "batch_loss")) == list(range(9))
    assert found.params["optimizer.class"] == "Adam"
    assert float(found.params["optimizer.learning_rate"]) == pytest.approx(0.05)
    assert found.params["epochs"] == "3"
    assert found.params["loss"] == "mse"
    assert found.params["model_params"] == "2"
    assert found.params["data"] == "v3"
    assert "line (Dense)" in text(found, "model/summary.txt")


def test_a_training_that_goes_on_counts_on(only: Only, series: Series) -> None:
    trained = model()
    with muniment.start_run("e") as run:
        train(callback(run, batches=2), trained=trained)
        assert run.record().run.state == "running"
    with muniment.start_run("e", resume=run.id) as again:
        train(callback(again, batches=2), trained=trained, initial_epoch=3, epochs=5)
    found = only()
    assert (found.run.state, found.run.attempt) == ("finished", 2)
    assert sorted(series(found, "loss")) == [0, 1, 2, 3, 4]
    assert sorted(series(found, "batch_loss")) == [1, 3, 5, 7, 9, 11, 13]
    assert found.params["epochs"] == "3"


def test_early_stopping_is_an_end(only: Only) -> None:
    import keras

    stopping = keras.callbacks.EarlyStopping("loss", min_delta=100, patience=1)
    train(callback("e"), stopping, epochs=50)
    assert only().run.state == "finished"
    assert only().metrics["loss"].count == 2


def test_an_exception_is_the_trainings_own_and_fails_the_run(only: Only) -> None:
    import keras

    def fail(epoch: int, logs: Any) -> None:  # noqa: ARG001
        if epoch == 1:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"), callback("e") as recorded:
        train(recorded, keras.callbacks.LambdaCallback(on_epoch_end=fail))
    assert only().run.state == "failed"
    assert only().metrics["loss"].count == 2


def test_records_that_cannot_be_made_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    muniment.disconnect()
    monkeypatch.setenv("MUNIMENT_URL", "ftp://nowhere")
    assert len(train(callback("e")).epoch) == 3

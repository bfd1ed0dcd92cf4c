"""What all callbacks have in common: where they record, and that a training does not notice."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import muniment
from muniment.integrations import recording
from muniment.integrations.recording import Recording, Unrecorded, params_of, safely, table
from muniment.model.run import RunData

Only = Callable[[], RunData]


class Callback:
    def __init__(self, run: Any) -> None:
        self.recording = Recording(run)

    @safely
    def fails(self) -> None:
        raise ValueError("no such thing")


def test_a_given_run_is_never_ended(only: Only) -> None:
    with muniment.start_run("e") as run:
        recorded = Recording(run)
        assert recorded.begin() is run
        recorded.end("failed")
        assert run.record().run.state == "running"
    assert only().run.state == "finished"


@pytest.mark.parametrize("state", ["finished", "failed", "killed"])
def test_a_run_of_its_own_ends_as_told(only: Only, state: Any) -> None:
    recorded = Recording("e", "named")
    recorded.begin()
    recorded.end(state)
    assert (only().run.state, only().run.name) == (state, "named")


def test_each_training_has_a_run_of_its_own() -> None:
    recorded = Recording("e")
    recorded.begin()
    recorded.begin()  # the first one has never been ended
    recorded.end()
    assert [found.run.state for found in muniment.search(order_by="id")] == ["failed", "finished"]


def test_who_lets_go_of_a_training_has_failed(only: Only) -> None:
    recorded = Recording("e")
    recorded.begin()
    del recorded
    gc.collect()
    assert only().run.state == "failed"


def test_at_the_end_of_the_program_a_training_has_failed_that_did_not_end(program: Callable[..., Any]) -> None:
    found = program(
        "from muniment.integrations.recording import Recording\n"
        "kept, ended = Recording('e', 'kept'), Recording('e', 'ended')\nkept.begin()\nended.begin()\nended.end()\n"
    )
    assert found.returncode == 0, found.stderr
    states = {data.run.name: data.run.state for data in muniment.search()}
    assert states == {"kept": "failed", "ended": "finished"}


def test_an_interrupted_training_is_killed(program: Callable[..., Any], only: Only) -> None:
    program(
        "from muniment.integrations.recording import Recording\nr = Recording('e')\nr.begin()\nraise KeyboardInterrupt"
    )
    assert only().run.state == "killed"


def test_an_end_that_cannot_be_told_is_a_failure(only: Only) -> None:
    def parting(_run: Any) -> Any:
        raise ValueError("no such thing")

    recorded = Recording("e")
    recorded.begin(parting)
    recorded.leave()
    assert only().run.state == "failed"


def test_trouble_is_told_once_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    recording._told.clear()
    callback = Callback("e")
    with caplog.at_level(logging.WARNING, "muniment"):
        callback.fails()
        callback.fails()
    assert [line for line in caplog.messages if "no such thing" in line] == [
        f"muniment: {__name__}.Callback.fails records nothing here: ValueError: no such thing"
    ]


def test_a_store_that_cannot_be_opened_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recording._told.clear()
    muniment.disconnect()
    monkeypatch.setenv("MUNIMENT_URL", "ftp://nowhere")
    recorded = Recording("e")
    for _ in range(2):
        with pytest.raises(Unrecorded):
            recorded.begin()
    assert len([line for line in caplog.messages if "a run records nothing" in line]) == 1


def test_a_copy_has_runs_of_its_own_and_a_given_run_is_the_same_elsewhere() -> None:
    own = Recording("e")
    first, second = own.begin(), copy.deepcopy(own).begin()
    assert first.id != second.id
    assert pickle.loads(pickle.dumps(own)).owned
    with muniment.start_run("e") as run:
        there = pickle.loads(pickle.dumps(Recording(run)))
        assert there.run.id == run.id
        assert not there.owned


def test_params_are_flat_without_secrets_and_short() -> None:
    import numpy as np

    found = params_of(
        {"a": {"b": 1, "api_key": "9f8e7d6c5b4a"}, "n": np.float32(0.5), "none": None, "long": "x" * 2_000}
    )
    assert (found["a.b"], found["a.api_key"], found["n"], found["none"]) == (1, "***", 0.5, "None")
    assert str(found["long"]).startswith("x" * 1_000 + "…")


def test_a_table_is_csv() -> None:
    assert table({"feature": ["a", 'b"'], "gain": [1.5, 2]}) == b'feature,gain\na,1.5\n"b""",2\n'


def test_a_part_of_a_run_is_of_its_experiment() -> None:
    with muniment.start_run("e") as run:
        part = run.part("one", params={"lr": 0.1}, tags={"t": "x"})
        part.finish(wait=False)
        run.wait()
        other = muniment.attach(run.id).part("two")
        other.finish("failed")
    found = {data.run.name: data for data in muniment.search("NOT parent IS NULL")}
    assert {name: (data.run.parent, data.run.state) for name, data in found.items()} == {
        "one": (run.id, "finished"),
        "two": (run.id, "failed"),
    }
    assert len({data.run.experiment for data in muniment.search()}) == 1
    assert found["one"].params == {"lr": "0.1"}
    assert found["one"].tags == {"t": "x"}


def test_a_run_that_goes_on_keeps_what_differs_and_takes_the_rest() -> None:
    with muniment.start_run("e", params={"lr": 0.1}) as run:
        pass
    with muniment.start_run("e", resume=run.id) as again:
        again.log_params({"lr": 0.2, "epochs": 3})
    found = muniment.search()[0]
    assert found.params == {"lr": "0.1", "epochs": "3"}
    assert found.run.attempt == 2


@pytest.mark.parametrize(
    ("module", "library", "package"),
    [
        ("sklearn", "sklearn", "scikit-learn"),
        ("xgboost", "xgboost", "xgboost"),
        ("lightgbm", "lightgbm", "lightgbm"),
        ("optuna", "optuna", "optuna"),
        ("lightning", "lightning", "lightning"),
        ("transformers", "transformers", "transformers"),
        ("keras", "keras", "keras"),
    ],
)
def test_without_the_library_there_is_one_clear_line(
    program: Callable[..., Any], module: str, library: str, package: str
) -> None:
    found = program(f"import sys\nsys.modules[{library!r}] = None\nimport muniment.integrations.{module}\n")
    assert found.returncode == 1
    assert "During handling" not in found.stderr
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ModuleNotFoundError: muniment.integrations needs {package}, which cannot be imported")
    assert last.endswith(f"install it: pip install {package}")

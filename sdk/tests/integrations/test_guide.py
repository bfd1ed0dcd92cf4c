"""Every program of the guide is complete: run as it stands there, it leaves a finished run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import muniment
from muniment.integrations import __path__ as folders

GUIDE = "docs/guides/integrations.md"
PROGRAM = re.compile(r"<!-- program: (\w+) -->\n```python\n(.*?)```", re.DOTALL)
HEAVY = {"lightning", "transformers", "keras"}
METRICS = {
    "sklearn": {"valid_accuracy", "train_accuracy", "best_score"},
    "xgboost": {"valid-auc", "best_iteration"},
    "lightgbm": {"valid_0-auc", "best_iteration"},
    "optuna": {"value", "best_value"},
    "lightning": {"loss"},
    "transformers": {"loss"},
    "keras": {"loss", "val_loss", "batch_loss"},
}


def programs() -> dict[str, str]:
    from pathlib import Path

    text = (Path(__file__).resolve().parents[3] / GUIDE).read_text("utf-8")
    found = dict(PROGRAM.findall(text))
    assert len(found) == text.count("```python")
    return found


def test_every_library_has_a_program() -> None:
    from pathlib import Path

    modules = {path.stem for path in Path(folders[0]).glob("*.py")} - {"__init__", "recording"}
    assert programs().keys() == modules == METRICS.keys()


@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=[pytest.mark.heavy] if name in HEAVY else []) for name in METRICS]
)
def test_the_program_runs(library: str, program: Callable[..., Any]) -> None:
    found = program(programs()[library], KERAS_BACKEND="torch")
    assert found.returncode == 0, found.stderr[-3_000:]
    assert "muniment:" not in found.stderr
    (above,) = muniment.search("parent IS NULL")
    assert above.run.state == "finished"
    assert METRICS[library] <= above.metrics.keys()
    parts = muniment.search("NOT parent IS NULL")
    assert {part.run.state for part in parts} <= {"finished"}
    assert len(parts) == {"sklearn": 2, "optuna": 5}.get(library, 0)

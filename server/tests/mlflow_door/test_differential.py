"""Sequences of calls that nobody has thought of are answered as MLflow's server answers them.

`MUNIMENT_MLFLOW_EXAMPLES` says how many sequences of each kind are tried on each engine.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_door import sequences as made
from mlflow_door.calls import Call, Case, Player
from mlflow_door.differing import differences
from mlflow_door.recorded import settled

EXAMPLES = int(os.environ.get("MUNIMENT_MLFLOW_EXAMPLES", "12"))
LENGTH = 14

tried = settings(max_examples=EXAMPLES, derandomize="MUNIMENT_MLFLOW_EXAMPLES" not in os.environ, database=None)


def _compare(real_port: int, our_port: int, calls: tuple[Call, ...]) -> None:
    case = Case("a sequence", calls)
    with Player(real_port) as real, Player(our_port) as our:
        theirs, ours = ([settled(answer) for answer in player.play(case)] for player in (real, our))
    found = list(differences(case, theirs, ours))
    assert not found, "\n".join(
        [*found, "after", *(f"{one.method} {one.path} {one.query} {one.body}" for one in calls)]
    )


def _some(*kinds: made.Calls) -> Any:
    return st.lists(st.one_of(*kinds), min_size=LENGTH // 2, max_size=LENGTH)


@tried
@given(calls=_some(made.EXPERIMENTS, made.RUNS, made.RUNS, made.SEARCHES))
def test_tracking(real_port: int, our_port: int, calls: list[Call]) -> None:
    _compare(real_port, our_port, (*made.SETTING, *calls, *made.LAST))


@tried
@given(calls=_some(made.REGISTRY))
def test_registry(real_port: int, our_port: int, calls: list[Call]) -> None:
    _compare(real_port, our_port, (*made.SETTING[:3], *made.REGISTERED_FIRST, *calls))


@tried
@given(calls=_some(made.MODELS))
def test_logged_models(real_port: int, our_port: int, calls: list[Call]) -> None:
    _compare(real_port, our_port, (*made.SETTING, *made.LOGGED, *calls))


@tried
@given(calls=_some(made.ARTIFACTS))
def test_artifacts(real_port: int, our_port: int, calls: list[Call]) -> None:
    _compare(real_port, our_port, (*made.SETTING, *calls))

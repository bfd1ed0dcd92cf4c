"""Which of the runs that a command begins stands for the original."""

from __future__ import annotations

from datetime import UTC, datetime

from muniment.model.ids import new_id
from muniment.model.run import Run, RunData
from muniment.reproduction.reproducing import counterpart

EXPERIMENT = new_id()


def made(name: str, seed: int = 7, experiment: str = EXPERIMENT) -> RunData:
    run = Run(id=new_id(), experiment=experiment, name=name, created_at=datetime.now(UTC), position=1)
    return RunData(run=run, params={"seed": str(seed)})


def test_the_name_tells_then_the_params() -> None:
    original = made("train")
    same, other = made("train"), made("judge")
    assert counterpart(original, [other, same]) is same
    folds = [made("fold", seed) for seed in (6, 7, 8)]
    assert counterpart(made("fold"), folds) is folds[1]
    unnamed = [made("run-1a", 6), made("run-1b", 7)]
    assert counterpart(made("run-00"), unnamed) is unnamed[1]


def test_the_only_one_is_it_whatever_it_is_called() -> None:
    only = made("another", 9, new_id())
    assert counterpart(made("train"), [only]) is only


def test_none_is_taken_where_several_could_be() -> None:
    assert counterpart(made("train"), []) is None
    assert counterpart(made("train"), [made("train"), made("train")]) is None
    assert counterpart(made("train", 1), [made("a", 2), made("b", 3)]) is None

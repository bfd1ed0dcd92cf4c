"""Seeds that can be seen, and none that were not set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.capture import seeds

SOURCES = Path(__file__).parents[2] / "src"


def test_params_that_are_seeds() -> None:
    params = {
        "seed": 1, "random_state": "2", "model.random_state": np.int64(3), "split-seed": 4, "data/seed": 5,
        "RANDOM_SEED": 6, "randomSeed": 7, "random_seed": -1, "sklearn.randomState": 8,
        "num_seed": 9, "n_seeds": 9, "seeds": 9, "seedling": 9, "reseed": 9, "max_seed": 9, "state": 9, "": 9,
        "train_seed": True, "test_seed": None, "b_seed": 1.5, "c_seed": "abc", "d_seed": 2**63,
        "e_seed": np.array([1, 2]),
    }  # fmt: skip
    found = seeds.capture(params).seeds
    assert {name: found[name] for name in params if name in found} == {
        "seed": 1, "random_state": 2, "model.random_state": 3, "split-seed": 4, "data/seed": 5, "RANDOM_SEED": 6,
        "randomSeed": 7, "random_seed": -1, "sklearn.randomState": 8,
    }  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.integers(0, 4_000))
def test_numpy_s_seed_is_found_after_it_was_used(seed: int, drawn: int) -> None:
    generator = np.random.RandomState(seed)
    generator.random_sample(drawn)
    assert seeds.mersenne_seed([int(word) for word in generator.get_state(legacy=True)[1]]) == seed


def test_what_was_not_seeded_with_a_number_is_not_found() -> None:
    for generator in (np.random.RandomState(), np.random.RandomState([1, 2, 3])):
        assert seeds.mersenne_seed([int(word) for word in generator.get_state(legacy=True)[1]]) is None
    assert seeds.mersenne_seed([]) is None


def _asked(program: str, *options: str, **variables: str) -> tuple[dict[str, int], list[str]]:
    text = f"{program}\nfrom muniment.capture import seeds\nimport json\nprint(json.dumps(seeds.capture()))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), **variables}
    made = subprocess.run(
        [sys.executable, *options, "-c", text], env=environment, capture_output=True, text=True, check=True
    )
    found, unseen = json.loads(made.stdout)
    return found, unseen


def test_numpy_is_asked_and_never_loaded() -> None:
    assert _asked("import numpy; numpy.random.seed(42); numpy.random.rand(3)")[0] == {"numpy": 42}
    found, unseen = _asked("import numpy.random")
    assert found == {}
    assert any(line.startswith("numpy: not seeded") for line in unseen)
    loaded = "import sys\nfrom muniment.capture import seeds\nseeds.capture()\n"
    loaded += "assert not {'numpy', 'torch'} & set(sys.modules)"
    assert _asked(loaded)[1] == ["random: the standard library keeps no seed"]
    assert _asked("import numpy; numpy.random.set_state(('MT19937', numpy.zeros(624, dtype='u4'), 1))")[0] == {}
    other = "import numpy as np; np.random.set_bit_generator(np.random.PCG64(3))"
    assert _asked(other)[0] == {}


def test_the_seed_of_hashes_is_that_of_the_start() -> None:
    assert _asked("", PYTHONHASHSEED="7")[0] == {"PYTHONHASHSEED": 7}
    assert _asked("", PYTHONHASHSEED="random")[0] == {}
    assert _asked("import os; os.environ['PYTHONHASHSEED'] = '0'")[0] == {}, "set too late to have an effect"
    path = f"import sys; sys.path.insert(0, {str(SOURCES)!r})"
    assert _asked(path, "-E", PYTHONHASHSEED="7")[0] == {}, "Python was told not to look"


@pytest.mark.parametrize(
    ("answer", "seed"),
    [(42, 42), (0, 0), (2**64 - 6, -5), (2**53 - 7, None), (67280421310721, None), (2**64 - 1, None)],
)
def test_torch_is_asked_if_it_is_there(monkeypatch: pytest.MonkeyPatch, answer: int, seed: int | None) -> None:
    """Torch is stood in for by the one function that is asked."""
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(initial_seed=lambda: answer))
    found = seeds.capture()
    assert found.seeds.get("torch") == seed
    assert any(line.startswith("torch: ") for line in found.unseen) == (seed is None)


def test_modules_that_break_raise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise RuntimeError("CUDA")

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(initial_seed=broken))
    monkeypatch.setitem(sys.modules, "numpy.random", types.SimpleNamespace(get_state=broken))
    monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace())
    found = seeds.capture({"seed": 1})
    assert found.seeds["seed"] == 1
    assert {"torch: cannot be asked", "numpy: cannot be asked", "jax: it does not tell"} <= set(found.unseen)

"""The contract of a position, on both engines: once from a fixed seed, once from a new one.

``MUNIMENT_CONTRACT_EXAMPLES`` and ``MUNIMENT_CONTRACT_STEPS`` say how many stores and how many steps for each, so that

    MUNIMENT_CONTRACT_EXAMPLES=500 MUNIMENT_CONTRACT_STEPS=200 python -m pytest server/tests/contract

is a long run; ``MUNIMENT_CONTRACT_SEED`` repeats a random one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from contract.driver import Clock, PostgresSite, Site, SqliteSite, small_constants
from contract.machine import Contract

EXAMPLES = int(os.environ.get("MUNIMENT_CONTRACT_EXAMPLES", "8"))
STEPS = int(os.environ.get("MUNIMENT_CONTRACT_STEPS", "70"))
SHRINK = os.environ.get("MUNIMENT_CONTRACT_SHRINK", "1") == "1"


@pytest.fixture
def site(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """Where the stores of this test are."""
    if engine_name == "sqlite":
        return SqliteSite(request.getfixturevalue("sqlite_template"), tmp_path)
    return PostgresSite(request.getfixturevalue("postgres"))


def run(
    site: Site, folder: Path, number: int, examples: int = EXAMPLES, narrowed: Callable[[Any], Any] | None = None
) -> None:
    """Drive stores of a site from a seed."""
    clock = Clock()
    whole = type(f"Contract{site.engine.title()}", (Contract,), {"site": site, "folder": folder, "clock": clock})
    machine = whole if narrowed is None else narrowed(whole)
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if SHRINK else [])]
    examples = examples if site.engine == "sqlite" else max(1, examples * 3 // 4)  # which is slower
    given = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=phases,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    with small_constants(clock), structlog.testing.capture_logs():  # injected failures would fill pages
        run_state_machine_as_test(seed(number)(machine), settings=given)


def test_a_store_keeps_the_contract(site: Site, tmp_path: Path) -> None:
    run(site, tmp_path, 20261123)


def test_a_store_keeps_the_contract_from_a_random_seed(site: Site, tmp_path: Path) -> None:
    run(site, tmp_path, random_seed())


def random_seed() -> int:
    """A new seed, or the one that is asked for."""
    number = int(os.environ.get("MUNIMENT_CONTRACT_SEED", random.SystemRandom().randrange(2**32)))
    print(f"MUNIMENT_CONTRACT_SEED={number}")  # noqa: T201 - who sees it fail can repeat it
    return number

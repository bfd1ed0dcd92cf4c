"""The contract once more, looking closer at what joins records."""

from __future__ import annotations

from pathlib import Path

from contract.driver import Site
from contract.joining import joining
from contract.test_contract import EXAMPLES, random_seed, run, site

__all__ = ["site"]  # a fixture


def test_what_joins_records_keeps_the_contract(site: Site, tmp_path: Path) -> None:
    run(site, tmp_path, random_seed(), max(1, EXAMPLES // 2), joining)

"""A spool and a server for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.stage import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A spool, and a server that is not started yet."""
    with Place(tmp_path) as made:
        yield made

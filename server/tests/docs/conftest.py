"""The demo's store, recorded once: each file asks (and writes to) a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from docs.test_readme import command, run


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the demo was recorded."""
    folder = tmp_path_factory.mktemp("demo")
    run(command("muniment demo"), f"sqlite:///{folder / 'demo.db'}")
    return folder


@pytest.fixture
def own_store(recorded: Path, tmp_path: Path) -> str:
    """The URL of a copy for one test, which may write to it."""
    folder = shutil.copytree(recorded, tmp_path / "demo")
    return f"sqlite:///{folder / 'demo.db'}"


@pytest.fixture(scope="module")
def demo_store(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a copy."""
    folder = shutil.copytree(recorded, tmp_path_factory.mktemp("copy"), dirs_exist_ok=True)
    return f"sqlite:///{folder / 'demo.db'}"

"""A program that ends without ending its runs: the store in its process still takes how they have ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import muniment


@pytest.mark.parametrize(
    ("last", "state"), [("", "finished"), ("raise ValueError", "failed"), ("raise KeyboardInterrupt", "killed")]
)
def test_runs_end_with_the_program(tmp_path: Path, last: str, state: str) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    program = f"import muniment\nrun = muniment.start_run('e')\nrun.log({{'loss': 1}})\nrun.wait()\n{last}\n"
    environment = {**os.environ, "MUNIMENT_URL": url, "MUNIMENT_CAPTURE": "none"}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "muniment:" not in found.stderr
    muniment.connect(url)
    try:
        (data,) = muniment.search()
    finally:
        muniment.disconnect()
    assert (data.run.state, data.metrics["loss"].last) == (state, 1)

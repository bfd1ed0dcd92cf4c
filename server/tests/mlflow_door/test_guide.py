"""The guide's program runs with MLflow's own client, and Muniment answers as the guide shows.

`MUNIMENT_UPDATE=1` writes the answers anew.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from docs.test_readme import LOOSE, command, run

from mlflow_door.peers import ROOT, environment, python
from mlflow_door.test_client import QUICKLY

GUIDE = ROOT / "docs" / "guides" / "mlflow.md"
PROGRAM = re.compile(r"<!-- program of MLflow's client -->\n```python\n(.*?)```\n```text\n(.*?)```", re.DOTALL)
ANSWER = re.compile(r"<!-- answer of Muniment -->\n```console\n\$ (muniment .*?)\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("our_port", ["sqlite"], indirect=True)  # what it shows is tested on both engines elsewhere
def test_the_guide_holds(our_port: int, tmp_path: Path) -> None:
    text = GUIDE.read_text("utf-8")
    url = f"http://127.0.0.1:{our_port}"
    ((program, shown),) = PROGRAM.findall(text)
    done = subprocess.run(
        [str(python()), "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**environment(tmp_path), **QUICKLY, "MLFLOW_TRACKING_URI": url},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = "".join(f"{line}\n" for line in done.stdout.splitlines() if " at: http" not in line)
    assert said == shown
    ((line, told),) = ANSWER.findall(text)
    answer = "".join(f"{row.rstrip()}\n" for row in run(command(line), url).splitlines())
    if os.environ.get("MUNIMENT_UPDATE"):
        GUIDE.write_text(text.replace(f"$ {line}\n{told}```", f"$ {line}\n{answer}```"), "utf-8")
    else:
        assert LOOSE.sub("#", answer) == LOOSE.sub("#", told)

"""MLflow itself: an environment of its own, and its tracking server as a process.

`MUNIMENT_TEST_MLFLOW` names a Python that has what requirements-mlflow.txt asks for, `MUNIMENT_TEST_LIGHTNING` one
that has what requirements-lightning.txt does. Without them environments are made with venv and pip, by the first test
process of this user that needs them, and kept for the next run in
`XDG_CACHE_HOME/muniment-tests/<digest of the requirements and of this Python>`.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 120.0
"""A server that does not answer by then never will; importing MLflow takes some."""
_SERVING = re.compile(r"running on http://127\.0\.0\.1:(\d+)")


def python(what: str = "mlflow") -> Path:
    """The Python of an environment, which is made if it is not there.

    Args:
        what: the name of its requirements.
    """
    given = os.environ.get(f"MUNIMENT_TEST_{what.upper()}")
    if given:
        return Path(given)
    requirements = ROOT / f"requirements-{what}.txt"
    wanted = requirements.read_bytes() + sys.version.encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muniment-tests"
    home = cache / hashlib.sha256(wanted).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _make(home, requirements)
    return home / "bin" / "python"


def _make(home: Path, requirements: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, capture_output=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--requirement", str(requirements)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"pip cannot install {requirements.name}: {done.stderr[-2000:]}"
    (home / "complete").touch()


def environment(folder: Path) -> dict[str, str]:
    """The variables of a process of MLflow: nobody's own settings, no word to anybody, and a home of its own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON", "MUNIMENT_"))
    }
    return {**kept, "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


class RealServer:
    """`mlflow server` on SQLite, with artifacts that go through it.

    Args:
        folder: where it keeps everything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._log = folder / "log"
        arguments = [
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(folder / "artifacts")),
            *("--host", "127.0.0.1", "--port", "0", "--workers", "1"),
        ]
        variables = {**environment(folder), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [str(python()), "-m", "mlflow", "server", *arguments],
                stdout=out, stderr=out, cwd=folder, env=variables, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> Self:
        """Wait until /health says so."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"MLflow's server ended: {self._said()[-2000:]}"
            serving = _SERVING.search(self._said())
            if serving is not None and _healthy(int(serving[1])):
                self.port = int(serving[1])
                return self
            time.sleep(0.05)
        raise AssertionError(f"MLflow's server did not start: {self._said()[-2000:]}")

    def close(self) -> None:
        """End it with the processes that it has started, which are a group of their own."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait()

    def _said(self) -> str:
        return self._log.read_text("utf-8", errors="replace")


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().read() == b"OK"
    except ConnectionError:
        return False
    finally:
        connection.close()

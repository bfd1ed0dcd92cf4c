"""A real `mlflow server`, with all processes that it starts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from benchmarks.hands.driver import TOKEN
from benchmarks.hands.watching import Watch
from benchmarks.machine import resident
from benchmarks.starting import Started, free_port

_REST_SECONDS = 60.0
_IDLE = 0.05
"""The share of a core that it takes for nothing; below that it has started whatever it starts by itself."""


class MLflowServer(Started):
    """MLflow's server.

    Args:
        python: the interpreter that has it.
        database: its backend store, as SQLAlchemy spells it.
        folder: where it runs and keeps artifacts.
        log: the file that takes what it says.
        environment: of its processes.
        workers: how many; left out, as many as it takes by itself.
    """

    def __init__(
        self,
        python: Path,
        database: str,
        folder: Path,
        log: Path,
        *,
        environment: Mapping[str, str],
        workers: int | None = None,
    ) -> None:
        port = free_port()
        token = uuid.uuid4().hex
        command = [
            str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
            "--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts"),
            *([] if workers is None else ["--workers", str(workers)]),
        ]  # fmt: skip
        self._watch = Watch(token)
        self._watch.__enter__()
        super().__init__(command, port, log, env={**environment, TOKEN: token}, cwd=folder)

    @property
    def processor(self) -> float:
        """Seconds of processor time of all its processes."""
        return self._watch.processor()

    @property
    def memory(self) -> dict[str, float]:
        """MiB resident: of all processes, and of the greatest of them."""
        found = [each for pid in self._watch.alive() if (each := resident(pid))]
        made = {name: sum(each[name] for each in found) for name in ("now", "peak")}
        return made | {"greatest now": max(each["now"] for each in found), "processes": len(found)}

    def rest(self) -> None:
        """Wait until it has started what it starts by itself, and does nothing."""
        deadline = time.monotonic() + _REST_SECONDS
        while time.monotonic() < deadline:
            before = self.processor
            time.sleep(1)
            if self.processor - before < _IDLE:
                return

    def stop(self) -> None:
        """End all its processes."""
        self._watch.stop()
        self.process.wait()
        self._watch.__exit__(None, None, None)

"""aim, to a repository in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import aim

from benchmarks.hands.driver import Found


class Aim:
    """A run in a repository. Sampling of the machine and capture of the console are switched off."""

    def __init__(self, folder: Path) -> None:
        self._run = aim.Run(
            repo=str(folder / "repository"), experiment="bench", system_tracking_interval=None,
            log_system_params=False, capture_terminal_logs=False,
        )  # fmt: skip
        self.where = self._run.hash

    def one(self, value: float, step: int) -> None:
        """Log one scalar."""
        self._run.track(value, name="loss", step=step)

    def many(self, values: dict[str, float], step: int) -> None:
        """Log several scalars."""
        self._run.track(values, step=step)

    def finish(self) -> None:
        """End the run."""
        self._run.close()

    def sent(self, _points: int, _seconds: float) -> bool:
        """`track` itself writes."""
        return True


def open_hand(folder: Path, _url: str) -> Aim:
    """Start a run."""
    return Aim(folder)


def read(folder: Path, _url: str, where: str, keys: list[str]) -> list[Found]:
    """Read the series by the library, which does not find a run that was closed before its repository is indexed."""
    command = [Path(sys.executable).with_name("aim"), "storage", "--repo", str(folder / "repository"), "reindex"]
    subprocess.run(command, input=b"y\n", check=True, stdout=subprocess.DEVNULL)
    run = aim.Run(where, repo=str(folder / "repository"), read_only=True)
    found = {key: Found() for key in keys}
    for metric in run.metrics():
        if metric.name in found:
            steps, (values, *_) = metric.data.view(("val",)).numpy()
            for step, value in zip(steps.tolist(), values.tolist(), strict=True):
                found[metric.name].add(step, value)
    return list(found.values())

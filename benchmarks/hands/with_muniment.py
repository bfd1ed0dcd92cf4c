"""Muniment: `muniment.start_run` to a `muniment serve` on this machine."""

from __future__ import annotations

import time
from array import array
from pathlib import Path

import muniment
from benchmarks.hands.driver import Found
from muniment.model.errors import MunimentError
from muniment.spool import layout

_PAUSE = 0.05


class Muniment:
    """A run on the server at a URL."""

    def __init__(self, url: str) -> None:
        self._client = muniment.connect(url)
        self._run = muniment.start_run("bench").__enter__()
        self.where = self._run.id

    def one(self, value: float, step: int) -> None:
        """Log one scalar."""
        self._run.log({"loss": value}, step=step)

    def many(self, values: dict[str, float], step: int) -> None:
        """Log several scalars."""
        self._run.log(values, step=step)

    def finish(self) -> None:
        """What the end of a ``with`` block does."""
        self._run.__exit__(None, None, None)

    def sent(self, points: int, seconds: float) -> bool:
        """Ask the server until it has counted them."""
        deadline = time.monotonic() + seconds
        while self._counted() < points:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def _counted(self) -> int:
        try:
            return sum(each.count for each in self._client.get_run(self.where).metrics.values())
        except MunimentError:  # the run itself has not arrived
            return 0


def open_hand(_folder: Path, url: str) -> Muniment:
    """Start a run."""
    return Muniment(url)


def waiting() -> list[Path]:
    """The part of the spool that is in memory; the other is in the user's home."""
    return layout.roots(layout.root())[1:]


def read(_folder: Path, url: str, where: str, keys: list[str]) -> list[Found]:
    """Read the series page by page."""
    client, made = muniment.connect(url), []
    for key in keys:
        series, page = Found(), None
        while True:
            answer = client.series(where, key, page=page)
            for step, value in zip(array("q", bytes(answer.step)), array("d", bytes(answer.value)), strict=True):
                series.add(step, value)
            page = answer.next
            if page is None:
                break
        made.append(series)
    return made

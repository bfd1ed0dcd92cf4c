"""A run that is being recorded: what `muniment.start_run` gives."""

from __future__ import annotations

import os
import sys
import threading
import time
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, SupportsFloat

from muniment.client import Client
from muniment.model.dataset import DatasetVersion
from muniment.model.errors import InvalidInput, MunimentError
from muniment.model.ids import new_id
from muniment.model.link import NewLink
from muniment.model.metric import NewPoints
from muniment.model.run import Run, RunChange, RunState

FLUSH_POINTS = 2_000
"""Points that are gathered before they are sent."""
FLUSH_SECONDS = 2.0
"""How long a point waits, at the most, while others keep coming."""


class ActiveRun:
    """A run in progress. Use it as a context manager: an exception inside marks it failed.

    Points are gathered and sent every 2,000 or every 2 seconds, and at the end; each sending carries the number of
    this writer and its sequence, so sending again after a lost answer records nothing twice.
    """

    def __init__(self, client: Client, run: Run) -> None:
        self._client = client
        self.run = run
        self._writer = new_id()
        self._sequence = 0
        self._lock = threading.Lock()
        self._steps: dict[str, int] = {}
        self._begin_batch()

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.name

    def log(
        self, metrics: Mapping[str, SupportsFloat], *, step: int | None = None, timestamp: int | None = None
    ) -> None:
        """Log one point of each of these metrics.

        Args:
            metrics: values by metric name; anything that `float` takes, NaN and infinities included.
            step: where on the x-axis; one more than the metric's last step, from 0, if left out.
            timestamp: epoch milliseconds; now if left out.
        """
        now = time.time_ns() // 1_000_000 if timestamp is None else timestamp
        values = {name: float(value) for name, value in metrics.items()}
        with self._lock:
            for name, value in values.items():
                at = self._steps.get(name, -1) + 1 if step is None else step
                self._steps[name] = at
                self._key.append(self._series.setdefault(name, len(self._series)))
                self._step.append(at)
                self._timestamp.append(now)
                self._value.append(value)
            due = len(self._value) >= FLUSH_POINTS or time.monotonic() - self._begun >= FLUSH_SECONDS
        if due:
            self.flush()

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params; values that are no text, number or bool are written as their text. A param never changes."""
        self._client.log_params(self.id, {name: plain(value) for name, value in params.items()})

    def set_tags(self, tags: Mapping[str, str | None]) -> None:
        """Set tags; None removes one."""
        self._client.set_tags(self.id, dict(tags))

    def use(self, version: DatasetVersion | str, role: str = "") -> None:
        """Record that this run read a dataset version.

        Args:
            version: the version, or its name, such as ``customers@3``.
            role: what for, such as ``training``, ``validation`` or ``reference``.
        """
        upstream = version if isinstance(version, str) else version.id
        if "@" in upstream and ":" not in upstream:
            upstream = f"dataset:{upstream}"
        self._client.add_links([NewLink(upstream=upstream, downstream=self.id, type="used", role=role)])

    def log_artifact(
        self, source: str | os.PathLike[str] | bytes, path: str | None = None, media_type: str | None = None
    ) -> None:
        """Keep a file, the files of a folder, or bytes.

        Args:
            source: the file, folder or bytes.
            path: under which the run has it; the name of the file if left out, nothing for a folder.
            media_type: what it is; guessed from the path if it is left out.
        """
        if isinstance(source, bytes):
            if path is None:
                raise InvalidInput("bytes have no name of their own; say under which path to keep them", field="path")
            self._client.upload(self.id, path, source, media_type)
            return
        if not Path(source).is_dir():
            self._client.upload(self.id, path or Path(source).name, source, media_type)
            return
        root = Path(source)
        for file in sorted(root.rglob("*")):
            if file.is_file():
                name = file.relative_to(root).as_posix()
                self._client.upload(self.id, f"{path}/{name}" if path else name, file, media_type)

    def flush(self) -> None:
        """Send what was gathered; when this returns, it is durable."""
        with self._lock:
            if not self._value:
                return
            points = NewPoints(
                series=list(self._series),
                key=self._key,
                step=_packed(self._step),
                timestamp=_packed(self._timestamp),
                value=_packed(self._value),
                writer=self._writer,
                sequence=self._sequence + 1,
            )
            self._client.log_points(self.id, points)
            self._sequence += 1
            self._begin_batch()

    def finish(self, state: RunState = "finished") -> Run:
        """Send what was gathered, and end the run."""
        self.flush()
        self.run = self._client.update_run(self.id, RunChange(state=state))
        return self.run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.finish()
            return
        try:
            self.finish("killed" if issubclass(kind, KeyboardInterrupt) else "failed")
        except MunimentError as another:
            # the exception that ended the run is the news; what went wrong with recording it comes along
            if error is not None:
                error.add_note(f"muniment could not record the end of run {self.id}: {another}")

    def _begin_batch(self) -> None:
        self._series: dict[str, int] = {}
        self._key: list[int] = []
        self._step = array("q")
        self._timestamp = array("q")
        self._value = array("d")
        self._begun = time.monotonic()


def _packed(column: array[Any]) -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()


def plain(value: Any) -> str | int | float | bool:
    """A param's value as the store takes it: numpy's and other numbers as Python's, anything else as its text."""
    if isinstance(value, (str, bool, int, float)):
        return value
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return plain(item())
    return str(value)

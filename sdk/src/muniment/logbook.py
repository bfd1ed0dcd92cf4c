"""What is logged to a run: points, params, tags and files. It takes microseconds, and never raises."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, SupportsFloat, TypeVar

import msgspec

from muniment.model.artifact import check_path
from muniment.model.batch import LogParams, SetTags, UpdateRun
from muniment.model.errors import InvalidInput
from muniment.model.metric import to_wire
from muniment.model.names import check_map
from muniment.model.run import param_text
from muniment.session import Session
from muniment.spool import layout
from muniment.spool.writer import RunSeries, said

V = TypeVar("V")
PART_ITEMS, PART_SIZE = 1_000, 1_000_000
"""Params or tags in one command, and characters of them."""


class Logbook:
    """A run as what is logged to it. It begins with the first thing that is done with it."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._series: RunSeries | None = None
        self._params: dict[str, str] = {}

    def _begin(self) -> None:
        """Open the session, and name the run."""
        raise NotImplementedError

    def _is_new(self) -> bool:
        """Whether nobody but this process has logged to it."""
        raise NotImplementedError

    def _ready(self) -> Session:
        if self._series is None:
            self._begin()
        assert self._session is not None
        assert self._series is not None
        self._session.writer.needs(self._series.run)  # it is another writer's for a forked process
        return self._session

    @property
    def id(self) -> str:
        """The run's id."""
        self._ready()
        assert self._series is not None
        return self._series.run

    @property
    def params(self) -> dict[str, str]:
        """The params that this process has logged, as text."""
        return dict(self._params)

    def log(
        self, metrics: Mapping[str, SupportsFloat], *, step: int | None = None, timestamp: int | None = None
    ) -> None:
        """Log one point of each of these metrics. It takes microseconds, and never raises.

        Args:
            metrics: values by metric name; anything that `float` takes, NaN and infinities included.
            step: where on the x-axis; one more than the metric's last step, from 0, if left out.
            timestamp: epoch milliseconds; now if left out.
        """
        try:
            if self._series is None:
                self._begin()
            self._session.writer.points(self._series, metrics, step, timestamp)  # type: ignore[union-attr, arg-type]
        except Exception as error:  # noqa: BLE001 - a training loop must not end because of its records
            self._complain("log", error)

    def _complain(self, what: str, error: Exception) -> None:
        run = "" if self._series is None else self._series.run
        line = f"{what} of run {run} is not recorded: {said(error)}"
        session = self._session
        if session is not None:
            session.complain(line, line)
        elif sys.stderr is not None:  # a program without a terminal may have none
            sys.stderr.write(f"muniment: {line}\n")

    def learn(self, change: UpdateRun) -> None:
        """Record what was found out of the run itself, such as its code or its environment."""
        self._ready().command(change)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params. A param never changes: one that has another value already keeps the first.

        Args:
            params: by name; values that are no text, number or bool are written as their text.
        """
        try:
            session, good = self._ready(), dict[str, str | int | float | bool]()
            for name, value in params.items():
                try:
                    taken = plain(value)
                    text = param_text(taken)
                    check_map({name: text}, "params")
                    if self._params.get(name, text) != text:
                        raise_ = f"{name!r} is {self._params[name]!r:.200} and never changes"
                        self._complain(f"param {name!r} = {text!r:.200}", InvalidInput(raise_, field=name))
                        continue
                except Exception as error:  # noqa: BLE001 - whatever a value's own conversion raises
                    self._complain(f"param {said(name, 200)!r}", error)
                    continue
                self._params[name] = text
                good[str.__str__(name)] = to_wire(taken) if isinstance(taken, float) else taken
            # where others may have logged before, one that differs must not keep the rest from being recorded
            for part in _parts(good) if self._is_new() else ({name: value} for name, value in good.items()):
                session.command(LogParams(run=self.id, params=part))
        except Exception as error:  # noqa: BLE001
            self._complain("params", error)

    def set_tags(self, tags: Mapping[str, str | None]) -> None:
        """Set tags; None removes one."""
        try:
            session, good = self._ready(), dict[str, str | None]()
            for name, value in tags.items():
                try:
                    if value is not None and not isinstance(value, str):
                        raise_ = f"a tag is a text, not a {type(value).__name__}"
                        self._complain(f"tag {said(name, 200)!r}", InvalidInput(raise_, field="tags"))
                        continue
                    check_map({name: "" if value is None else value}, "tags")
                except Exception as error:  # noqa: BLE001 - a name may be anything
                    self._complain(f"tag {said(name, 200)!r}", error)
                else:
                    good[str.__str__(name)] = None if value is None else str.__str__(value)
            for part in _parts(good):
                session.command(SetTags(run=self.id, tags=part))
        except Exception as error:  # noqa: BLE001
            self._complain("tags", error)

    def log_artifact(
        self, source: str | os.PathLike[str] | bytes, path: str | None = None, media_type: str | None = None
    ) -> None:
        """Keep a file, the files of a folder, or bytes, as they are now.

        Args:
            source: the file, folder or bytes.
            path: under which the run has it; the name of the file if left out, nothing for a folder.
            media_type: what it is; guessed from the path if it is left out.
        """
        what = "bytes" if isinstance(source, bytes) else said(source)
        try:
            self._ready()
            if isinstance(source, bytes):
                self._keep(source, "" if path is None else path, media_type)
            elif not Path(source).is_dir():
                self._keep(source, path or Path(source).name, media_type)
            else:
                root = Path(source)
                for file in sorted(root.rglob("*")):
                    name = file.relative_to(root).as_posix()
                    try:
                        if file.is_file():
                            self._keep(file, f"{path}/{name}" if path else name, media_type)
                    except Exception as error:  # noqa: BLE001 - the others are kept
                        self._complain(f"artifact {said(file)}", error)
        except Exception as error:  # noqa: BLE001
            self._complain(f"artifact {said(path or what)}", error)

    def log_figure(self, figure: Any, path: str) -> None:
        """Keep a figure of matplotlib, plotly, altair or Pillow as it is now.

        Args:
            figure: what has ``savefig``, ``to_html``, ``to_image`` or ``save``.
            path: under which the run has it; its suffix says in which format, such as ``confusion.png``.
        """
        try:
            from muniment import frames  # noqa: PLC0415

            content, media_type = frames.drawn(figure, path)
            self._keep(content, path, media_type)
        except Exception as error:  # noqa: BLE001
            self._complain(f"figure {path}", error)

    def log_table(self, data: Any, path: str) -> None:
        """Keep a table as it is now: as Parquet if its library writes it, as NDJSON if not.

        Args:
            data: a pandas or polars DataFrame, an Arrow table, or a list of mappings.
            path: under which the run has it, such as ``mistakes``; the suffix of the format is added if it is missing.
        """
        try:
            from muniment import frames  # noqa: PLC0415

            content, suffix, media_type = frames.as_file(data)
            self._keep(content, path if path.endswith(suffix) else path + suffix, media_type)
        except Exception as error:  # noqa: BLE001
            self._complain(f"table {path}", error)

    def _keep(self, source: str | os.PathLike[str] | bytes, path: str, media_type: str | None) -> None:
        check_path(path)
        writer = self._ready().writer
        made = layout.File(run=self.id, path=path, name=writer.keep(source), media_type=media_type)
        writer.entry(layout.FILE, msgspec.json.encode(made))


def _parts(items: dict[str, V]) -> Iterator[dict[str, V]]:
    """Some at a time: the store takes only so many in one command, and only so long a line."""
    part: dict[str, V] = {}
    size = 0
    for name, value in items.items():
        part[name] = value
        size += len(name) + len(value if isinstance(value, str) else "")
        if len(part) >= PART_ITEMS or size >= PART_SIZE:
            yield part
            part, size = {}, 0
    if part:
        yield part


def plain(value: Any) -> str | int | float | bool:
    """A param's value as the store takes it: numpy's and other numbers as Python's, anything else as its text."""
    if isinstance(value, str):
        return str.__str__(value)  # of a kind of text of its own, such as numpy's, the plain text
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else int.__repr__(value)
    if isinstance(value, float):
        return float(value)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return plain(item())
    return str(value)

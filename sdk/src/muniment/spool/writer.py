"""Writing into a spool: a few stores to memory for each point, and nothing that can block or fail there."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, SupportsFloat

import msgspec

from muniment.model.ids import new_id
from muniment.model.names import check_name
from muniment.spool import layout
from muniment.spool.files import check_memory, created, fsync, fsync_segment, size_of, written
from muniment.spool.layout import COMMITTED, COUNTER, FRAME, HEADER, POINT, POINT_SLOT, SLOT

LOGGER = logging.getLogger("muniment")
FIRST_BYTES, MOST_BYTES = 256 * 1024, 4 * 1024 * 1024
"""Sizes of segments: the first is small, and each is twice as large as the one before."""
FULL_SECONDS = 0.5
"""How long points are not even tried to be kept after there was room for them nowhere: looking for it takes a while."""
_generations = itertools.count(1)


class RunSeries:
    """The series of one run, as one process logs them.

    Attributes:
        run: its id.
        steps: the last step of each.
        numbers: what each is called in the present segment.
    """

    __slots__ = ("generation", "numbers", "run", "steps")

    def __init__(self, run: str) -> None:
        self.run = run
        self.steps: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.generation = 0


class Writer:
    """The entries of one process for one project. Safe to use from threads and from signal handlers.

    Nothing of it raises while logging: what cannot be taken is told to `complain`, once for each kind of trouble.

    Args:
        url: of the store that the entries are for.
        project: of the store.
        disk: the spool's folder.
        complain: told of trouble: a word for its kind, and a line.
    """

    def __init__(self, url: str, project: str, disk: Path, complain: Callable[[str, str], None]) -> None:
        self.id = new_id()
        self.url, self.project, self.disk = url, project, disk
        self.lost = 0
        """Points that could not be taken."""
        self._complain = complain
        self._lock = threading.RLock()
        self._busy = False
        self._late: list[Callable[[], object]] = []
        self._held: list[int] = []
        self._begun: set[Path] = set()
        self._runs: set[str] = set()
        self._closed = False
        self._full = 0.0
        self._map: Any = None
        self._paths: list[Path] = []
        self._fresh: list[Path] = []
        self._changed: set[Path] = set()
        self._first = 0
        self._offset = self._end = HEADER
        self._generation = 0
        self._size = FIRST_BYTES

    @property
    def folder(self) -> Path:
        """Where what belongs to it lies on disk."""
        return self.disk / self.id

    @property
    def folders(self) -> list[Path]:
        """Where what belongs to it may lie, on disk and in memory."""
        return [root / self.id for root in layout.roots(self.disk)]

    @property
    def committed(self) -> int:
        """Slots written so far."""
        return self._first + (self._offset - HEADER) // SLOT

    def points(
        self, series: RunSeries, metrics: Mapping[str, SupportsFloat], step: int | None, timestamp: int | None
    ) -> None:
        """Write one point of each of some metrics, all of them or none if the process dies meanwhile."""
        now = layout.milliseconds() if timestamp is None else timestamp
        if step is not None and type(step) is not int and hasattr(step, "__index__"):
            step = step.__index__()  # the next one is counted from it, and numpy's small integers begin again at 0
        with self._lock:
            if self._busy:  # a signal's handler has interrupted this writer
                given = dict(metrics)
                self._late.append(lambda: self._put(series, given, step, now))
                return
            self._busy = True
            try:
                self._put(series, metrics, step, now)
            finally:
                self._busy = False
                if self._late:
                    self._catch_up()

    def _catch_up(self) -> None:
        """Write what signals' handlers have logged meanwhile."""
        while self._late:
            act = self._late.pop(0)
            self._busy = True
            try:
                act()
            except Exception as error:  # noqa: BLE001 - it is not the fault of who logs now
                self._complain("late", f"what a signal's handler logged is not recorded: {said(error)}")
            finally:
                self._busy = False

    def _put(self, series: RunSeries, metrics: Mapping[str, Any], step: int | None, now: int) -> None:
        try:
            at = self._room(series, metrics)
        except OSError as error:
            self.lost += len(metrics)
            self._complain("full", f"what is logged can be kept neither on disk nor in memory: {error}")
            return
        except Exception:  # noqa: BLE001 - a name that is none
            self._put_good(series, metrics, step, now)
            return
        if not metrics:
            return
        begin, mapped, numbers, steps, pack = at, self._map, series.numbers, series.steps, POINT_SLOT.pack_into
        try:
            for name, value in metrics.items():
                where = steps.get(name, -1) + 1 if step is None else step
                pack(mapped, at, POINT, numbers[name], where, now, value)
                steps[name] = where
                at += SLOT
        except Exception:  # noqa: BLE001 - whatever a value's own conversion raises
            if step is None:  # those before the bad one are written again
                for name, _ in zip(metrics, range(begin, at, SLOT), strict=False):
                    steps[name] -= 1
            self._put_good(series, metrics, step, now)
            return
        self._offset = at
        COUNTER.pack_into(mapped, COMMITTED, (at - HEADER) // SLOT)

    def _put_good(self, series: RunSeries, metrics: Mapping[str, Any], step: int | None, now: int) -> None:
        """Write those of some points that are points, and tell of the others."""
        good: dict[str, float] = {}
        for name, value in metrics.items():
            try:
                check_name(name, "metric")
                where = series.steps.get(name, -1) + 1 if step is None else step
                POINT_SLOT.pack(POINT, 0, where, now, value)
                number = float(value)
            except Exception as error:  # noqa: BLE001
                self.lost += 1
                called, kind = said(name, 200), type(value).__name__
                self._complain(
                    f"point:{called}",
                    f"a point of {called!r} is not recorded (value of type {kind}, step {said(step, 40)}, "
                    f"timestamp {said(now, 40)}): {said(error)}",
                )
            else:
                good[name] = number
        if good:
            self._put(series, good, step, now)

    def _room(self, series: RunSeries, metrics: Mapping[str, Any]) -> int:
        """Make room for points, with their series named in the present segment; where to put them."""
        need = SLOT * len(metrics)
        while True:
            if series.generation != self._generation:
                series.numbers = {}
                series.generation = self._generation
            if self._offset + need <= self._end and series.numbers.keys() >= metrics.keys():
                return self._offset
            frames: list[tuple[str, int, bytes]] = []
            if series.run not in self._runs:
                frames.append(("", 0, series.run.encode()))
            for name in metrics:
                if name not in series.numbers:
                    check_name(name, "metric")
                    # numbers are counted over the segment's slots, so no two series have the same
                    number = (self._offset - HEADER) // SLOT + len(frames)
                    named = layout.Series(number, series.run, str.__str__(name))
                    frames.append((name, number, msgspec.json.encode(named)))
            size = sum(SLOT * layout.slots_of(len(frame)) for _, _, frame in frames)
            if self._offset + size + need > self._end:
                if time.monotonic() < self._full:
                    raise OSError(errno.ENOSPC, "there was no room a moment ago")
                self._roll(size + need)
                continue
            for name, number, frame in frames:
                if name:
                    self._frame(layout.SERIES, frame)
                    series.numbers[name] = number
                else:
                    self._frame(layout.NEED, frame)
                    self._runs.add(series.run)

    def begins(self, run: str) -> None:
        """Take note that what is written here makes a run."""
        self._runs.add(run)

    def needs(self, run: str) -> None:
        """Let what follows wait until the store has a run, which is another writer's."""
        if run not in self._runs and self.entry(layout.NEED, run.encode()):
            self._runs.add(run)

    def entry(self, kind: int, content: bytes) -> bool:
        """Write one entry that is no point; whether there was room for it."""
        with self._lock:
            if self._busy:
                self._late.append(lambda: self._entry(kind, content))
                return True
            self._busy = True
            try:
                return self._entry(kind, content)
            finally:
                self._busy = False
                if self._late:
                    self._catch_up()

    def _entry(self, kind: int, content: bytes) -> bool:
        size = SLOT * layout.slots_of(len(content))
        try:
            if self._offset + size > self._end:
                self._roll(size)
        except OSError as error:
            self._complain("full", f"what is logged can be kept neither on disk nor in memory: {error}")
            return False
        self._frame(kind, content)
        return True

    def _frame(self, kind: int, content: bytes) -> None:
        at = self._offset
        FRAME.pack_into(self._map, at, kind, len(content))
        self._map[at + FRAME.size : at + FRAME.size + len(content)] = content
        self._offset = at + SLOT * layout.slots_of(len(content))
        COUNTER.pack_into(self._map, COMMITTED, (self._offset - HEADER) // SLOT)

    def _roll(self, need: int) -> None:
        """Begin the next segment, on disk or else in memory.

        Raises:
            OSError: there is room nowhere.
        """
        if self._closed:
            raise OSError(errno.EBADF, "the connection to the store was closed")
        first = self.committed
        size = max(self._size, HEADER + need)
        trouble: OSError | None = None
        for place in layout.roots(self.disk):
            try:
                path = self._begin(place) / layout.segment_name(first)
                mapped = created(path, first, size, careful=place is not self.disk)
            except OSError as error:
                trouble = trouble or error
                continue
            if trouble is not None:
                self._complain("disk", f"{self.disk} takes no more ({trouble}); what is logged waits in memory")
            self._paths.append(path)
            self._changed.add(path.parent)
            generation, end = next(_generations), HEADER + (size - HEADER) // SLOT * SLOT
            # in one go, which no exception of a signal's handler can interrupt
            self._map, self._first, self._offset, self._end, self._generation = mapped, first, HEADER, end, generation
            self._size = min(2 * self._size, MOST_BYTES)
            return
        assert trouble is not None
        self._full = time.monotonic() + FULL_SECONDS
        raise trouble

    def _begin(self, place: Path) -> Path:
        """The writer's folder in a place; the lock is held before anybody can see entries."""
        folder = place / self.id
        if place in self._begun and folder.is_dir():
            return folder
        layout.private(place)
        layout.private(folder)
        held = layout.try_lock(folder / "lock")
        if held is not None:
            self._held.append(held)
        # its room is taken now: the sender has to say how far it is on a full disk too
        written(folder / "sent", layout.SENT.pack(0, layout.GOING, 0, 0, 0))
        about = layout.About(
            url=self.url, project=self.project, host=layout.host(), boot=layout.boot(), pid=os.getpid(),
            program=Path(sys.argv[0] if sys.argv else "").name[:200], started=layout.milliseconds(),
        )  # fmt: skip
        written(folder / "about.json", msgspec.json.encode(about))
        self._begun.add(place)
        self._fresh.append(folder / "about.json")
        self._changed |= {folder, place, place.parent}
        return folder

    def hurry(self) -> int:
        """Ask the sender to bring everything now; how many slots that is."""
        with self._lock:
            if self._map is not None:
                COUNTER.pack_into(self._map, layout.URGENT, (self._offset - HEADER) // SLOT)
            return self.committed

    def sync(self) -> None:
        """Bring everything to the disk itself, so that it survives the loss of power.

        Raises:
            OSError: the disk does not take it.
        """
        with self._lock:
            paths, self._paths = self._paths, self._paths[-1:]
            fresh, self._fresh = self._fresh, []
            changed, self._changed = self._changed, set()
        try:
            for path in fresh:
                fsync(path)
            for path in paths:
                self._sync_segment(path)
            for folder in changed:
                fsync(folder)
        except OSError:
            with self._lock:  # the next try must not forget them
                self._paths = paths + [path for path in self._paths if path not in paths]
                self._fresh, self._changed = fresh + self._fresh, changed | self._changed
            raise

    def _sync_segment(self, path: Path) -> None:
        if self.disk not in path.parents and path.exists():
            raise OSError(errno.ENOSPC, f"{self.disk} takes no more, and memory does not survive", str(path))
        fsync_segment(path)

    def keep(self, source: str | os.PathLike[str] | bytes) -> str:
        """Copy a file, or bytes, to where the sender finds it; its name there.

        Raises:
            OSError: it cannot be read, or there is no room.
        """
        name, trouble, size = new_id(), None, len(source) if isinstance(source, bytes) else size_of(source)
        for place in layout.roots(self.disk):
            try:
                folder = layout.private(self._begin(place) / "files")
                if place is not self.disk:
                    check_memory(folder, size)
                if isinstance(source, bytes):
                    written(folder / name, source)
                else:
                    shutil.copyfile(source, folder / name)
            except OSError as error:
                for left in (name, f"{name}.new"):
                    with contextlib.suppress(OSError):
                        (place / self.id / "files" / left).unlink()
                trouble = trouble or error
                continue
            with self._lock:
                self._fresh.append(folder / name)
                self._changed.add(folder)
            return name
        assert trouble is not None
        raise trouble

    def owns(self, run: str, *, begun: bool) -> None:
        """Note that this process has begun a run, or ended it; who dies meanwhile leaves the note."""
        trouble: OSError | None = None
        for place in layout.roots(self.disk):
            try:
                if begun:
                    (layout.private(self._begin(place) / "runs") / run).touch(mode=0o600)
                    return
                (place / self.id / "runs" / run).unlink(missing_ok=True)
            except OSError as error:
                trouble = error
        if trouble is not None:
            self._complain("disk", f"{self.disk} takes no more: {trouble}")

    def inherited(self) -> list[int]:
        """The descriptors that hold the lock, for a forked process to close."""
        held, self._held = self._held, []
        return held

    def close(self) -> None:
        """Let go: what is not sent is left to the sender."""
        with self._lock:
            self._closed, self._end = True, 0
            while self._held:
                os.close(self._held.pop())


def said(what: object, most: int = 300) -> str:
    """The text of something that may not be able to say it."""
    try:
        return str(what)[:most]
    except Exception:  # noqa: BLE001 - what a foreign `__str__` raises must not end who logs
        return f"something of type {type(what).__name__}"

"""Reading a writer's segments while it writes, and after it has died."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from muniment.model.metric import to_wire
from muniment.spool import layout
from muniment.spool.layout import COMMITTED, COUNTER, FRAME, HEADER, POINT, POINT_SLOT, SLOT

POINTS = 5_000
"""Points in one line at the most."""
_KINDS = frozenset((POINT, layout.SERIES, layout.COMMAND, layout.FILE, layout.NEED))
_ID = re.compile("[0-9a-f]{32}")
T = TypeVar("T")
_WINDOW = 65_536
"""Slots that are read at a time."""


class Entry(msgspec.Struct, frozen=True):
    """What the sender does with some slots.

    Attributes:
        end: slots that are done with it and everything before.
        command: in JSON; empty if there is something else.
        file: to give a run.
        need: the id of a run that must be in the store before what follows.
    """

    end: int
    command: bytes
    file: layout.File | None = None
    need: str = ""


class Damaged(Exception):
    """A segment does not read as what a writer writes; what follows in it is left where it is."""


class _Head(msgspec.Struct, frozen=True):
    """What the header of a segment says."""

    first: int
    slots: int
    urgent: int


class Reader:
    """What one writer has written.

    Args:
        places: its folders, on disk and in memory.
    """

    def __init__(self, places: list[Path]) -> None:
        self.places = places
        self._names: dict[int, tuple[str, str]] = {}
        self._named = (-1, 0)

    def segments(self) -> list[tuple[int, Path]]:
        """Its segments in order."""
        found: dict[int, Path] = {}
        for place in self.places:
            found.update(layout.segments(place))
        return sorted(found.items())

    def gap(self, after: int) -> int | None:
        """Where entries go on, if those behind the first `after` slots are lost; None if they are not.

        What waited in memory is lost when the machine is started again.
        """
        later: int | None = None
        for _ in range(2):  # a folder is not listed in one moment
            later = min((first for first, _ in self.segments() if first > after), default=None)
            if later is None or any(first <= after < self._reach(path) for first, path in self.segments()):
                return None
        return later

    def _reach(self, path: Path) -> int:
        head = self._head(path)
        return head.first + head.slots

    def extent(self) -> tuple[int, int]:
        """Slots that may be read, and slots that the writer wants to be brought at once."""
        found = self.segments()
        if not found:
            return 0, 0
        try:
            head = self._head(found[-1][1])
        except Damaged:  # what lies before it can be read
            return found[-1][0] + 1, 0
        return head.first + head.slots, head.first + head.urgent

    def check(self) -> None:
        """See that every segment reads as one.

        Raises:
            Damaged: one does not.
        """
        for _, path in self.segments():
            self._head(path)

    def _head(self, path: Path) -> _Head:
        with path.open("rb") as file:
            raw = file.read(HEADER)
        if len(raw) < HEADER:
            raise Damaged(f"{path} is cut short")
        magic, version, slot, first, capacity, boot = layout.HEAD.unpack_from(raw)
        if magic != layout.MAGIC:
            raise Damaged(f"{path} is no segment")
        if (version, slot) != (layout.VERSION, SLOT):
            raise Damaged(f"{path} was written by another release of muniment; sync it with that")
        if path.name != layout.segment_name(first):
            raise Damaged(f"{path} says that it begins with slot {first}")
        same = boot.rstrip(b"\0").decode("ascii", "replace") == layout.boot()
        counter = COMMITTED if same else layout.SYNCED
        slots = COUNTER.unpack_from(raw, counter)[0]
        if slots > capacity or HEADER + slots * SLOT > path.stat().st_size:
            raise Damaged(f"{path} is cut short: it should have {slots} slots")
        return _Head(first, slots, min(COUNTER.unpack_from(raw, layout.URGENT)[0], slots))

    def entries(self, after: int, before: int | None = None) -> Iterator[Entry]:
        """Entries behind the first `after` slots, in order, and within the first `before` ones, if that is given.

        Raises:
            Damaged: what comes cannot be read.
        """
        at = after
        for first, path in self.segments():
            head = self._head(path)
            if before is not None:
                head = msgspec.structs.replace(head, slots=min(head.slots, before - first))
            if first + head.slots <= at:
                continue
            if first > at:
                raise Damaged(f"{self.places[0]}: slots {at} to {first} are missing")
            with path.open("rb") as file:
                self._learn(file.fileno(), head, at)
                while at < first + head.slots:
                    for entry in self._window(file.fileno(), head, at):
                        yield entry
                        at = entry.end

    def _learn(self, descriptor: int, head: _Head, until: int) -> None:
        """Learn what series are called by slots that are read already."""
        segment, at = self._named
        if segment != head.first:
            self._names, at = {}, head.first
        while at < until:
            raw = self._read(descriptor, head, at, until)
            at += self._skip(raw)
        self._named = (head.first, at)

    def _skip(self, raw: bytes) -> int:
        """Pass over whole entries of a window, and learn from those that name series; how many slots."""
        at, size = 0, len(raw) // SLOT
        while at < size:
            kind, length = FRAME.unpack_from(raw, at * SLOT)
            if kind == POINT:
                at += 1
                continue
            step = layout.slots_of(length)
            if at + step > size:
                break
            if kind == layout.SERIES:
                self._name(_content(raw, at, length))
            at += step
        return at

    def _name(self, content: bytes) -> None:
        series = self._decoded(content, layout.Series)
        if not _ID.fullmatch(series.run):
            raise Damaged(f"{self.places[0]}: {series.run[:80]!r} is no id of a run")
        self._names[series.number] = (series.run, series.name)

    def _decoded(self, content: bytes, type_: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=type_)
        except ValueError as error:
            raise Damaged(f"{self.places[0]}: an entry cannot be read: {error}") from None

    def _file(self, content: bytes) -> layout.File:
        file = self._decoded(content, layout.File)
        if not _ID.fullmatch(file.name):  # nobody gets anything else sent by it
            raise Damaged(f"{self.places[0]}: {file.name[:80]!r} is no file of this spool")
        return file

    def _read(self, descriptor: int, head: _Head, at: int, until: int) -> bytes:
        """Some slots, the whole of the first frame among them."""
        count = min(until - at, _WINDOW)
        start = HEADER + (at - head.first) * SLOT
        raw = self._whole(descriptor, count * SLOT, start)
        kind, length = FRAME.unpack_from(raw)
        need = 1 if kind == POINT else layout.slots_of(length)
        if at + need > head.first + head.slots or kind not in _KINDS:
            raise Damaged(f"{self.places[0]}: slot {at} is no entry")
        return raw if need <= count else self._whole(descriptor, need * SLOT, start)

    def _whole(self, descriptor: int, size: int, start: int) -> bytes:
        raw = os.pread(descriptor, size, start)
        if len(raw) < size:
            raise Damaged(f"{self.places[0]}: a segment is cut short")
        return raw

    def _window(self, descriptor: int, head: _Head, at: int) -> Iterator[Entry]:
        """The entries of some slots; at least one."""
        raw = self._read(descriptor, head, at, head.first + head.slots)
        slots, here = len(raw) // SLOT, 0
        kinds = memoryview(raw).cast("I")[:: SLOT // 4].tolist()
        while here < slots:
            kind, length = FRAME.unpack_from(raw, here * SLOT)
            if kind == POINT:
                end = next((slot for slot in range(here, slots) if kinds[slot] != POINT), slots)
                yield from self._lines(list(POINT_SLOT.iter_unpack(raw[here * SLOT : end * SLOT])), at + here)
                here = end
                continue
            step = layout.slots_of(length)
            if here + step > slots:
                return  # the next window begins with it
            content, here = _content(raw, here, length), here + step
            if kind == layout.SERIES:
                self._name(content)
                self._named = (head.first, at + here)
                yield Entry(at + here, b"")
            elif kind == layout.COMMAND:
                self._decoded(content, msgspec.Raw)
                if b"\n" in content:  # which would make two lines of it
                    raise Damaged(f"{self.places[0]}: slot {at + here - step} has a line break")
                yield Entry(at + here, content)
            elif kind == layout.FILE:
                yield Entry(at + here, b"", self._file(content))
            elif kind == layout.NEED:
                run = content.decode("ascii", "replace")
                if not _ID.fullmatch(run):
                    raise Damaged(f"{self.places[0]}: {run[:80]!r} is no id of a run")
                yield Entry(at + here, b"", need=run)
            else:
                raise Damaged(f"{self.places[0]}: slot {at + here - step} is no entry")

    def _lines(self, points: list[tuple[int, int, int, int, float]], at: int) -> Iterator[Entry]:
        """Points as commands, one for each stretch of the same run."""
        for run, stretch in itertools.groupby(points, lambda point: self._run_of(point[1])):
            part = list(stretch)
            for start in range(0, len(part), POINTS):
                piece = part[start : start + POINTS]
                at += len(piece)
                yield Entry(at, self._command(run, piece))

    def _run_of(self, number: int) -> str:
        if number not in self._names:
            raise Damaged(f"{self.places[0]}: a point is of a series {number} that is not named")
        return self._names[number][0]

    def _command(self, run: str, points: list[tuple[int, int, int, int, float]]) -> bytes:
        _, numbers, steps, timestamps, values = zip(*points, strict=True)
        index = {number: at for at, number in enumerate(dict.fromkeys(numbers))}
        finite = all(map(math.isfinite, values))
        return msgspec.json.encode(
            {
                "do": "run.log", "run": run, "series": [self._names[number][1] for number in index],
                "key": [index[number] for number in numbers], "step": steps, "timestamp": timestamps,
                "value": values if finite else [to_wire(value) for value in values],
            }
        )  # fmt: skip


def _content(raw: bytes, at: int, length: int) -> bytes:
    start = at * SLOT + FRAME.size
    return raw[start : start + length]

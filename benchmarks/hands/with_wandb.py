"""wandb, offline: points go to a file in the folder, to be uploaded later by a command."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wandb

from benchmarks.hands.driver import Found

_BLOCK = 32_768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class Wandb:
    """A run that is written to a folder. Sampling of the machine and capture of the console are switched off."""

    def __init__(self, folder: Path) -> None:
        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        self._run = wandb.init(project="bench", mode="offline", dir=str(folder), settings=settings)
        self.where = self._run.id

    def one(self, value: float, step: int) -> None:
        """Log one scalar."""
        self._run.log({"loss": value}, step=step)

    def many(self, values: dict[str, float], step: int) -> None:
        """Log several scalars."""
        self._run.log(values, step=step)

    def finish(self) -> None:
        """End the run."""
        self._run.finish()

    def sent(self, _points: int, _seconds: float) -> bool:
        """`finish` has waited for the file."""
        return True


def open_hand(folder: Path, _url: str) -> Wandb:
    """Start a run."""
    return Wandb(folder)


def read(folder: Path, _url: str, where: str, keys: list[str]) -> list[Found]:
    """Read the run's file, which is a LevelDB log of protocol buffers; the package has no reader of its own for it."""
    from wandb.proto import wandb_internal_pb2

    found = {key: Found() for key in keys}
    record: Any = wandb_internal_pb2.Record()
    (path,) = folder.rglob(f"run-{where}.wandb")
    for raw in _records(path):
        record.ParseFromString(raw)
        if record.WhichOneof("record_type") != "history":
            continue
        for item in record.history.item:
            key = item.key or ".".join(item.nested_key)
            if key in found:
                found[key].add(record.history.step.num, json.loads(item.value_json))
    return list(found.values())


def _records(path: Path) -> Iterator[bytes]:
    """The records of a LevelDB log that begins with seven bytes of wandb's own."""
    data, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        if kind not in {_FULL, _FIRST, _MIDDLE, _LAST}:
            raise ValueError(f"{path.name}: byte {at} begins no record")
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in {_FULL, _LAST}:
            yield b"".join(parts)
            parts = []

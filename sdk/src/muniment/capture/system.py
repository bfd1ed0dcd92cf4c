"""What a process and its children use, whenever somebody asks. There is no thread here."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from muniment.capture.machine import ask_gpus

_SHORTEST = 0.05
"""Seconds below which a share of processor time is only noise: the kernel counts in hundredths."""


class _Used(NamedTuple):
    """Sums over the processes that live now, in which those that ended and were waited for are counted."""

    seconds: float
    memory: int
    processes: int
    read: int | None
    written: int | None


class Sampler:
    """Measures a process and its children.

    Args:
        pid: of the process; this one if left out.
        proc: where the kernel's files are.
    """

    def __init__(self, pid: int | None = None, proc: Path = Path("/proc")) -> None:
        self._pid = os.getpid() if pid is None else pid
        self._proc = proc
        self._linux = sys.platform.startswith("linux")
        self._gpus: Callable[[], dict[str, float]] | None = _gpus_by_library() or _gpus_by_program
        self._born = _born(proc, self._pid) if self._linux else None
        self._since = time.monotonic()
        self._seconds = self._spent()
        self._last: dict[str, int] = {}
        self._sums: dict[str, int] = {}
        if self._linux:
            self._counted(self._counters(self._used()))

    def sample(self) -> dict[str, float]:
        """What is used now; nothing once the process has ended. What cannot be told is left out.

        ``system.cpu_percent``: since the last sample; 100 is one core.
        ``system.memory_bytes``: resident; what processes share counts for each. ``system.processes``: how many.
        ``system.disk_read_bytes``, ``system.disk_written_bytes``: since the sampler was made.
        ``system.net_received_bytes``, ``system.net_sent_bytes``: since then, of the whole machine or container.
        ``system.gpu.N.utilization_percent``, ``.memory_bytes``, ``.temperature_celsius``, ``.power_watts``: of each
        GPU, whoever uses it.

        Elsewhere than on Linux: processor time, and ``system.memory_peak_bytes``, of this very process only.
        """
        found: dict[str, float] = {}
        try:
            if not self._linux:
                found |= self._elsewhere()
            elif self._born is not None and _born(self._proc, self._pid) == self._born:
                used = self._used()
                found |= {"system.memory_bytes": used.memory, "system.processes": used.processes}
                found |= self._share(used.seconds)
                found |= self._counted(self._counters(used))
            if found and self._gpus is not None:
                gpus = self._gpus()
                self._gpus = self._gpus if gpus else None  # what is not there now is not asked for again
                found |= gpus
        except Exception:  # noqa: BLE001 - measuring must never stop a training
            return found
        return found

    def _share(self, seconds: float) -> dict[str, float]:
        now = time.monotonic()
        passed = now - self._since
        if passed < _SHORTEST:
            return {}
        percent = max(0.0, 100 * (seconds - self._seconds) / passed)
        self._since, self._seconds = now, seconds
        return {"system.cpu_percent": round(percent, 2)}

    def _counted(self, counters: dict[str, int]) -> dict[str, float]:
        """Counters since the sampler was made. A process that leaves takes its share along; the sum never falls."""
        for name, value in counters.items():
            self._sums[name] = self._sums.get(name, 0) + max(0, value - self._last.get(name, value))
            self._last[name] = value
        return {name: self._sums[name] for name in counters}

    def _counters(self, used: _Used) -> dict[str, int]:
        found = {} if used.read is None else {"system.disk_read_bytes": used.read}
        found |= {} if used.written is None else {"system.disk_written_bytes": used.written}
        return found | _net(self._proc / str(self._pid) / "net/dev")

    def _spent(self) -> float:
        if self._linux:
            return self._used().seconds
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    def _elsewhere(self) -> dict[str, float]:
        if self._pid != os.getpid():
            return {}
        found = self._share(self._spent())
        try:
            resource: Any = importlib.import_module("resource")
        except ImportError:  # Windows has none
            return found
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return found | {"system.memory_peak_bytes": peak * unit}

    def _used(self) -> _Used:
        seconds, memory, count = 0.0, 0, 0
        read: int | None = 0
        written: int | None = 0
        tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        for pid in family(self._proc, self._pid):
            fields = _stat(self._proc, pid)
            if fields is None:
                continue
            count += 1
            # children that were waited for are in the last two; so the sum does not fall when one ends
            seconds += sum(int(part) for part in fields[11:15]) / tick
            memory += int(fields[21]) * page
            totals = _io(self._proc, pid)
            if totals is None:
                read = written = None
            elif read is not None and written is not None:
                read, written = read + totals[0], written + totals[1]
        return _Used(seconds, memory, count, read, written)


def family(proc: Path, pid: int) -> list[int]:
    """A process and all that descend from it, as far as they have not been orphaned."""
    children: dict[int, list[int]] = {}
    with os.scandir(proc) as folders:
        for folder in folders:
            if folder.name.isdigit() and (fields := _stat(proc, int(folder.name))) is not None:
                children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def _stat(proc: Path, pid: int) -> list[str] | None:
    """The fields of a process from its state on; its name before that may hold anything, spaces and brackets too."""
    # one for each process of the machine, many times an hour: a Path for each would take five times as long
    try:
        handle = os.open(f"{proc}/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        fields = os.read(handle, 4096).decode("utf-8", "replace").rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return None
    finally:
        os.close(handle)
    return fields if len(fields) > 21 else None


def _born(proc: Path, pid: int) -> str | None:
    """When a process was started: a number is given again to another one. None for one that has ended."""
    fields = _stat(proc, pid)
    return None if fields is None or fields[0] in {"Z", "X"} else fields[19]


def _io(proc: Path, pid: int) -> tuple[int, int] | None:
    try:
        lines = (proc / str(pid) / "io").read_text("ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(": ", 1) for line in lines)
    try:
        return int(fields["read_bytes"]), int(fields["write_bytes"])
    except (KeyError, ValueError):
        return None


def _net(file: Path) -> dict[str, int]:
    try:
        lines = file.read_text("ascii", errors="replace").splitlines()
    except OSError:
        return {}
    received = sent = 0
    for line in lines[2:]:
        name, _, counts = line.partition(":")
        fields = counts.split()
        if name.strip() != "lo" and len(fields) >= 9:
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return {"system.net_received_bytes": received, "system.net_sent_bytes": sent}


def _gpus_by_program() -> dict[str, float]:
    found: dict[str, float] = {}
    for line in ask_gpus("index,utilization.gpu,memory.used,temperature.gpu,power.draw"):
        names = ("utilization_percent", "memory_bytes", "temperature_celsius", "power_watts")
        for name, word in zip(names, line[1:], strict=False):
            try:
                value = float(word)
            except ValueError:  # [N/A]
                continue
            found[f"system.gpu.{line[0]}.{name}"] = value * (1 << 20) if name == "memory_bytes" else value
    return found


def _gpus_by_library() -> Callable[[], dict[str, float]] | None:
    """NVIDIA's library, if it is installed and finds a driver: it answers much faster than the program."""
    try:
        library: Any = importlib.import_module("pynvml")
        library.nvmlInit()
        handles = [library.nvmlDeviceGetHandleByIndex(number) for number in range(library.nvmlDeviceGetCount())]
    except Exception:  # noqa: BLE001 - somebody else's module
        return None
    asked: dict[str, Callable[[Any], float]] = {
        "utilization_percent": lambda handle: library.nvmlDeviceGetUtilizationRates(handle).gpu,
        "memory_bytes": lambda handle: library.nvmlDeviceGetMemoryInfo(handle).used,
        "temperature_celsius": lambda handle: library.nvmlDeviceGetTemperature(handle, 0),
        "power_watts": lambda handle: library.nvmlDeviceGetPowerUsage(handle) / 1_000,
    }

    def look() -> dict[str, float]:
        found: dict[str, float] = {}
        for number, handle in enumerate(handles):
            for name, ask in asked.items():
                try:
                    found[f"system.gpu.{number}.{name}"] = float(ask(handle))
                except Exception:  # noqa: BLE001, S112 - not every GPU tells everything
                    continue
        return found

    return look

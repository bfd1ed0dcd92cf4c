"""What a measurement was made on. Nothing in it names the machine or a place on it."""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import muniment
import muniment_server

PACKAGES = ("muniment", "msgspec", "numpy", "psycopg", "pyarrow", "sqlalchemy", "uvicorn", "zstandard")


def describe() -> dict[str, Any]:
    """Processor, memory, interpreter, libraries."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def load() -> float:
    """How many processes wanted a processor during the last minute: above the number of cores, figures suffer."""
    return round(os.getloadavg()[0], 1)


def source_digest() -> str:
    """What tells versions of the measured code apart: a digest over its files."""
    made = hashlib.sha256()
    for package in (muniment, muniment_server):
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            made.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return made.hexdigest()[:16]


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def family(pid: int) -> list[int]:
    """A process and all that descend from it, as far as the system says."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == each]
    return found


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> dict[str, float]:
    """MiB of memory of a process: now, and at its greatest; empty where the system does not say."""
    found: dict[str, float] = {}
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in {"VmRSS", "VmHWM"}:
                found["now" if name == "VmRSS" else "peak"] = int(rest.split()[0]) / 1024
    except OSError:
        pass
    return found

"""What the machine gives this process: processors, memory and GPUs, within the limits of its control groups."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from muniment.capture import storable

GPU_SECONDS = 3.0
"""How long nvidia-smi may take."""
GPUS_LIMIT = 64
_UNLIMITED = 1 << 60
"""Version 1 of control groups says so with a number near 2⁶³."""


def hardware(root: Path = Path("/")) -> dict[str, Any]:
    """Machine, operating system, processor, usable cores, usable memory, GPUs; what cannot be told is left out.

    Args:
        root: below which ``proc``, ``sys`` and ``etc`` lie.
    """
    asked: dict[str, Callable[[], object]] = {
        "machine": platform.machine,
        "os": lambda: _system(root),
        "cpu": lambda: _processor(root),
        "cores": lambda: cores(root),
        "cores_total": os.cpu_count,
        "memory_bytes": lambda: memory(root),
        "gpus": lambda: gpus(root),
    }
    found: dict[str, Any] = {}
    for name, ask in asked.items():
        try:
            answer = ask()
        except Exception:  # noqa: BLE001, S112 - one thing that cannot be told hides no other
            continue
        if answer:
            found[name] = storable(answer, 200) if isinstance(answer, str) else answer
    return found


def cores(root: Path = Path("/")) -> float | None:
    """Cores that this process may use: by affinity, and by the quota of every control group around it."""
    try:
        found: float | None = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        found = os.cpu_count()
    limits = [found] if found else []
    for folder in _groups(root, "cpu"):
        quota, period = (_words(folder / "cpu.max") or ["", ""])[:2]
        if not quota:
            quota = "".join(_words(folder / "cpu.cfs_quota_us"))
            period = "".join(_words(folder / "cpu.cfs_period_us"))
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            limits.append(round(int(quota) / int(period), 2))
    return min(limits, default=None)


def memory(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process may use: the machine's, or less where a control group says so."""
    limits = []
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if found:
        limits.append(int(found[1]) * 1024)
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = "".join(_words(folder / name))
            if limit.isdigit() and 0 < int(limit) < _UNLIMITED:
                limits.append(int(limit))
    return min(limits, default=None)


def gpus(root: Path = Path("/")) -> list[dict[str, Any]]:
    """GPUs by nvidia-smi, or by their driver's files where that does not answer."""
    found = []
    for line in ask_gpus("name,memory.total,driver_version"):
        name, size, driver = [*line, "", "", ""][:3]
        found.append({"name": name, "memory_bytes": int(size) << 20} if size.isdigit() else {"name": name})
        found[-1] |= {"driver": driver} if driver else {}
    if not found:
        for file in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
            model = re.search(r"^Model:\s*(.+)$", _text(file), re.MULTILINE)
            found += [{"name": model[1].strip()}] if model else []
    return found[:GPUS_LIMIT]


def ask_gpus(fields: str) -> list[list[str]]:
    """Fields of every GPU, as nvidia-smi has them, without units; nothing if it is not there or not in time."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run(  # noqa: S603 - no shell, and nothing of it comes from elsewhere
            [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=GPU_SECONDS
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    lines = storable(answer.decode("utf-8", "replace"), 65_536).splitlines()
    return [[word.strip() for word in line.split(",")] for line in lines if line.strip()]


def _system(root: Path) -> str:
    named = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text(root / "etc/os-release"), re.MULTILINE)
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    kernel = f"{platform.system()} {platform.release()}"
    return f"{named[1]}, {kernel}" if named else kernel


def _processor(root: Path) -> str | None:
    # platform.processor() would start a program
    found = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else os.environ.get("PROCESSOR_IDENTIFIER")


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups around this process, innermost first, of both versions."""
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not names:
            tops = [mounted, mounted / "unified"]
        elif controller in names.split(","):
            tops = [mounted / names, mounted / controller]
        else:
            continue
        # a container may see its own group at the top, under a path that is the host's
        inner = [part for part in path.split("/") if part not in {"", "..", "."}]
        for top in tops:
            for depth in range(len(inner), -1, -1):
                yield top.joinpath(*inner[:depth])


def _words(file: Path) -> list[str]:
    return _text(file).split()


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""

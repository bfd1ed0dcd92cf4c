"""An environment for each tool, made when it is needed and kept for the next time."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import muniment
from benchmarks.hands.tools import Tool

ROOT = Path(__file__).resolve().parents[2]
_SDK = ROOT / "sdk"
_MARK = "made-for"


class NotInstalled(RuntimeError):
    """A tool could not be installed; the message is pip's reason."""


def default_folder() -> Path:
    """Where environments are kept unless another place is named."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "muniment" / "benchmarks"


def interpreter(tool: Tool, folder: Path, *, here: bool) -> Path:
    """The interpreter that has a tool.

    Args:
        tool: which.
        folder: where environments are kept.
        here: use this process's own interpreter for Muniment.

    Raises:
        NotInstalled: pip refused.
    """
    if not tool.package or (here and not tool.requirement):
        return Path(sys.executable)
    return made(folder, tool.requirement) if tool.requirement else _made(folder / "muniment", str(_SDK), _digest())


def made(folder: Path, requirements: str, over: str = "") -> Path:
    """The interpreter of an environment that has these packages.

    Args:
        folder: where environments are kept.
        requirements: what pip installs, with spaces between.
        over: a package that is installed over them, without what it requires.

    Raises:
        NotInstalled: pip refused.
    """
    named = f"{requirements} {over}".strip()
    return _made(folder / re.sub(r"[^a-z0-9.]+", "-", named), requirements, named, over)


def _made(place: Path, requirements: str, digest: str, over: str = "") -> Path:
    wanted = f"{digest} on Python {sys.version_info.major}.{sys.version_info.minor}"
    mark = place / _MARK
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        try:
            _run([sys.executable, "-m", "venv", str(place)])
            _run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements.split()])
            if over:
                _run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", over])
        except NotInstalled:
            shutil.rmtree(place, ignore_errors=True)
            raise
        mark.write_text(wanted)
    return place / "bin" / "python"


def version(python: Path, tool: Tool) -> str:
    """The version of a tool that an interpreter has."""
    return version_of(python, tool.requirement.partition("==")[0] or "muniment-client")


def version_of(python: Path, name: str) -> str:
    """The version of a package that an interpreter has."""
    program = f"from importlib.metadata import version; print(version({name!r}))"
    found = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _digest() -> str:
    """What tells versions of our own client apart."""
    made = hashlib.sha256((_SDK / "pyproject.toml").read_bytes())
    for file in sorted(Path(str(muniment.__file__)).parent.rglob("*.py")):
        made.update(file.read_bytes())
    return made.hexdigest()[:16]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reasons = [line for line in said if line.startswith("ERROR")] or said[-1:]
        raise NotInstalled("; ".join(reasons) or f"{command[-1]} could not be installed")

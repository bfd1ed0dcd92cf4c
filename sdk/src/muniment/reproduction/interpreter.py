"""Restoring the environment: this interpreter if it is the same, else a virtual environment with what was recorded."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import msgspec

from muniment.capture import environment as environment_
from muniment.capture.secrets import MASK
from muniment.model.errors import Unavailable
from muniment.model.run import Environment
from muniment.reproduction.certificate import EnvironmentKind

Choice = Literal["auto", "current", "recorded"]
DEPTH = 2
"""How many folders below the top of a repository packages that were installed for development are looked for."""
_LIST = (
    "from importlib.metadata import distributions as d\n"
    "for f in d(): print((f.metadata['Name'] or '') + '==' + (f.version or ''))"
)


class Interpreter(msgspec.Struct, frozen=True):
    """A Python to run with."""

    python: Path
    kind: EnvironmentKind
    not_restored: list[str]
    paths: list[Path] = []
    """Folders of the restored code that come first on ``sys.path``: of packages that are installed for development."""


class _CannotBuild(Exception):
    """Why there is no virtual environment, in one line."""


def choose(
    choice: Choice, recorded: Environment, packages: list[str], folder: Path, checkout: Path,
    tell: Callable[[str], None],
) -> Interpreter:  # fmt: skip
    """The Python to run with.

    Args:
        choice: ``current`` for this interpreter, ``recorded`` for what was recorded and nothing else, ``auto`` for
            that or else this interpreter.
        recorded: what is recorded.
        packages: lines of the recorded packages.
        folder: where to make a virtual environment; it does not exist yet.
        checkout: the top of the restored code, for packages that were installed for development from there.
        tell: hears what is being done.

    Raises:
        Unavailable: what was recorded was asked for and cannot be had.
    """
    here, listed = environment_.capture()
    machine, own = _machine(recorded, here), Path(sys.executable)
    found, projects = listed.decode("utf-8", "replace").splitlines(), projects_in(checkout)
    paths, elsewhere = _developed(found, projects)
    if recorded.packages_digest and (recorded.packages_digest, recorded.python) == (here.packages_digest, here.python):
        return Interpreter(own, "same", machine + elsewhere, paths)
    lines = machine + _differences(recorded, packages, here, found) + elsewhere
    if choice == "current":
        return Interpreter(own, "current", lines, paths)
    try:
        if not packages:
            raise _CannotBuild("no packages are recorded")  # noqa: TRY301
        wanted, skipped = requirements(packages, projects)
        if skipped and choice == "auto":
            raise _CannotBuild(skipped[0].removeprefix("environment: "))  # noqa: TRY301
        tell(f"installing {len(wanted):,} packages for Python {recorded.python}")
        python = _build(recorded.python, wanted, folder)
    except _CannotBuild as error:
        if choice == "recorded":
            raise Unavailable(f"the recorded environment cannot be built: {error}; nothing was run") from None
        tell(f"the recorded environment cannot be built ({error}); this interpreter is taken")
        return Interpreter(own, "current", [f"environment: not built, {error}", *lines], paths)
    version, there = _listed_by(python)
    rebuilt = _differences(recorded, packages, Environment(python=version), there, own=False)
    return Interpreter(python, "rebuilt", [*machine, *skipped, *rebuilt])


def _machine(recorded: Environment, here: Environment) -> list[str]:
    """What differs of the machine."""
    then, now = recorded.hardware or {}, here.hardware or {}
    lines = [
        f"machine: {name} was {then[name]}, is {now.get(name, 'not known')}"
        for name in ("machine", "os", "cpu", "cores", "gpus")
        if name in then and then[name] != now.get(name)
    ]
    masked = sorted(name for name, value in (recorded.variables or {}).items() if MASK in value)
    return lines + [f"environment: the variable {name} is masked, and not set" for name in masked]


def _developed(lines: Iterable[str], projects: dict[str, Path]) -> tuple[list[Path], list[str]]:
    """Where packages that are installed for development lie in the restored code, and a line on those that do not."""
    names = [line.partition("==")[0] for line in lines if line.endswith("  # editable")]
    tops = [projects[name] for name in names if name in projects]
    paths = [folder for top in tops for folder in (top / "src", top) if folder.is_dir()]
    others = ", ".join(name for name in names if name not in projects)
    told = f"environment: installed for development, and taken as they are there now: {others}"
    return paths, [told] if others else []


def pins(lines: Iterable[str]) -> dict[str, str]:
    """Versions by normalized name; notes do not count."""
    found = {}
    for line in lines:
        name, sign, version = line.partition("  #")[0].partition("==")
        if sign and not line.startswith("#"):
            found[re.sub(r"[-_.]+", "-", name).lower()] = version.strip()
    return found


def _differences(
    recorded: Environment, packages: list[str], here: Environment, found: list[str], *, own: bool = True
) -> list[str]:
    """What differs of Python and packages; those that only `found` has count if `own`."""
    lines = []
    if recorded.python and recorded.python != here.python:
        lines.append(f"environment: Python was {recorded.python}, is {here.python}")
    if not packages:
        return lines
    then, now = pins(packages), pins(found)
    lines += [
        f"environment: {name} was {then[name]}, is {now.get(name, 'not there')}"
        for name in sorted(then)
        if now.get(name) != then[name]
    ]
    if own:
        lines += [f"environment: {name} was not there, is {now[name]}" for name in sorted(now.keys() - then.keys())]
    return lines


def _build(version: str | None, wanted: list[str], folder: Path) -> Path:
    """The Python of a virtual environment with these packages."""
    base = _python_of(version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([base, "-m", "venv", str(folder)])
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    listed = folder / "requirements.txt"
    listed.write_text("\n".join([*wanted, ""]), "utf-8")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-input", "--disable-pip-version-check"]
    _run([*pip, "--requirement", str(listed)])
    return python


def _python_of(version: str | None) -> str:
    """An interpreter of the recorded version, as far as the second number."""
    found = re.fullmatch(r"(\d+\.\d+)\.\S*?(t?)", version or "")
    if found is None:
        raise _CannotBuild(f"Python {version} is not looked for" if version else "no Python is recorded")
    name = f"python{found[1]}{found[2]}"
    if f"{sys.version_info[0]}.{sys.version_info[1]}{getattr(sys, 'abiflags', '')}" == found[1] + found[2]:
        return sys.executable
    there = shutil.which(name)
    if there is None:
        raise _CannotBuild(f"{name} is not on PATH")
    return there


def _run(command: list[str]) -> None:
    try:
        made = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    except OSError as error:
        raise _CannotBuild(f"{command[0]}: {error.strerror}") from None
    if made.returncode:
        lines = (made.stderr or made.stdout).decode("utf-8", "replace").strip().splitlines()
        errors = [line for line in lines if line.lower().startswith("error")] or lines or ["no reason given"]
        raise _CannotBuild(f"{' '.join(command[1:4])}: {errors[-1].strip()[:300]}")


def projects_in(checkout: Path) -> dict[str, Path]:
    """Folders of a repository that are Python projects, by normalized name."""
    found: dict[str, Path] = {}
    for depth in range(DEPTH + 1):
        for file in sorted(checkout.glob("/".join(["*"] * depth + ["pyproject.toml"]))):
            try:
                name = tomllib.loads(file.read_text("utf-8")).get("project", {}).get("name")
            except (OSError, ValueError):
                continue
            if isinstance(name, str):
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), file.parent)
    return found


def requirements(packages: Iterable[str], projects: dict[str, Path]) -> tuple[list[str], list[str]]:
    """What pip is to install, and lines on what it cannot.

    What was installed from elsewhere than an index is never looked for in one: somebody else may have put a package of
    that name there.

    Args:
        packages: the recorded lines.
        projects: folders of the restored code that are projects, by name.
    """
    wanted, skipped = [], []
    for line in packages:
        pin, _, note = line.partition("  # ")
        name = pin.partition("==")[0]
        if line.startswith("#") or not name:
            continue
        if not note:
            wanted.append(pin)
        elif note == "editable" and name in projects:
            wanted.append(f"--editable {projects[name]}" if " " not in str(projects[name]) else str(projects[name]))
        elif (origin := note.removeprefix("from ")).startswith(("git+https:", "git+ssh:", "https:")):
            wanted.append(f"{name} @ {origin}")
        else:
            where = "for development, from a folder" if note == "editable" else note
            skipped.append(f"environment: {pin} was installed {where}, which is not at hand")
    return wanted, skipped


def _listed_by(python: Path) -> tuple[str, list[str]]:
    """Version and packages of another interpreter."""
    ask = "import platform; print(platform.python_version())\n" + _LIST
    made = subprocess.run([str(python), "-I", "-c", ask], capture_output=True, check=False)  # noqa: S603
    version, _, listed = made.stdout.decode("utf-8", "replace").partition("\n")
    return version.strip(), listed.splitlines()

"""Which program runs, as the interpreter itself knows it."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any, Literal

import msgspec

TEXT_LIMIT = 1024 * 1024
"""Characters of a program that is kept as text."""
_SPAWNED = "--multiprocessing-fork"

Kind = Literal["script", "module", "command", "notebook", "interactive"]


class Entry(msgspec.Struct, frozen=True):
    """How the interpreter was told what to run."""

    kind: Kind
    path: Path | None = None
    """The file that runs, if there is one."""
    module: str | None = None
    """What ``-m`` was given."""
    installed: bool = False
    """Whether the file belongs to an installed package or to Python, so that it says nothing of whose code runs."""


def entry() -> Entry:
    """The program of this process.

    A script that a tool runs (``python -m cProfile train.py``) counts as the program: such tools put it into
    ``sys.argv``. A notebook has no reliable name; Jupyter's and Visual Studio Code's are used where they are told.
    """
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    path = _file(file) or _file(getattr(spec, "origin", None))
    if path is not None and not is_installed(path):
        # `python folder/` has a spec too, but of a module without a package
        named = spec is not None and spec.name != "__main__"
        return Entry("module" if named else "script", path, _module(spec) if named else None)
    if _shell() is not None and (path is None or "ipykernel" in str(path) or "colab" in str(path)):
        return _run_by_tool() or Entry("notebook", _notebook(main))
    if path is not None:
        named = spec is not None and spec.name != "__main__"
        found = _run_by_tool()
        return found or Entry("module" if named else "script", path, _module(spec) if named else None, installed=True)
    if _code() is not None:
        return Entry("command")
    return _run_by_tool() or Entry("interactive")


def _module(spec: Any) -> str:
    return str(spec.name).removesuffix(".__main__")


def _file(name: object) -> Path | None:
    if not isinstance(name, str):
        return None
    path = Path(name).absolute()
    return path if path.is_file() else None


def _run_by_tool() -> Entry | None:
    path = _file(sys.argv[0]) if sys.argv and sys.argv[0].endswith((".py", ".ipynb")) else None
    return Entry("script", path) if path is not None and not is_installed(path) else None


def is_installed(path: Path) -> bool:
    """Whether a file lies where packages and their commands are installed, or is part of Python."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")}
    places |= {str(Path(sys.executable).parent)}
    real = Path(os.path.realpath(path))
    inside = any(place and real.is_relative_to(os.path.realpath(place)) for place in places)
    return inside or bool({"site-packages", "dist-packages"} & set(real.parts))


def _shell() -> Any:
    """IPython, if this process runs in it."""
    module = sys.modules.get("IPython")
    get = getattr(module, "get_ipython", None)
    return get() if callable(get) else None


def _notebook(main: object) -> Path | None:
    for name in (getattr(main, "__vsc_ipynb_file__", None), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(name, str) and name.endswith(".ipynb") and (path := _file(name)) is not None:
            return path
    return None


def _code() -> str | None:
    """What ``-c`` was given."""
    words = iter([] if _SPAWNED in sys.orig_argv else sys.orig_argv[1:])
    for word in words:
        if not word.startswith("-") or word.startswith("--"):
            return None
        options, given, code = word[1:].partition("c")  # as in -Ic CODE or -cCODE
        if options[:1] in {"W", "X"}:
            if len(word) == 2:
                next(words, None)
        elif given:
            return code or next(words, None)
    return None


def text(found: Entry) -> str | None:
    """The program as text: the file, what ``-c`` was given, or the cells that a notebook has run so far."""
    if found.kind == "command":
        program = _code()
    elif found.kind in {"notebook", "interactive"}:
        shell = _shell()
        cells = [] if shell is None else shell.user_ns.get("In", [])
        program = "\n\n".join(f"# In[{n}]:\n{cell}" for n, cell in enumerate(cells) if n and str(cell).strip())
    elif found.path is not None and not found.installed and found.path.stat().st_size <= TEXT_LIMIT:
        program = found.path.read_text("utf-8", errors="replace")
    else:
        program = None
    return program[:TEXT_LIMIT] if program else None


def command() -> list[str]:
    """The command line as it was typed, as far as the interpreter was given it; secrets are still in it."""
    if _SPAWNED in sys.orig_argv or not sys.orig_argv:
        return [sys.executable, *sys.argv]  # a worker of multiprocessing: what started its parent says more
    return list(sys.orig_argv)

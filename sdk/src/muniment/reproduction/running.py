"""Running the recorded command: its words, its variables, and the process itself."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath

from muniment.capture.environment import VARIABLES
from muniment.capture.secrets import MASK
from muniment.model.errors import InvalidInput
from muniment.model.run import REPRODUCES_VARIABLE, Code, Environment
from muniment.reproduction.checkout import Checkout
from muniment.reproduction.interpreter import Interpreter
from muniment.reproduction.plan import masked_words
from muniment.spool import layout

GRACE_SECONDS = 5.0
"""How long a program that is ended may take to end."""
LONG = "program.py"
"""Stands for the text of ``-c`` where it is too long for a recorded command, and kept as the program."""
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*[a-z]?(?:\.exe)?\Z")


def command_of(code: Code, given: list[str] | None) -> list[str]:
    """The words to run: those that were given, or the recorded ones.

    Raises:
        InvalidInput: none are recorded, or some of them are not what was typed.
    """
    if given:
        return given
    if not code.command:
        raise InvalidInput("no command is recorded; say one after --, as in: muniment reproduce RUN -- python train.py")
    if code.entry_point == "-c" and any("… (" in word for word in code.command):
        return [code.command[0], LONG]
    bad = masked_words(code.command)
    if bad:
        raise InvalidInput(
            f"the recorded command says {bad[0][:80]!r}, where something is masked; say it whole after --"
        )
    return code.command


def words(command: list[str], code: Code, checkout: Checkout, python: Path) -> list[str]:
    """A command as it is run here: with this Python, and with paths that lead into the restored code.

    Args:
        command: as it was recorded or given.
        code: what is recorded.
        checkout: the restored code.
        python: takes the place of the one in the command.
    """
    made = list(command)
    if _PYTHON.match(PurePath(made[0]).name):
        before, made[0] = made[0], str(python)
        # an installed command is recorded as the interpreter's: /env/bin/python /env/bin/torchrun train.py
        if len(made) > 1 and PurePath(before).is_absolute() and PurePath(made[1]).parent == PurePath(before).parent:
            made[1] = str(python.parent / PurePath(made[1]).name)
    entry = code.entry_point
    if entry == "-c" and made[1:] == [LONG] and checkout.program is not None:
        return [made[0], str(checkout.program)]
    if not entry or entry.startswith("-"):
        return made
    path = PurePath(entry)
    for at, word in enumerate(made[1:], start=1):
        if path.is_absolute() and PurePath(word).name == path.name and checkout.program is not None:
            made[at] = str(checkout.program)
            break
        outside = PurePath(word).is_absolute() or not code.folder
        if not path.is_absolute() and outside and PurePath(word).parts[-len(path.parts) :] == path.parts:
            old = PurePath(*PurePath(word).parts[: -len(path.parts)])
            made[at] = str(checkout.top / path)
            if old.is_absolute():
                made = [made[0], *(_moved(other, old, checkout.top) for other in made[1:])]
            break
    return made


def _moved(word: str, old: PurePath, top: Path) -> str:
    """A word with a path below `old` at its end, as below `top`: ``/src/a.yaml``, ``--config=/src/a.yaml``."""
    return re.sub(rf"(\A|=){re.escape(str(old))}(?=/|\Z)", lambda found: f"{found[1]}{top}", word)


def variables(
    recorded: Environment,
    surroundings: Mapping[str, str],
    interpreter: Interpreter,
    checkout: Checkout,
    told: Mapping[str, str],
) -> dict[str, str]:
    """The variables of the process.

    Those that change results are as recorded: set, or not set. The rest is what is here; folders on PYTHONPATH that
    lie in the repository the code comes from are those of the restored code.

    Args:
        recorded: what is recorded.
        surroundings: the variables that are set here.
        interpreter: its folder comes first on PATH.
        checkout: the restored code.
        told: variables of our own.
    """
    python = interpreter.python
    made = dict(surroundings)
    if recorded.python or recorded.variables:  # else nobody looked
        for name in VARIABLES:
            made.pop(name, None)
    made |= {name: value for name, value in (recorded.variables or {}).items() if MASK not in value}
    made["PATH"] = os.pathsep.join([str(python.parent), *filter(None, [surroundings.get("PATH")])])
    if (python.parent.parent / "pyvenv.cfg").is_file():
        made["VIRTUAL_ENV"] = str(python.parent.parent)
    else:
        made.pop("VIRTUAL_ENV", None)
    made.pop("PYTHONHOME", None)
    places = [str(path) for path in interpreter.paths]
    for place in filter(None, surroundings.get("PYTHONPATH", "").split(os.pathsep)):
        inside = checkout.origin is not None and Path(place).is_relative_to(checkout.origin)
        places.append(str(checkout.top / Path(place).relative_to(checkout.origin or "")) if inside else place)
    if places:
        made["PYTHONPATH"] = os.pathsep.join(places)
    return made | dict(told)


def shown(command: list[str]) -> str:
    """A command as people read it: quoted as a shell wants it, with nothing in it that a terminal would obey."""
    line = shlex.join(command)
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def told(url: str, project: str, run: str, token: str) -> dict[str, str]:
    """The variables that tell the program where to record, and what for."""
    return {
        "MUNIMENT_URL": url,
        "MUNIMENT_PROJECT": project,
        "MUNIMENT_SPOOL": str(layout.root()),
        REPRODUCES_VARIABLE: f"{run}:{token}",
    }


def run(
    command: list[str], folder: Path, environment: Mapping[str, str], timeout: float | None, *, quiet: bool
) -> int | None:
    """Run a command; its exit status, or None if its time was up and it was ended with all that it started.

    Args:
        command: its words.
        folder: where.
        environment: its variables.
        timeout: seconds that it may take.
        quiet: what it writes to standard output goes to standard error.

    Raises:
        InvalidInput: it cannot be started.
    """
    try:
        child = subprocess.Popen(  # noqa: S603 - somebody was asked
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=sys.stderr.fileno() if quiet else None,
        )  # fmt: skip
    except OSError as error:
        raise InvalidInput(f"{command[0]!r} cannot be started: {error.strerror}") from None
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started, if it still runs: asked first, so that its runs are recorded as ended."""
    if child.poll() is not None:
        return
    for sign in (signal.SIGINT, signal.SIGTERM):
        os.killpg(child.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
            break
    with suppress(ProcessLookupError):  # what it has started may not have listened
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()

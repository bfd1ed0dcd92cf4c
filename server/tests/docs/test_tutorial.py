"""The tutorial holds, word for word: its files are written, its commands run in one shell, their answers compared.

The installation is left to `make`, which does the same; the server listens where it disturbs no other.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.test_readme import LOOSE, ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"
STEP = re.compile(
    r"(?:<!-- (?P<note>[^>]*?) -->\n)?```(?P<kind>console|python)\n(?P<content>.*?)```"
    r"(?:\n\n<!-- answer -->\n```text\n(?P<answer>.*?)```)?",
    re.DOTALL,
)
END = "-- end of an answer --"


class Shell:
    """One shell for the whole tutorial, as its reader has."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home = home
        self._errors = (home / "errors").open("w+")
        self._process = subprocess.Popen(
            ["bash", "--norc", "-m"], cwd=home, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip

    def run(self, line: str) -> str:
        """What a command prints; it must succeed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f'{line}\necho "{END} $?"\n')
        self._process.stdin.flush()
        found = []
        for printed in self._process.stdout:
            if printed.startswith(END):
                assert printed.split()[-1] == "0", f"{line}\n{''.join(found)}\n{self.errors()}"
                return "".join(found)
            found.append(printed)
        raise AssertionError(f"the shell ended at {line}: {self.errors()}")

    def as_read(self, answer: str) -> str:
        """An answer as the reader of the tutorial gets it, whose environment and home are others."""
        answer = answer.replace(sys.executable, "python").replace(str(self._home), "…")
        rows = [row.rstrip() for row in answer.strip("\n").splitlines()]
        # packages installed for development are this repository's own; what the sender at work has sent, sync has not
        odd = ("installed for development", "entries sent")
        return "\n".join(row for row in rows if not any(part in row for part in odd))

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-3_000:]

    def close(self) -> None:
        """End it, and the server that it may have started."""
        with self._process, self._errors:
            assert self._process.stdin is not None
            self._process.stdin.write("kill $(jobs -p) 2> /dev/null; wait; exit\n")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A newcomer's shell: a home with nothing in it."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in (
        ("muniment", f'exec {sys.executable} -c "from muniment.cli import main; main()" "$@"'),
        ("python", f'exec {sys.executable} "$@"'),
    ):
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MUNIMENT_", "GIT_", "XDG_"))}
    made = Shell(
        home,
        {**kept, "HOME": str(home), "PATH": f"{commands}:{kept['PATH']}", "COLUMNS": "110", "PORT": str(port),
         "MUNIMENT_URL": f"http://127.0.0.1:{port}"},
    )  # fmt: skip
    yield made
    made.close()


def loose(answer: str) -> str:
    """An answer without what differs from day to day: ids, times, lengths of lines, digits of floats."""
    answer = re.sub(r"…[0-9a-f]{6,}|\b[0-9a-f]{12}\b", "#", answer)
    return re.sub(r"[─━#]+", "#", LOOSE.sub("#", answer)).strip("#")


def prepared(line: str) -> str:
    """A command as the test runs it."""
    if line == "muniment serve &":  # where nobody else listens, and not before it answers
        ready = "import os, urllib.request as r; r.urlopen(os.environ['MUNIMENT_URL'] + '/health')"
        wait = f'until python -c "{ready}" 2>/dev/null; do sleep 0.2; done'
        return f"muniment serve --port $PORT > serve.log 2>&1 & {wait}"
    return line


def test_the_tutorial_holds(shell: Shell) -> None:
    text = TUTORIAL.read_text("utf-8")
    made: list[str] = []
    last = asked = 0
    for step in STEP.finditer(text):
        made.append(text[last : step.start()])
        last = step.end()
        whole = step[0]
        if step["kind"] == "python":
            name = re.fullmatch(r"file: (\S+)", step["note"])
            assert name is not None
            shell.run(f"cat > {name[1]} <<'END_OF_FILE'\n{step['content']}END_OF_FILE")
        elif not (step["note"] or "").startswith("not run"):
            lines = [line.removeprefix("$ ") for line in step["content"].splitlines()]
            answer = shell.as_read("".join(shell.run(prepared(line)) for line in lines))
            if os.environ.get("MUNIMENT_UPDATE"):
                whole = whole.partition("\n\n<!-- answer -->")[0]
                whole += f"\n\n<!-- answer -->\n```text\n{answer}\n```" if answer else ""
            else:
                assert loose(answer) == loose(step["answer"] or ""), step[0]
            asked += bool(answer)
        made.append(whole)
    if os.environ.get("MUNIMENT_UPDATE"):
        TUTORIAL.write_text("".join(made) + text[last:], "utf-8")
    assert asked >= 8

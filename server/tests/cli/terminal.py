"""A `muniment` command on a real terminal of a given size."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

from robustness.server import clean_environment

STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""What changes colours and weight, and nothing else."""


class Terminal:
    """A command that runs on a terminal.

    Args:
        arguments: of `muniment`.
        columns: of the terminal.
        environment: further variables.
    """

    def __init__(self, *arguments: str, columns: int, environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        given = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment}
        kept = {name: value for name, value in clean_environment(given).items() if name != "COLUMNS"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from muniment.cli import main; main()", *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=kept, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.said = ""

    def read(self, seconds: float = 60.0, until: str | None = None) -> str:
        """What was printed, until something is there or the command has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (until is None or until not in self.said):
            ready, _, _ = select.select([self._master], [], [], 0.2)
            if not ready:
                continue
            try:
                piece = os.read(self._master, 65_536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            self.said += piece.decode(errors="replace")
        return self.said

    def end(self, seconds: float = 60.0) -> int:
        """Wait for its end; the exit status."""
        self.read(seconds)
        code = self.process.wait(seconds)
        os.close(self._master)
        return code


def printed(*arguments: str, columns: int, **environment: str) -> str:
    """What a command that succeeds prints on a terminal."""
    terminal = Terminal(*arguments, columns=columns, environment=environment)
    assert terminal.end() == 0, terminal.said
    return terminal.said.replace("\r\n", "\n")

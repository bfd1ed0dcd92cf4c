"""Progress bars of commands that take long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

T = TypeVar("T")
Report = Callable[[str, int, int], None]
"""Hears what is being done, how far it is, and of how much."""


def with_bars(work: Callable[[Report], T]) -> T:
    """Do something and show how far it is, where somebody looks: on a terminal, beside the answer."""
    columns = TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("reading")

        def report(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total)

        return work(report)

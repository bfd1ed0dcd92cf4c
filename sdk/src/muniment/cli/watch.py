"""`muniment watch`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from muniment.cli.metrics import drawn, sparklines
from muniment.cli.options import LogOption, ProjectOption, UrlOption, opened
from muniment.cli.references import run_reference
from muniment.cli.runs import STATES, lasted
from muniment.cli.screen import Screen
from muniment.cli.tables import Part, lines
from muniment.client import Client
from muniment.model.metric import Summary
from muniment.model.run import TERMINAL, RunData
from muniment.model.search import Query

WAIT = 10.0
"""Seconds that one question to the change feed waits for news; the clock of the view goes on at least so often."""
READ = 200
"""Changes that are looked through; where more came at once, the run is read without looking."""
AROUND = 4
"""Lines of a frame that are no metrics."""
LEFT = 130
"""Exit status of who left before the run ended."""


class Watched(msgspec.Struct, kw_only=True):
    """A run as it was last read, and its sparklines."""

    data: RunData
    drawn: dict[str, str]
    cursor: str
    """Where the change feed goes on."""


def watch(
    run: Annotated[str, typer.Argument(help="The run's id, or its name.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this metric; may be given again.", metavar="NAME")
    ] = None,
    log: LogOption = False,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and leave.")] = False,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two frames at the least.")] = 0.5,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document a line for each frame: the run as it is then.")
    ] = False,
) -> None:
    """A run as it goes: the latest value and a sparkline of each metric, anew whenever something is recorded.

    It waits at the change feed, so a quiet run costs next to nothing. It ends when the run does, with exit status 0;
    Ctrl-C leaves before, with 130. With --json: lines of {"run", "params", "tags", "metrics"}.

    Examples:
      muniment watch neural-network-22

      muniment watch neural-network-22 --metric train_loss --log

      muniment watch neural-network-22 --once --json
    """
    screen = Screen()
    try:
        with opened(url, project) as client:
            view = _View(client, screen, metric or [], log=log)
            watched = view.begin(run_reference(client, run))
            if json:
                _follow(view, watched, every, once=once, show=lambda now: screen.json(now.data))
            elif once or not screen.terminal:
                _follow(view, watched, every, once=once, show=lambda now: _print(screen, now))
            else:
                with _live(screen) as show:
                    _follow(view, watched, every, once=False, show=show)
    except KeyboardInterrupt:
        raise typer.Exit(LEFT) from None


def _follow(view: _View, watched: Watched, every: float, *, once: bool, show: Callable[[Watched], None]) -> None:
    """Show a run again and again until it ends."""
    while True:
        shown_at = time.monotonic()
        show(watched)
        if once or watched.data.run.state in TERMINAL:
            return
        fresh = False
        while not fresh:
            fresh = view.news(watched)
            if not fresh and view.screen.terminal:
                show(watched)  # the clock goes on
        time.sleep(max(0.0, every - (time.monotonic() - shown_at)))
        view.read(watched)


class _View:
    """What is read of a run, and when.

    Args:
        client: of the store.
        screen: that it is drawn on.
        metrics: names of those that are shown; empty is all.
        log: whether lines are drawn on a logarithmic scale.
    """

    def __init__(self, client: Client, screen: Screen, metrics: list[str], *, log: bool) -> None:
        self.client = client
        self.screen = screen
        self.metrics = metrics
        self.log = log

    def begin(self, run: str) -> Watched:
        """The run as it is, and the place in the feed from which news of it come."""
        cursor = str(self.client.search(Query(limit=0)).position)  # before the run is read, so that nothing is missed
        data = self._chosen(self.client.get_run(run))
        return Watched(data=data, drawn=self._lines(data.run.id, data.metrics), cursor=cursor)

    def news(self, watched: Watched) -> bool:
        """Wait for something to be recorded; whether it was about the run."""
        page = self.client.changes(after=watched.cursor, wait=WAIT, limit=READ)
        watched.cursor = page.next
        if len(page.changes) == READ:
            watched.cursor = str(page.position)
            return True
        run = watched.data.run.id
        return any(
            (change.data.points is not None and change.data.points.run == run)
            or any(revision.record == run for revision in change.data.revisions)
            for change in page.changes
        )

    def read(self, watched: Watched) -> None:
        """Read the run, and the series to which something came."""
        data = self._chosen(self.client.get_run(watched.data.run.id))
        before = watched.data.metrics
        grown = {
            name: summary for name, summary in data.metrics.items()
            if name not in before or before[name].position != summary.position
        }  # fmt: skip
        watched.drawn.update(self._lines(data.run.id, grown))
        watched.data = data

    def _chosen(self, data: RunData) -> RunData:
        if not self.metrics:
            return data
        kept = {name: data.metrics[name] for name in self.metrics if name in data.metrics}
        return msgspec.structs.replace(data, metrics=kept)

    def _lines(self, run: str, metrics: dict[str, Summary]) -> dict[str, str]:
        return sparklines(self.client, self.screen, run, metrics, log=self.log)


def frame(screen: Screen, data: RunData, drawn_lines: dict[str, str], now: datetime, height: int) -> list[list[Part]]:
    """The lines of one frame.

    Args:
        screen: that it is for.
        data: the run.
        drawn_lines: sparklines by metric.
        now: until which a run that goes on has lasted.
        height: lines at the most.
    """
    run = data.run
    step = max((summary.last_step for summary in data.metrics.values()), default=None)
    head: list[Part] = [
        (run.name, "bold"), ("  ", ""), (run.state, STATES.get(run.state, "green")), (f"  {lasted(run, now)}", ""),
        ("" if step is None else f"  step {step}", ""),
    ]  # fmt: skip
    made = [head, [(run.id, "dim")]]
    if not data.metrics:
        return [*made, [("no metrics yet", "dim")]]
    room = max(1, height - AROUND)
    shown = dict(list(data.metrics.items())[:room])
    made += lines(screen.safe(drawn(shown, drawn_lines)), screen.width, screen.glyphs.more)
    if len(shown) < len(data.metrics):
        made.append([(f"and {len(data.metrics) - len(shown)} more; --metric chooses", "dim")])
    return made


def _print(screen: Screen, watched: Watched) -> None:
    for parts in frame(screen, watched.data, watched.drawn, datetime.now(UTC), 10_000):
        screen.line(*parts)
    if watched.data.run.state not in TERMINAL:
        screen.line()


@contextmanager
def _live(screen: Screen) -> Iterator[Callable[[Watched], None]]:
    """A place on the terminal where each frame takes the place of the one before; the last one stays."""
    with Live(console=screen.console, auto_refresh=False, vertical_overflow="crop") as live:

        def show(watched: Watched) -> None:
            screen.measure()
            made = frame(screen, watched.data, watched.drawn, datetime.now(UTC), screen.console.height)
            texts: list[Text] = [screen.text(*parts) for parts in made]
            live.update(Group(*texts), refresh=True)

        yield show

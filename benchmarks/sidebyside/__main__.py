"""Muniment beside the real MLflow server: ``python -m benchmarks.sidebyside``.

Both servers run on this machine, over the same kind of database, and get the same load over MLflow's own protocol, in
turns. Before the clock starts, their answers are compared. MLflow lives in an environment of its own, which is made on
demand. Speed never makes it fail; a refused request or answers that differ do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import machine
from benchmarks.hands import environments
from benchmarks.results import Report, load, save
from benchmarks.sidebyside import comparing, filling, plotting, rows, showing, sides
from benchmarks.sidebyside.amounts import FULL, QUICK, Amounts
from benchmarks.sidebyside.measuring import Bench, disk
from benchmarks.sidebyside.sides import OURS, MLflowStore, MunimentStore, Side, Store
from benchmarks.stores import ENGINES, Home

MLFLOW, DRIVER = "3.18.0", "psycopg2-binary==2.9.11"
BEFORE = "3.17.2"
"""The release whose requirements serve, where the index has MLflow without all parts that it requires."""
DEFAULT_WORKERS = 4
"""As many as MLflow's server takes by itself."""


class Progress:
    """Says what is being done, and since when."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def say(self, what: str) -> None:
        """A step begins."""
        self._console.print(f"[dim]{self.seconds:5.0f} s[/dim]  {what}", highlight=False)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for on the command line.

    Attributes:
        engines: databases.
        workers: of MLflow's servers; none is as many as it takes by itself.
        durability: of Muniment's server.
        python: the interpreter that has MLflow.
    """

    engines: Sequence[str]
    workers: Sequence[int | None]
    durability: str
    python: Path


def run(report: Report, order: Order, amounts: Amounts, folder: Path, progress: Progress) -> None:
    """Measure everything, one engine after the other."""
    report.machine["load_before"] = machine.load()
    for engine in order.engines:
        home = Home(engine, folder)
        report.settings[engine] = home.settings()
        _measure(report, order, amounts, home, progress)
    report.machine["load_after"] = machine.load()
    report.settings["source_changed"] = machine.source_digest() != report.settings["source"]


def _measure(report: Report, order: Order, amounts: Amounts, home: Home, progress: Progress) -> None:
    """One engine: one store of each side, served until all is done."""
    ours: Store = MunimentStore(home, ["--durability", order.durability])
    theirs: Store = MLflowStore(home, order.python)
    running: list[Side] = []

    def say(what: str) -> None:
        progress.say(f"{home.engine}: {what}")

    try:
        for store, workers in ((ours, None), (theirs, order.workers[0])):
            say(f"starting {'MLflow' if running else OURS}")
            running.append(store.serve(workers))
        lengths = sorted({amounts.chart, amounts.theirs.series, amounts.ours.series})
        for at, store in enumerate((ours, theirs)):
            running[at].rest()
            say(f"bytes on disk, {running[at].name}")
            running[at] = disk(home.engine, running[at], store, amounts, report)
            say(f"putting {amounts.runs:,} runs and {len(lengths)} series into {running[at].name}")
            running[at] = store.fill(running[at], amounts.runs, amounts.width, lengths)
        for workers in order.workers[1:]:
            running.append(theirs.serve(workers))
            for name in (filling.SEARCHED, filling.SERIES):
                running[-1].find_experiment(name)
        for side in running:
            side.begin()
        say("comparing their answers")
        comparing.pages(running, rows.QUESTIONS)
        for length in lengths:
            comparing.series(running, length)
        with closing(Bench(home.engine, running, amounts, report, order.python)) as bench:
            for repetition in range(1, amounts.repetitions + 1):
                for name, measure in bench.shapes():
                    say(f"{name}, {repetition} of {amounts.repetitions}")
                    for side in running:
                        measure(side)
            bench.memory()
    finally:
        for side in running:
            side.stop()
        ours.drop()
        theirs.drop()


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    given = _parser().parse_args(arguments)
    amounts = _amounts(given)
    console = Console(width=None if sys.stdout.isatty() else 220)
    if given.show:
        report = load(given.show)
        showing.show(report, console)
    else:
        report = _measured(given, amounts, console)
    if given.plot:
        plotting.draw(report, given.plot)
    if given.markdown:
        showing.write(report, given.markdown, given.plot)
    return 0


def _measured(given: argparse.Namespace, amounts: Amounts, console: Console) -> Report:
    progress = Progress(console)
    progress.say("the environment of MLflow")
    python = _python(given, console)
    order = Order(
        engines=list(ENGINES) if given.engine == "both" else [given.engine], workers=_workers(given.workers),
        durability=given.durability, python=python,
    )  # fmt: skip
    report = Report(
        machine=machine.describe(),
        settings={
            "amounts": msgspec.to_builtins(amounts), "mlflow": environments.version_of(python, "mlflow"),
            "psycopg2": environments.version_of(python, "psycopg2-binary"), "durability": order.durability,
            "sides": [OURS, *map(sides.name_of, order.workers)], "source": machine.source_digest(),
            "quick": given.quick,
        },
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="muniment-benchmark-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user where this one is root
    try:
        run(report, order, amounts, folder, progress)
    finally:  # what was measured before something failed is worth keeping
        report.settings["seconds"] = round(progress.seconds)
        shutil.rmtree(folder, ignore_errors=True)
        showing.show(report, console)
        if given.json:
            save(report, given.json)
    return report


def _python(given: argparse.Namespace, console: Console) -> Path:
    """MLflow as its index has it; or, if a part of it is missing there, over what an earlier release requires."""
    wanted = f"mlflow=={given.mlflow}"
    try:
        return environments.made(given.environments, f"{wanted} {DRIVER}")
    except environments.NotInstalled as error:
        reason = str(error).partition("(from versions")[0].strip()
        console.print(f"[dim]{reason}; taking what mlflow {BEFORE} requires[/dim]", highlight=False)
        return environments.made(given.environments, f"mlflow=={BEFORE} {DRIVER}", wanted)


def _workers(given: str | None) -> list[int | None]:
    if given:
        return [int(part) if part != "default" else None for part in given.split(",")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [1, None] if cores >= DEFAULT_WORKERS else [1]


def _amounts(given: argparse.Namespace) -> Amounts:
    chosen = {"runs": given.runs, "width": given.width, "repetitions": given.repetitions}
    amounts = QUICK if given.quick else FULL
    return msgspec.structs.replace(amounts, **{name: value for name, value in chosen.items() if value})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidebyside", description=__doc__)
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--quick", action="store_true", help="small amounts, once: to see that everything runs")
    parser.add_argument("--runs", type=int, help=f"in the store that is searched ({FULL.runs:,})")
    parser.add_argument("--width", type=int, help=f"params, and metrics, of each of these runs ({FULL.width})")
    parser.add_argument("--repetitions", type=int, help=f"of every row ({FULL.repetitions})")
    parser.add_argument(
        "--workers", help="of MLflow's servers, with commas between: 1, and default where there are as many cores",
    )  # fmt: skip
    parser.add_argument("--durability", choices=["process", "full"], default="process", help="of Muniment's server")
    parser.add_argument("--mlflow", default=MLFLOW, help=f"its version ({MLFLOW})")
    parser.add_argument(
        "--environments", type=Path, default=environments.default_folder(),
        help="where MLflow is installed, in an environment of its own (a cache in the user's home)",
    )  # fmt: skip
    parser.add_argument("--show", type=Path, help="measure nothing: take the figures of this file")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the page to this file")
    parser.add_argument("--plot", type=Path, help="write the plot, an SVG, to this file")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that servers are ended with it
    sys.exit(main())

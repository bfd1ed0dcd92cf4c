"""The core, measured: ``python -m benchmarks.core``.

Starts a real server on a fresh store for each engine and repetition, drives it from other processes, and measures
beside every figure what the machine does with the same bytes. Repetitions are interleaved over engines and shapes, so
that a noisy minute hits all of them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import keeping, machine, searching, tables, writing
from benchmarks.empty import EmptyServer
from benchmarks.results import Report, load, save
from benchmarks.serving import Server
from benchmarks.sizes import FULL, QUICK, Sizes
from benchmarks.stores import ENGINES, Home


def run(report: Report, engines: list[str], sizes: Sizes, folder: Path, console: Console) -> None:
    """Measure everything.

    Args:
        report: where figures go.
        engines: which.
        sizes: how much.
        folder: where stores may lie.
        console: where progress goes.
    """
    homes = [Home(engine, folder) for engine in engines]
    report.settings.update({home.engine: home.settings() for home in homes})
    report.machine["load_before"] = machine.load()
    report.settings["source"] = machine.source_digest()
    started = time.monotonic()

    def say(what: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.0f} s[/dim]  {what}")

    searched = {}
    for home in homes:
        say(f"{home.engine}: loading the runs to search")
        searched[home.engine] = searching.Searched(home, report, sizes)
        say(f"{home.engine}: bytes on disk")
        keeping.disk(home, report, sizes)
    for repetition in range(1, sizes.repetitions + 1):
        for home in homes:
            say(f"{home.engine}: writing, {repetition} of {sizes.repetitions}")
            _writing(home, report, sizes)
        for home in homes:
            say(f"{home.engine}: series, keeper, verification, {repetition} of {sizes.repetitions}")
            place = home.create()
            keeping.measure(place, report, sizes)
            home.drop(place)
        for home in homes:
            say(f"{home.engine}: searching, {repetition} of {sizes.repetitions}")
            searched[home.engine].measure()
    for home in homes:
        home.drop(searched[home.engine].place)
    report.machine["load_after"] = machine.load()
    report.settings["source_changed"] = machine.source_digest() != report.settings["source"]
    report.settings["seconds"] = round(time.monotonic() - started)


def _writing(home: Home, report: Report, sizes: Sizes) -> None:
    place = home.create()
    empty = EmptyServer()
    try:
        with Server(place) as server:
            writing.Bench(server, empty, report, sizes).measure()
    finally:
        empty.stop()
    home.drop(place)
    place = home.create()
    writing.embedded(place, report, sizes)
    home.drop(place)


def main(arguments: list[str] | None = None) -> int:
    """The command line; speed never makes it fail."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core", description=__doc__)
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--quick", action="store_true", help="small amounts, once: to see that everything runs")
    parser.add_argument("--runs", type=int, help="runs to search (20,000)")
    parser.add_argument("--repetitions", type=int, help="of every shape (3)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file, between its marks if it has them")
    parser.add_argument("--against", type=Path, help="show ratios to the figures in this file")
    given = parser.parse_args(arguments)
    sizes = QUICK if given.quick else FULL
    if given.runs:
        sizes = msgspec.structs.replace(sizes, search_runs=given.runs)
    if given.repetitions:
        sizes = msgspec.structs.replace(sizes, repetitions=given.repetitions)
    baseline = load(given.against) if given.against else None
    console = Console(width=None if sys.stdout.isatty() else 200)
    report = Report(machine=machine.describe(), settings={"sizes": msgspec.to_builtins(sizes)})
    folder = Path(tempfile.mkdtemp(prefix="muniment-benchmark-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user where this one is root
    try:
        run(report, list(ENGINES) if given.engine == "both" else [given.engine], sizes, folder, console)
    finally:  # what was measured before something failed is worth keeping
        shutil.rmtree(folder, ignore_errors=True)
        tables.show(report, console, baseline)
        if given.json:
            save(report, given.json)
    if given.markdown:
        tables.write(report, given.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What logging costs a training loop: ``python -m benchmarks.hands``.

Muniment's client beside wandb (offline), aim (a local repository) and MLflow (asynchronous logging), in one run,
interleaved. Each tool lives in an environment of its own, which is made on demand. Speed never makes it fail; points
that are missing afterwards do.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import machine
from benchmarks.hands import environments, showing
from benchmarks.hands.measuring import Bench, Failed
from benchmarks.hands.tools import FULL, QUICK, SHAPES, TOOLS, Amounts, Tool
from benchmarks.results import Report, save


class Progress:
    """Says what is being done, how far it is and since when."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._steps = steps
        self._done = 0
        self._started = time.monotonic()

    def say(self, what: str) -> None:
        """A step begins."""
        self._done += 1
        seconds = time.monotonic() - self._started
        self._console.print(f"[dim]{seconds:5.0f} s  {self._done:3} of {self._steps}[/dim]  {what}", highlight=False)


def benches(
    tools: Sequence[Tool], amounts: Amounts, report: Report, folder: Path, console: Console, *, here: bool
) -> list[Bench]:
    """The tools that can be measured; the others are told with their reason."""
    made = []
    for tool in tools:
        console.print(f"[dim]{tool.name}: its environment[/dim]", highlight=False)
        try:
            python = environments.interpreter(tool, folder, here=here)
        except environments.NotInstalled as error:
            report.settings["absent"].append(f"{tool.name}: {error}")
            continue
        report.settings["tools"][tool.name] = environments.version(python, tool) if tool.package else ""
        made.append(Bench(tool, python, amounts, report))
    return made


def run(report: Report, made: Sequence[Bench], amounts: Amounts, console: Console) -> None:
    """Measure everything, tool after tool within every shape, so that a noisy minute hits all of them."""
    packages = list({bench.tool.package: bench for bench in reversed(made) if bench.tool.package}.values())[::-1]
    progress = Progress(console, amounts.repetitions * (len(packages) + len(made) * len(SHAPES)))
    report.machine["load_before"] = machine.load()
    started = time.monotonic()
    for repetition in range(1, amounts.repetitions + 1):
        of = f"{repetition} of {amounts.repetitions}"
        for bench in packages:
            progress.say(f"{bench.tool.name}: import, {of}")
            try:
                bench.imports()
            except Failed as error:
                bench.faults.append(str(error))
        for shape in SHAPES:
            for bench in made:
                progress.say(f"{bench.tool.name}: {shape.name}, {of}")
                bench.log(shape)
    report.machine["load_after"] = machine.load()
    report.settings["seconds"] = round(time.monotonic() - started)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 when a tool failed or points are missing."""
    given = _parser().parse_args(arguments)
    amounts = QUICK if given.quick else FULL
    chosen = {"points": given.points, "repetitions": given.repetitions, "seconds": given.seconds}
    amounts = msgspec.structs.replace(amounts, **{name: value for name, value in chosen.items() if value})
    console = Console(width=None if sys.stdout.isatty() else 220)
    names = given.tools.split(",") if given.tools else [tool.name.replace(", ", "-") for tool in TOOLS]
    known = {tool.name.replace(", ", "-"): tool for tool in TOOLS}
    if unknown := [name for name in names if name not in known]:
        console.print(f"no tool is called {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    report = Report(
        machine=machine.describe(),
        settings={"amounts": msgspec.to_builtins(amounts), "tools": {}, "absent": [], "seconds": 0},
    )
    report.settings["source"] = machine.source_digest()
    made = benches([known[name] for name in names], amounts, report, given.environments, console, here=given.here)
    try:
        run(report, made, amounts, console)
    finally:  # what was measured before something failed is worth keeping
        for kind in ("remarks", "faults"):
            report.settings[kind] = [line for bench in made for line in getattr(bench, kind)]
        showing.show(report, console)
        if given.json:
            save(report, given.json)
    if given.markdown:
        showing.write(report, given.markdown)
    return 1 if report.settings["faults"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hands", description=__doc__)
    every = ",".join(tool.name.replace(", ", "-") for tool in TOOLS)
    parser.add_argument("--tools", help=f"only these, with commas between ({every})")
    parser.add_argument("--quick", action="store_true", help="small amounts, once: to see that everything runs")
    parser.add_argument("--points", type=int, help=f"logged while memory is watched ({FULL.points:,})")
    parser.add_argument("--repetitions", type=int, help=f"of everything ({FULL.repetitions})")
    parser.add_argument("--seconds", type=float, help=f"of logging in one measurement, at the most ({FULL.seconds:g})")
    parser.add_argument(
        "--environments", type=Path, default=environments.default_folder(),
        help="where the tools are installed, each in an environment of its own (a cache in the user's home)",
    )  # fmt: skip
    parser.add_argument("--here", action="store_true", help="take Muniment's client from this very interpreter")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the page to this file")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that servers are ended with it
    sys.exit(main())

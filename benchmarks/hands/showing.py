"""The table: a row for each figure, a column for each tool, ratios to Muniment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.hands.tools import TOOLS
from benchmarks.results import Figure, Report
from benchmarks.tables import number

OURS, LOOP = "muniment", "nothing"
_TINY = 1e-9
_HOW = (
    "- Every measurement is a fresh process, a fresh run and a fresh place, with every point read back afterwards.\n"
    "- *Of a call*: the clock around each call, less what the clock itself takes. *Whole loop*: what the loop took "
    "beyond the same loop that logs nothing, before and after; it holds what a tool's threads and processes take from "
    "the loop between the calls.\n"
    "- *Until the run has ended*: what a script waits for. *Until everything has arrived*: for Muniment, until the "
    "server counts every point; for others the same as before, because their end of a run waits.\n"
    "- *Processor time of its other processes* and of the server are looked at ten times a second; the server's holds "
    "what it does until it has compacted. *On disk*: files that the points added, wherever the tool put them, when "
    "all is done; without a server of MLflow its empty database is among them. *Files beside it*: the same on the "
    "machine that trains, without what a server keeps, at each quarter.\n"
)


def shapes(report: Report) -> list[str]:
    """What was done, in the order in which it was first measured."""
    return list(dict.fromkeys(figure.shape for figure in report.figures))


def tools(report: Report) -> list[str]:
    """The tools that were measured."""
    return [name for name in report.settings["tools"] if any(figure.engine == name for figure in report.figures)]


def rows(report: Report, shape: str, cell: Callable[[Report, Figure], str]) -> Iterator[list[str]]:
    """The rows of one shape: measure, unit, and a cell for each tool."""
    found = [figure for figure in report.figures if figure.shape == shape]
    for what, unit in dict.fromkeys((figure.what, figure.unit) for figure in found):
        cells = []
        for name in tools(report):
            figure = report.find(name, shape, what)
            cells.append(cell(report, figure) if figure else "")
        yield [what, unit, *cells]


def cell(report: Report, figure: Figure) -> str:
    """The median, and how many times Muniment's median it is."""
    text = number(figure.median)
    ours = report.find(OURS, figure.shape, figure.what)
    if figure.engine in {OURS, LOOP} or ours is None or ours.median <= _TINY or figure.median <= _TINY:
        return text
    return f"{text} ({number(figure.median / ours.median)} x)"


def show(report: Report, console: Console) -> None:
    """Print what was measured, and what is to be known about it."""
    for shape in shapes(report):
        table = Table(title=shape, title_justify="left")
        for at, header in enumerate(("measure", "unit", *tools(report))):
            table.add_column(header, justify="left" if at < 2 else "right")
        for row in rows(report, shape, cell):
            table.add_row(*row)
        console.print(table)
    for kind in ("absent", "remarks", "faults"):
        for line in report.settings[kind]:
            console.print(f"[{'red' if kind == 'faults' else 'yellow'}]{kind}[/]: {line}", highlight=False)


def write(report: Report, path: Path) -> None:
    """Write the page."""
    path.write_text("\n".join(_page(report)) + "\n")


def _page(report: Report) -> Iterator[str]:
    made, settings = report.machine, report.settings
    amounts = settings["amounts"]
    yield "# What logging costs a training loop"
    yield ""
    yield (
        "Written by `python -m benchmarks.hands --markdown benchmarks/hands.md`. Medians of "
        f"{amounts['repetitions']} repetitions, interleaved over the tools; in brackets, how many times Muniment's. "
        "Absolute figures belong to one machine on one day."
    )
    yield ""
    yield (
        f"{made['cpu']}, {made['cores']} cores, {made['memory_gib']} GiB; {made['system']}; Python {made['python']}; "
        f"SQLite {made['sqlite']}; load of the machine {made['load_before']} before and {made['load_after']} after; "
        f"{settings['seconds'] // 60} minutes. Servers run on the same machine and share its cores."
    )
    yield ""
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in settings["tools"].items() if version) + "."
    yield ""
    yield _HOW
    for shape in shapes(report):
        yield f"## {shape[0].upper()}{shape[1:]}"
        yield ""
        yield f"| measure | unit | {' | '.join(tools(report))} |"
        yield f"|---|---|{'--:|' * len(tools(report))}"
        for row in rows(report, shape, cell):
            yield f"| {' | '.join(row)} |"
        yield ""
    for kind, title in (("absent", "Not measured"), ("remarks", "Fewer calls"), ("faults", "Faults")):
        if settings[kind]:
            yield from (f"## {title}", "", *(f"- {line}" for line in settings[kind]), "")
    yield "## Noticed"
    yield ""
    for tool in TOOLS:
        if tool.name in tools(report) and tool.noticed:
            yield f"- **{tool.name}**: {tool.noticed}"

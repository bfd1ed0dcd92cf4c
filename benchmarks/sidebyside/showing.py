"""The tables, in the terminal and as a page: a row for each thing that is done, a column for each server."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.results import Figure, Report
from benchmarks.sidebyside import rows
from benchmarks.sidebyside.rows import Row
from benchmarks.sidebyside.sides import OURS
from benchmarks.stores import ENGINES
from benchmarks.tables import number

TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_BESIDE = ("ms of a request, median", "ms of a request, p99", "processor ms of the server")


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One row with its figures.

    Attributes:
        times: how many times as good as the best of MLflow's servers; none where MLflow has no figure.
        reached: whether the goal is; none where there is no goal.
    """

    row: Row
    figures: dict[str, Figure]
    times: float | None
    reached: bool | None


def engines(report: Report) -> list[str]:
    """The databases that were measured."""
    return [engine for engine in ENGINES if any(figure.engine == engine for figure in report.figures)]


def compared(report: Report, engine: str) -> Iterator[Compared]:
    """The rows of one engine that were measured."""
    amounts = report.settings["amounts"]
    for row in rows.every(amounts["runs"], amounts["chart"]):
        found = {
            side: figure for side in report.settings["sides"]
            if (figure := report.find(engine, row.name, side)) is not None
        }  # fmt: skip
        if not found:
            continue
        ours = found.get(OURS)
        theirs = [figure.median for side, figure in found.items() if side != OURS]
        times = None
        if ours is not None and theirs:
            times = ours.median / max(theirs) if row.more_is_better else min(theirs) / ours.median
        reached = None
        if row.goal is not None and ours is not None:
            reached = row.goal.reached(times, ours.median)
        yield Compared(row=row, figures=found, times=times, reached=reached)


def _headers(report: Report) -> list[str]:
    return ["what", "unit", *report.settings["sides"], "times as good", "goal", "reached"]


def _cells(report: Report, each: Compared) -> list[str]:
    row = each.row
    figures = [number(each.figures[side].median) if side in each.figures else "" for side in report.settings["sides"]]
    times = "" if each.times is None else f"{number(each.times)} x"
    goal = "" if row.goal is None else row.goal.text(row.unit)
    reached = "" if each.reached is None else ("yes" if each.reached else "no")
    return [row.name, row.unit, *figures, times, goal, reached]


def show(report: Report, console: Console) -> None:
    """Print everything."""
    for engine in engines(report):
        table = Table(title=TITLES[engine], title_justify="left")
        headers = _headers(report)
        for at, header in enumerate(headers):
            table.add_column(header, justify="left" if at < 2 else "right")
        for each in compared(report, engine):
            table.add_row(*_cells(report, each))
        console.print(table)
        table = Table(title=f"{TITLES[engine]}: requests", title_justify="left")
        for at, header in enumerate(("what", "server", *_BESIDE)):
            table.add_column(header, justify="left" if at < 2 else "right")
        for cells in _requests(report, engine):
            table.add_row(*cells)
        console.print(table)
        table = Table(title=f"{TITLES[engine]}: what the machine does at most", title_justify="left")
        for at, header in enumerate(_BOUNDS):
            table.add_column(header, justify="left" if at < 2 else "right")
        for cells in _bounds(report, engine):
            table.add_row(*cells)
        console.print(table)


def _requests(report: Report, engine: str) -> Iterator[list[str]]:
    """What is known of the single requests of the rows that write."""
    for each in compared(report, engine):
        for side, figure in each.figures.items():
            found = [statistics.median(figure.aside[name]) for name in _BESIDE if name in figure.aside]
            if len(found) == len(_BESIDE):
                yield [each.row.name, side, *map(number, found)]


def write(report: Report, path: Path, plot: Path | None) -> None:
    """Write the page."""
    path.write_text("\n".join(_page(report, plot)) + "\n")


def _page(report: Report, plot: Path | None) -> Iterator[str]:
    yield "# Performance, beside MLflow"
    yield ""
    yield (
        "What Muniment's MLflow door does beside the real `mlflow server`, in one run on one machine, over the same "
        "kind of database and MLflow's own protocol. Written by `make bench`; absolute figures belong to one machine "
        "on one day, the ratios travel better."
    )
    if report.settings["quick"]:
        yield ""
        yield "**Measured with `--quick`: small amounts, once. These figures only show that everything runs.**"
    yield ""
    yield _made_on(report)
    yield ""
    if plot is not None:
        yield f"![How many times as good as MLflow, for each row]({plot.name})"
        yield ""
    for engine in engines(report):
        yield from _section(report, engine)
    yield from _method(report)


def _section(report: Report, engine: str) -> Iterator[str]:
    headers = _headers(report)
    yield f"## {TITLES[engine]}"
    yield ""
    yield f"| {' | '.join(headers)} |"
    yield f"|---|---|{'--:|' * (len(headers) - 4)}---|---|"
    for each in compared(report, engine):
        yield f"| {' | '.join(_cells(report, each))} |"
    yield ""
    yield "Single requests of the rows that write or read a series, medians over the repetitions:"
    yield ""
    yield f"| {' | '.join(('what', 'server', *_BESIDE))} |"
    yield f"|---|---|{'--:|' * len(_BESIDE)}"
    for cells in _requests(report, engine):
        yield f"| {' | '.join(cells)} |"
    yield ""
    bounds = list(_bounds(report, engine))
    if bounds:
        yield (
            "What the machine does at most with the same: a server that does nothing, on the same HTTP stack, is sent "
            "the same requests, and the bare driver is given the same rows, with their indexes, in as many commits. "
            "*Both* is one after the other, as a client sees it who waits for its commit."
        )
        yield ""
        yield f"| {' | '.join(_BOUNDS)} |"
        yield f"|---|---|{'--:|' * (len(_BOUNDS) - 2)}"
        for cells in bounds:
            yield f"| {' | '.join(cells)} |"
        yield ""


_BOUNDS = ("what", "unit", rows.EMPTY, rows.BARE, "both", "both, times MLflow", "Muniment's share of both")


def _bounds(report: Report, engine: str) -> Iterator[list[str]]:
    """What no server can exceed by much, of the rows that write."""
    for each in compared(report, engine):
        found = [report.find(engine, each.row.name, what) for what in (rows.EMPTY, rows.BARE)]
        empty, bare = (None if figure is None else figure.median for figure in found)
        ours = each.figures.get(OURS)
        if empty is None or bare is None or ours is None:
            continue
        both = 1 / (1 / empty + 1 / bare)
        times = "" if each.times is None else f"{number(each.times * both / ours.median)} x"
        yield [each.row.name, each.row.unit, *map(number, (empty, bare, both)), times, f"{ours.median / both:.0%}"]


def _made_on(report: Report) -> str:
    made, settings = report.machine, report.settings
    postgres = settings.get("postgresql", {})
    parts = [
        f"{made['cpu']}, {made['cores']} cores that servers, database and clients share, {made['memory_gib']} GiB",
        made["system"], f"Python {made['python']}", f"SQLite {made['sqlite']}",
        *([f"PostgreSQL {postgres['server_version']} (fsync {postgres['fsync']})"] if postgres else []),
        f"Muniment {made['packages'].get('muniment', '')} with `--durability {settings['durability']}`",
        f"MLflow {settings['mlflow']} with psycopg2 {settings['psycopg2']}",
        f"repetitions: {settings['amounts']['repetitions']}, in {settings['seconds'] // 60} minutes",
    ]  # fmt: skip
    if "load_after" in made:
        parts.append(f"load of the machine {made['load_before']} before and {made['load_after']} after")
    changed = settings.get("source_changed")
    return "; ".join(parts) + (". The code was changed while it was measured." if changed else ".")


def _method(report: Report) -> Iterator[str]:
    amounts = report.settings["amounts"]
    yield from ("## How to measure it again", "", "```sh", *_COMMANDS, "```", "")
    yield from ("## How it is measured", "")
    for line in _how(amounts, report.settings):
        yield f"- {line}"
    yield from ("", "## Limits", "")
    for line in _LIMITS:
        yield f"- {line}"
    yield from ("", "## Elsewhere", "")
    yield (
        "What Muniment does beside the limits of the machine, over its own API: "
        "[benchmarks](../../benchmarks/README.md) (`make bench-core`). What `run.log` costs a training loop, beside "
        "wandb, aim and MLflow's client: [hands](../../benchmarks/hands.md) "
        "(`python -m benchmarks.hands`). Lineage in a graph of a million links: [lineage](../../benchmarks/lineage.md)."
        " What keeps each goal that is not reached: [decision 9](../internals/decisions/0009-speed.md)."
    )


_COMMANDS = (
    "make bench                                            # everything; writes this page, the plot and a JSON file",
    "python -m benchmarks.sidebyside --quick               # small amounts, once: does it run?",
    "python -m benchmarks.sidebyside --engine sqlite       # one database",
    "python -m benchmarks.sidebyside --runs 200000         # search in more runs; 1000000 takes an hour to put in",
    "python -m benchmarks.sidebyside --workers 1,default   # MLflow with one worker, and with as many as it takes",
    "python -m benchmarks.sidebyside --durability full     # Muniment syncs every commit on SQLite, as MLflow does",
)


def _how(amounts: dict[str, Any], settings: dict[str, Any]) -> Iterator[str]:
    ours, theirs = amounts["ours"], amounts["theirs"]
    yield (
        "Both servers are real processes with their default settings, apart from the number of MLflow's workers "
        f"({', '.join(settings['sides'][1:])}; by itself it takes four). They are up all the time and take turns in "
        "each row; an idle MLflow takes less than one hundredth of a core. *Times as good* compares with the better of "
        "MLflow's servers."
    )
    yield (
        "Requests are worded as MLflow's client words them, encoded before the clock starts, and sent by one process "
        "over kept connections, one for each client; each waits for its answer before it sends again. Every answer is "
        "checked to be no refusal."
    )
    yield (
        f"Muniment gets {ours['batches']:,} log-batch requests, {ours['singles']:,} calls and {ours['runs']:,} runs in "
        f"a repetition, MLflow {theirs['batches']:,}, {theirs['singles']:,} and {theirs['runs']:,}, of the same size."
    )
    yield (
        f"The store that is searched has {amounts['runs']:,} runs of {amounts['width']} params, {amounts['width']} "
        "metrics and 4 tags, put in by Muniment's import on one side and as rows of MLflow's tables on the other. "
        "Before anything is timed, both answer every question, and runs, params, metrics, tags and order must be equal."
    )
    yield (
        f"The series that is read back has {ours['series']:,} points for Muniment and {theirs['series']:,} for MLflow, "
        "which pages by offset and so reads a longer one more slowly. Its chart has "
        f"{amounts['chart']:,} points on both sides; every point of an answer must be one that was logged."
    )
    yield (
        "Before each question for a page or a chart, a point is logged to another run, so that no answer can be kept "
        "from the time before; *once more* asks again without that."
    )
    yield (
        f"Bytes on disk: {ours['disk']:,} points for Muniment, {theirs['disk']:,} for MLflow, logged over the protocol "
        "to an empty store; the whole database less what it was before. Muniment's keeper has sealed and packed; "
        "PostgreSQL has written all tables anew (`VACUUM FULL`) on both sides."
    )
    yield (
        "Memory: resident set sizes of a server's processes, added up, after everything else in the table; *the most* "
        "is the sum of what each had at the most. PostgreSQL's own processes are not in it, nor is what it took to put "
        "in the runs: Muniment's server is started anew after that."
    )
    yield (
        "The client rows run MLflow's unmodified Python client of the same version against both servers. What it takes "
        "itself is a large part of them."
    )


_LIMITS = (
    "On SQLite, MLflow's acknowledged writes survive a loss of power, Muniment's do with `--durability full`.",
    "On PostgreSQL both wait for the same commit.",
    "Client, server and database share the machine's cores. On more cores both servers gain, MLflow with more workers.",
    "Nothing crosses a network.",
    "Pages and charts are asked for while other runs get points, but not while many clients write.",
)

"""What is shown: a table for people, in the terminal and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.results import Figure, Report

HEADERS = ("shape", "measure", "unit", "median", "min", "max", "limit of the machine", "share of it")
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
_UNITS_BELOW = 100


def number(value: float) -> str:
    """A figure with three digits that count."""
    if value >= _UNITS_BELOW:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cells(figure: Figure) -> list[str]:
    """One row of the table."""
    limit, share = figure.tightest, figure.share
    return [
        figure.shape,
        figure.what,
        figure.unit,
        number(figure.median),
        number(min(figure.values)),
        number(max(figure.values)),
        f"{number(limit[1])} ({limit[0]})" if limit else "",
        f"{share:.2f}" if share is not None else "",
    ]


def show(report: Report, console: Console, baseline: Report | None) -> None:
    """Print every figure, with its ratio to the baseline's if there is one."""
    for engine in dict.fromkeys(figure.engine for figure in report.figures):
        table = Table(title=engine, title_justify="left")
        for at, header in enumerate(HEADERS):
            table.add_column(header, justify="left" if at < 3 or at == 6 else "right")
        if baseline is not None:
            table.add_column("against baseline", justify="right")
        before = ""
        for figure in report.figures:
            if figure.engine != engine:
                continue
            shape, *rest = cells(figure)
            more = [] if baseline is None else [against(figure, baseline)]
            table.add_row("" if shape == before else shape, *rest, *more)
            before = shape
        console.print(table)


def write(report: Report, path: Path) -> None:
    """Write the table to a file; into one that has the marks of `BEGIN` and `END`, between them."""
    text = path.read_text() if path.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    made = markdown(report)
    path.write_text(f"{before}{begin}\n\n{_made_on(report)}\n\n{made}{end}{after}" if begin and end else made)


def _made_on(report: Report) -> str:
    found, seconds = report.machine, report.settings.get("seconds", 0)
    postgres = report.settings.get("postgresql", {}).get("server_version")
    parts = [
        f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB", found["system"],
        f"Python {found['python']}", f"SQLite {found['sqlite']}", *([f"PostgreSQL {postgres}"] if postgres else []),
        f"{report.settings['sizes']['repetitions']} repetitions in {seconds // 60} minutes",
    ]  # fmt: skip
    busy = found.get("load_before"), found.get("load_after")
    if None not in busy:
        parts.append(f"load of the machine {busy[0]} before and {busy[1]} after")
    changed = report.settings.get("source_changed")
    return "; ".join(parts) + (". The code was changed while it was measured." if changed else ".")


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def others(figure: Figure) -> str:
    """The limits that are further away, and what binds nothing."""
    tightest = figure.tightest
    medians = {name: statistics.median(values) for name, values in (figure.limits | figure.aside).items()}
    return ", ".join(f"{number(v)} ({name})" for name, v in medians.items() if tightest is None or name != tightest[0])


def against(figure: Figure, baseline: Report) -> str:
    """How many times as good as the baseline: above 1 is better, whichever direction the unit has."""
    old = baseline.find(figure.engine, figure.shape, figure.what)
    if old is None or not old.median or not figure.median:
        return "new"
    ratio = figure.median / old.median if figure.more_is_better else old.median / figure.median
    return f"{ratio:.2f} times"


def markdown(report: Report) -> str:
    """The table as Markdown, one for each engine, with every limit."""
    lines: list[str] = []
    for engine in dict.fromkeys(figure.engine for figure in report.figures):
        lines += [f"### {engine}", "", _row((*HEADERS, "also")), "|---|---|---|--:|--:|--:|---|--:|---|"]
        lines += [_row((*cells(figure), others(figure))) for figure in report.figures if figure.engine == engine]
        lines.append("")
    return "\n".join(lines)

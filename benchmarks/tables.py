"""What is shown: a table for people, in the terminal and as Markdown."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.results import Figure, Report

HEADERS = ("shape", "measure", "unit", "median", "min", "max", "limit of the machine", "share of it")
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
        for figure in report.figures:
            if figure.engine == engine:
                table.add_row(*cells(figure), *([] if baseline is None else [against(figure, baseline)]))
        console.print(table)


def against(figure: Figure, baseline: Report) -> str:
    """How many times as good as the baseline: above 1 is better, whichever direction the unit has."""
    old = baseline.find(figure.engine, figure.shape, figure.what)
    if old is None or not old.median or not figure.median:
        return "new"
    ratio = figure.median / old.median if figure.more_is_better else old.median / figure.median
    return f"{ratio:.2f} ×"


def markdown(report: Report) -> str:
    """The table as Markdown, one for each engine, all limits listed."""
    lines: list[str] = []
    for engine in dict.fromkeys(figure.engine for figure in report.figures):
        lines += [f"### {engine}", "", "| " + " | ".join(HEADERS) + " |", "|---|---|---|--:|--:|--:|---|--:|"]
        lines += ["| " + " | ".join(cells(figure)) + " |" for figure in report.figures if figure.engine == engine]
        lines.append("")
    return "\n".join(lines)

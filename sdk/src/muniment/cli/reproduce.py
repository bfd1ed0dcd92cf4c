"""`muniment reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from muniment.cli.options import ProjectOption, UrlOption, opened
from muniment.cli.references import is_id, quoted, run_called
from muniment.fluent import DEFAULT_URL
from muniment.model.errors import InvalidInput, MunimentError
from muniment.model.run import CHANGES, PROGRAM, REPRODUCES
from muniment.model.search import Query
from muniment.reproduction.certificate import Certificate, MetricComparison
from muniment.reproduction.comparing import Tolerance
from muniment.reproduction.interpreter import Choice
from muniment.reproduction.plan import Recorded
from muniment.reproduction.reproducing import Wish
from muniment.reproduction.reproducing import reproduce as run_again
from muniment.reproduction.running import shown

STATUS = {"equal": 0, "within_tolerance": 0, "different": 1, "failed": 2}
SHOWN = 40
"""Lines of what was not restored, and metrics, that are shown; --json has all."""


def reproduce(
    run: Annotated[
        str, typer.Argument(help="The run, by id, URN or name; or a model version that it made: model:risk@3.")
    ],
    command: Annotated[
        list[str] | None, typer.Argument(help="After --: a command to run in place of the recorded one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything runs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is recorded and would run.")] = False,
    environment: Annotated[
        Choice, typer.Option(help="The Python to use: the recorded one, this one, or this one if that cannot be had.")
    ] = "auto",
    repository: Annotated[
        str | None, typer.Option(help="Path or URL that has the commit. Default: the repository here, or the recorded.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to put code and environment. Default: a temporary folder.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary folder.")] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="Relative difference of values that is allowed.")] = 0.0,
    absolute: Annotated[float, typer.Option(min=0, help="Absolute difference that is allowed, for around 0.")] = 0.0,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds that the command may take.")] = None,
    url: UrlOption = None,
    project: ProjectOption = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Run again what a run recorded, and certify how far the same came out.

    It runs on this machine what somebody has recorded, so it shows the plan and asks first.
    Exit status 0: equal, or within tolerance; 1: different; 2: it could not be run.

    Examples:
      muniment reproduce 01a207c63dd6795d8d96970421e6fe67

      muniment reproduce model:digits@champion --yes --tolerance 1e-9

      muniment reproduce 01a207c63dd6795d8d96970421e6fe67 -- python train.py --seed 8
    """

    def agreed(recorded: Recorded, words: list[str]) -> bool:
        if not (yes or dry_run or sys.stdin.isatty()):
            raise InvalidInput("this runs on this machine what was recorded; there is nobody to ask, so say --yes")
        _console(stderr=not dry_run).print(plan_of(recorded, words))
        return not dry_run and (yes or typer.confirm("Run this here?", err=True))

    wish = Wish(
        command=command or None, folder=folder, keep=keep, repository=repository, environment=environment,
        tolerance=Tolerance(tolerance, absolute), timeout=timeout, quiet=json,
    )  # fmt: skip
    try:
        found = run_again(
            url or DEFAULT_URL, project or "default", _named(url, project, run), wish, agreed=agreed,
            tell=lambda line: typer.echo(f"muniment: {line}", err=True),
        )  # fmt: skip
    except MunimentError as error:
        typer.echo(f"muniment: {error}", err=True)
        raise typer.Exit(2) from None
    if found is None:
        raise typer.Exit(0 if dry_run else 2)
    if json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        show(found, _console())
    raise typer.Exit(STATUS[found.verdict])


def _console(*, stderr: bool = False) -> Console:
    """Recorded text is shown as it is: markup in it could hide what is going to run."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def plan_of(recorded: Recorded, command: list[str]) -> Table:
    """What is recorded, what would run, and what is missing."""
    table = Table(title="to be run on this machine", title_justify="left", show_header=False)
    run, code, environment = recorded.run, recorded.code, recorded.environment
    table.add_row("run", f"{run.name}  {run.id}")
    table.add_row("command", shown(command))
    if code.commit:
        changes = ", with changes that were not committed" if CHANGES in recorded.artifacts else ""
        table.add_row("code", f"commit {code.commit[:12]}{changes}")
        table.add_row("repository", code.repository or "no URL is recorded")
        table.add_row("folder", code.folder or "not recorded")
    elif {CHANGES, PROGRAM} & recorded.artifacts.keys():
        table.add_row("code", "the program alone" if PROGRAM in recorded.artifacts else "files without a commit")
    else:
        table.add_row("code", "not recorded")
    packages = f", {len(recorded.packages):,} packages" if recorded.packages else ""
    table.add_row("environment", f"Python {environment.python or 'not recorded'}{packages}")
    for name, value in (environment.variables or {}).items():
        table.add_row("variable", f"{name}={value}")
    for name, seed in (run.seeds or {}).items():
        table.add_row("seed", f"{name} {seed}")
    for name in recorded.used.values():
        table.add_row("data", name)
    for line in recorded.missing()[:SHOWN]:
        table.add_row("missing", line)
    return table


def show(found: Certificate, console: Console) -> None:
    """The certificate, for people."""
    lines = [f"{found.verdict.replace('_', ' ')}{f': {found.reason}' if found.reason else ''}"]
    lines += [f"{found.of} reproduced by {found.by}"] if found.by else []
    lines += [f"environment: {found.environment}; code: {found.code}"]
    for line in lines:
        console.print(line, soft_wrap=True)
    ordered = sorted(found.metrics.items(), key=lambda item: (item[1].verdict == "equal", item[0]))
    if ordered:
        table = Table("metric", "verdict", "points", "at step", "original", "reproduction")
        for name, metric in ordered[:SHOWN]:
            table.add_row(name, *_row(metric))
        console.print(table)
    if len(ordered) > SHOWN:
        console.print(f"and {len(ordered) - SHOWN:,} more metrics")
    told = [f"differs: {name} was {before}, is {after}" for name, (before, after) in found.params.items()]
    told += [f"not restored: {line}" for line in found.not_restored]
    for line in told[:SHOWN]:
        console.print(line, soft_wrap=True)
    if len(told) > SHOWN:
        console.print(f"and {len(told) - SHOWN:,} more lines")


def _row(metric: MetricComparison) -> tuple[str, ...]:
    first, second = metric.points
    points = str(first) if first == second else f"{first}, {second}"
    if metric.step is None:
        return metric.verdict.replace("_", " "), points, "", "", ""
    values = metric.original, metric.reproduction
    shown = ["none" if value is None else value if isinstance(value, str) else f"{value:.6g}" for value in values]
    if shown[0] == shown[1]:  # they differ further behind
        shown = [repr(value) for value in values]
    return metric.verdict.replace("_", " "), points, str(metric.step), *shown


def _named(url: str | None, project: str | None, text: str) -> str:
    """What the store calls the run that is meant; of several with a name, the one that repeats none."""
    if ":" in text or "@" in text or is_id(text):
        return text
    with opened(url, project) as client:
        where = f"name = {quoted(text)} AND tags.`{REPRODUCES}` IS NULL"
        found = client.search(Query(where=where, columns=[], limit=2)).runs
        return found[0].run.id if len(found) == 1 else run_called(client, text)

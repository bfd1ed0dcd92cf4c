"""The command line with everything that is installed."""

from __future__ import annotations

from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from muniment.cli.best import best
from muniment.cli.reproduce import reproduce
from muniment.cli.sync import sync


def build() -> typer.Typer:
    """The client's commands, and those that other packages add."""
    app = typer.Typer(
        help="Muniment: a centralized metadata store for machine learning.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_root)
    app.command("best")(best)
    app.command("reproduce")(reproduce)
    app.command("sync")(sync)
    for point in sorted(entry_points(group="muniment.commands"), key=lambda found: found.name):
        point.load()(app)
    return app


def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the release and exit.")] = False,
) -> None:
    """Muniment: a centralized metadata store for machine learning."""
    if show_version:
        typer.echo(f"muniment {version('muniment-client')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())

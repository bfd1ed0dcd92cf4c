"""The command line with everything that is installed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from muniment.cli.best import best
from muniment.cli.compare import compare
from muniment.cli.history import history
from muniment.cli.lineage import lineage
from muniment.cli.reproduce import reproduce
from muniment.cli.runs import runs
from muniment.cli.search import search
from muniment.cli.show import show
from muniment.cli.sync import sync
from muniment.cli.watch import watch

READING: dict[str, Callable[..., None]] = {
    "runs": runs, "show": show, "best": best, "compare": compare, "lineage": lineage, "history": history,
    "search": search, "watch": watch, "sync": sync, "reproduce": reproduce,
}  # fmt: skip
"""The client's own commands."""


def build(*, alone: bool = False) -> typer.Typer:
    """The client's commands, and those that other packages add.

    Args:
        alone: without the others, whose import takes longer than most answers.
    """
    app = typer.Typer(
        help="Muniment: a centralized metadata store for machine learning.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_root)
    for name, command in READING.items():
        app.command(name, help=_help(command))(command)
    if alone:
        return app
    for point in sorted(entry_points(group="muniment.commands"), key=lambda found: found.name):
        point.load()(app)
    groups = [found.typer_instance for found in app.registered_groups if found.typer_instance is not None]
    for registered in (command for group in (app, *groups) for command in group.registered_commands):
        if registered.help is None and registered.callback is not None:
            registered.help = _help(registered.callback)
    return app


def _help(command: Callable[..., None]) -> str:
    """A command's docstring; its examples stay as they are, one a line, so that they can be copied."""
    text, head, examples = (inspect.getdoc(command) or "").partition("Examples:\n")
    lines = [line for line in examples.splitlines() if line.strip()]
    return "\n".join([text + "\b", head.strip(), *lines]) if lines else text


def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the release and exit.")] = False,
) -> None:
    """Muniment: a centralized metadata store for machine learning."""
    if show_version:
        typer.echo(f"muniment {version('muniment-client')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())

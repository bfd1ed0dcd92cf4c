"""Commands that go several ways: `muniment import FOLDER` and `muniment import mlflow URI`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

FOLDER = "folder"
"""The way that is meant when none is named."""


class _Ways(TyperGroup):
    """A group whose first word may be left out: what is none of its commands is what the first of them is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] != ["--help"] and (not args or args[0] not in self.commands):
            args = [FOLDER, *args]
        return super().parse_args(ctx, args)


def ways(text: str, **commands: Callable[..., None]) -> typer.Typer:
    """A group of commands, one of which is `FOLDER`.

    Args:
        text: what the group does.
        commands: by their names.
    """
    group = typer.Typer(cls=_Ways, help=text, rich_markup_mode=None, subcommand_metavar="[FOLDER | COMMAND] [ARGS]...")
    for name, command in commands.items():
        group.command(name)(command)
    return group

"""The `muniment` command. The server's commands join it by entry point."""

from __future__ import annotations

import sys

from muniment.model.errors import MunimentError


def main() -> None:
    """Run the command line; an error is one line and exit status 1."""
    try:
        from muniment.cli.app import READING, build  # noqa: PLC0415 - a training image has no typer
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit("the command line needs two more packages: pip install 'muniment-client[cli]'")
    try:
        build(alone=len(sys.argv) > 1 and sys.argv[1] in READING)()
    except MunimentError as error:
        sys.exit(f"muniment: {error}")

"""Options that the reading commands share, and the store that they choose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from muniment import fluent
from muniment.client import Client
from muniment.model.errors import NotFound, Unavailable

UrlOption = Annotated[
    str | None,
    typer.Option(
        help="http://HOST:PORT, or a store's own URL such as sqlite:///PATH.", envvar="MUNIMENT_URL", metavar="URL"
    ),
]
ProjectOption = Annotated[str | None, typer.Option(help="The project.", envvar="MUNIMENT_PROJECT", metavar="SLUG")]
AsOfOption = Annotated[
    str | None, typer.Option(help="A position or a time: the answer as it was then.", metavar="POSITION|TIME")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document, times absolute.")]
LogOption = Annotated[bool, typer.Option("--log", help="Draw sparklines on a logarithmic scale.")]


@contextmanager
def opened(url: str | None, project: str | None) -> Iterator[Client]:
    """The store that was chosen, for as long as a command reads it.

    Raises:
        NotFound: it is a file that does not exist; reading must not make one.
        Unavailable: nobody answers there.
    """
    chosen = url or os.environ.get("MUNIMENT_URL") or fluent.DEFAULT_URL
    file = chosen.removeprefix("sqlite:///").partition("?")[0] if chosen.startswith("sqlite:///") else ""
    if file and not Path(file).exists():
        raise NotFound(f"there is no store at {file}; check --url, or record something there first")
    try:
        yield fluent.connect(chosen, project)
    except Unavailable as error:
        if "cannot be reached" not in error.message:
            raise
        raise Unavailable(f"{error.message}; start a server there (muniment serve), or choose with --url") from None
    finally:
        fluent.disconnect()

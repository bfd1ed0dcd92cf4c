"""`muniment demo`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from muniment import fluent
from muniment.model.errors import Unavailable
from muniment_server.commands.options import StoreOption, store_url


def demo(
    store: StoreOption = None,
    url: Annotated[str | None, typer.Option(help="Record to a running server instead of a store.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Do nothing if the demo is there already.")] = False,
    trial: Annotated[int | None, typer.Option(min=1, help="Train only this model, by its number.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="What the models draw their random numbers from.")] = None,
) -> None:
    """Train a sweep of scikit-learn models on the data sets it ships, and record all of it.

    The data and how it was divided, every run, and the best models with how good they are on what was held out.

    Examples:
      muniment demo

      muniment demo --url http://127.0.0.1:5050
    """
    if find_spec("sklearn") is None:
        raise Unavailable("the demo trains scikit-learn models: pip install 'muniment[demo]'")
    from muniment_server.commands import record  # noqa: PLC0415 - it imports scikit-learn

    if trial is not None and url is None:  # as recorded: where it goes, whoever runs it says by this variable
        url = os.environ.get("MUNIMENT_URL")
    target = url or store_url(store)
    # nothing is sent before somebody asks, so that the demo has the same positions wherever it is recorded
    os.environ.setdefault("MUNIMENT_GATHER_SECONDS", "3600")
    os.environ.setdefault("MUNIMENT_CAPTURE", "none")  # it says itself what ran
    fluent.connect(target)
    try:
        if once and fluent.search("tags.demo = 'sweep'", limit=1, columns=[]):
            return
        if trial is not None:
            record.one(trial, seed)
            return
        columns = TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=Console(stderr=True)) as progress:
            count = record.everything(progress, seed)
    finally:
        fluent.disconnect()
    option = f" --url {target}" if url or store else ""
    typer.echo(f"recorded {count} runs; ask which is best: muniment best accuracy{option}")

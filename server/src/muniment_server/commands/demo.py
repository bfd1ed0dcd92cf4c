"""`muniment demo`."""

from __future__ import annotations

from importlib.metadata import version
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
) -> None:
    """Train a sweep of scikit-learn models on the data sets it ships, and record every run.

    Examples:
      muniment demo

      muniment demo --url http://127.0.0.1:5050
    """
    if find_spec("sklearn") is None:
        raise Unavailable("the demo trains scikit-learn models: pip install 'muniment[demo]'")
    from muniment_server.commands import sweep  # noqa: PLC0415 - it imports scikit-learn

    target = url or store_url(store)
    fluent.connect(target)
    try:
        if once and fluent.search("tags.demo = 'sweep'", limit=1, columns=[]):
            return
        trials = list(sweep.trials())
        splits = {name: sweep.load(name) for name in sweep.DATASETS}
        columns = TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("training", total=len(trials))
            for number, trial in enumerate(trials, start=1):
                progress.update(task, description=f"{trial.dataset} · {trial.model}")
                with fluent.start_run(
                    trial.dataset,
                    f"{trial.model}-{number:02}",
                    params={"model": trial.model, **trial.params},
                    tags={"demo": "sweep", "scikit-learn": version("scikit-learn")},
                    seeds={"numpy": sweep.SEED},
                ) as run:
                    sweep.train(trial, splits[trial.dataset], run)
                progress.advance(task)
    finally:
        fluent.disconnect()
    option = f" --url {target}" if url or store else ""
    typer.echo(f"recorded {len(trials)} runs; ask which is best: muniment best accuracy{option}")

"""Muniment: record runs, data and models, and ask what was best, what made it and from what, now and as of the past.

::

    import muniment

    with muniment.start_run("churn", params={"lr": 0.1}) as run:
        run.log({"auc": 0.91}, step=0)

    muniment.best("auc").run.name
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muniment.client import Client
    from muniment.fluent import (
        attach,
        best,
        best_on,
        compare,
        connect,
        connection,
        dataset,
        disconnect,
        evaluate,
        explain,
        history,
        lineage,
        register,
        reproduce,
        search,
        start_run,
    )
    from muniment.model.errors import MunimentError
    from muniment.recorder import ActiveRun

__all__ = [
    "ActiveRun",
    "Client",
    "MunimentError",
    "attach",
    "best",
    "best_on",
    "compare",
    "connect",
    "connection",
    "dataset",
    "disconnect",
    "evaluate",
    "explain",
    "history",
    "lineage",
    "register",
    "reproduce",
    "search",
    "start_run",
]

_HOMES = dict.fromkeys(__all__, "muniment.fluent") | {
    "ActiveRun": "muniment.recorder",
    "Client": "muniment.client",
    "MunimentError": "muniment.model.errors",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for on first use, so that `import muniment` costs next to nothing."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'muniment' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    found = getattr(import_module(home), name)
    globals()[name] = found
    return found

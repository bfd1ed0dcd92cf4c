"""The two sides: a store with a server over it, and what the bench needs of both alike."""

from __future__ import annotations

import http.client
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

import msgspec

from benchmarks.mlflow_server import MLflowServer
from benchmarks.serving import Server
from benchmarks.sidebyside import filling
from benchmarks.sidebyside.protocol import BASE
from benchmarks.stores import Bare, Home, Place
from benchmarks.wire import Refused
from muniment_server.annexes import keeper

OURS = "Muniment"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
"""Nothing is sent out of the machine while it is measured."""
_WAIT_SECONDS = 600


class Serving(Protocol):
    """What is asked of a running server."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def processor(self) -> float:
        """Seconds of processor time of its processes."""

    @property
    def memory(self) -> dict[str, float]:
        """MiB resident of all its processes: now, and the greatest they had."""

    def stop(self) -> None:
        """End it."""


class Side:
    """One server that speaks the protocol.

    Args:
        name: in the table.
        server: the running server.
    """

    def __init__(self, name: str, server: Serving) -> None:
        self.name = name
        self.server = server
        self.experiments: dict[str, str] = {}
        """The numbers of experiments, by name."""
        self.place: Place | None = None
        """Muniment's store."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    @property
    def is_ours(self) -> bool:
        """Whether it is Muniment."""
        return self.name == OURS

    def begin(self) -> None:
        """Wait until it has started whatever it starts by itself."""

    def rest(self) -> None:
        """Wait until nothing is left to do of what was asked before."""

    def ask(self, method: str, path: str, body: object = None, **query: object) -> bytes:
        """One request outside of what is measured; the body of its answer.

        Raises:
            Refused: it was.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_SECONDS)
        raw = None if body is None else msgspec.json.encode(body)
        target = f"{BASE}/{path}" + (f"?{urlencode(query)}" if query else "")
        connection.request(method, target, raw, {} if raw is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 300:
            raise Refused(f"{self.name}: {method} {target} answered {answer.status}: {content[:300]!r}")
        return content

    def experiment(self, name: str) -> str:
        """The number of an experiment, which is created if it is not there."""
        if name not in self.experiments:
            try:
                self.find_experiment(name)
            except Refused:
                answer = msgspec.json.decode(self.ask("POST", "experiments/create", {"name": name}))
                self.experiments[name] = str(answer["experiment_id"])
        return self.experiments[name]

    def find_experiment(self, name: str) -> None:
        """Remember the number of an experiment that is there."""
        found = msgspec.json.decode(self.ask("GET", "experiments/get-by-name", experiment_name=name))
        self.experiments[name] = str(found["experiment"]["experiment_id"])

    def stop(self) -> None:
        """End the server."""
        self.server.stop()


class Store(Protocol):
    """A database of one side."""

    def serve(self, workers: int | None = None) -> Side:
        """Start a server over it."""

    def fill(self, side: Side, count: int, width: int, lengths: Sequence[int]) -> Side:
        """Put in runs to search and series to read; the server to go on with."""

    def weigh(self, side: Side) -> tuple[int, Side]:
        """(bytes that it uses on disk once everything is packed, the server to go on with)."""

    def drop(self) -> None:
        """Remove it."""


class MunimentStore:
    """A store of Muniment.

    Args:
        home: the engine.
        options: of `muniment serve`.
    """

    def __init__(self, home: Home, options: Sequence[str]) -> None:
        self.home = home
        self.place: Place = home.create()
        self._options = options

    def serve(self, workers: int | None = None) -> Side:
        """Start `muniment serve`, which has one process."""
        assert workers is None
        return _MunimentSide(self.place, self._options)

    def fill(self, side: Side, count: int, width: int, lengths: Sequence[int]) -> Side:
        """By its import. Served anew then, for MLflow's server sees nothing of it either."""
        filling.fill_muniment(f"http://127.0.0.1:{side.port}", count, width, lengths)
        side.rest()
        side.stop()
        _analyze(self.place.bare())
        again = self.serve()
        for name in (filling.SEARCHED, filling.SERIES):
            again.find_experiment(name)
        return again

    def weigh(self, side: Side) -> tuple[int, Side]:
        """Its keeper packs everything, which it would do by itself ten minutes later."""
        side.stop()
        opened = self.place.open()
        keeper.seal(opened)
        keeper.compact(opened, everything=True)
        opened.close()
        return self.place.size()[0], self.serve()

    def drop(self) -> None:
        """Remove it."""
        self.home.drop(self.place)


class _MunimentSide(Side):
    def __init__(self, place: Place, options: Sequence[str]) -> None:
        super().__init__(OURS, Server(place, options=options))
        self.place = place

    def rest(self) -> None:
        assert self.place is not None
        self.place.settle(_WAIT_SECONDS)


class _MLflowSide(Side):
    def __init__(self, name: str, server: MLflowServer) -> None:
        self._started = server
        super().__init__(name, server)

    def begin(self) -> None:
        self._started.rest()


class MLflowStore:
    """A database of MLflow.

    Args:
        home: the engine.
        python: the interpreter that has MLflow.
    """

    def __init__(self, home: Home, python: Path) -> None:
        self.home = home
        self.url = home.database()
        self._python = python
        self._environment = {**os.environ, **QUIET}
        self._environment.pop("PYTHONPATH", None)  # what is meant for this interpreter

    def serve(self, workers: int | None = None) -> Side:
        """Start `mlflow server` with so many workers, or as many as it takes by itself."""
        folder = self.home.folder / "mlflow"
        folder.mkdir(exist_ok=True)
        server = MLflowServer(
            self._python, self.url.replace("postgresql:", "postgresql+psycopg2:", 1), folder,
            self.home.folder / "mlflow.log", environment=self._environment, workers=workers,
        )  # fmt: skip
        return _MLflowSide(name_of(workers), server)

    def fill(self, side: Side, count: int, width: int, lengths: Sequence[int]) -> Side:
        """By rows put into its tables."""
        numbers = {name: int(side.experiment(name)) for name in (filling.SEARCHED, filling.SERIES)}
        bare = Bare(self.url, ours=False)
        filling.fill_mlflow(bare, numbers, count, width, lengths)
        _analyze(bare)
        return side

    def weigh(self, side: Side) -> tuple[int, Side]:
        """Its tables as PostgreSQL writes them anew, which is less than it leaves on disk; on SQLite as they are."""
        bare = Bare(self.url, ours=False)
        found = bare.size()[0]
        bare.close()
        return found, side

    def drop(self) -> None:
        """Remove it."""
        self.home.drop_database(self.url)


def name_of(workers: int | None) -> str:
    """What a server of MLflow is called in the table."""
    if workers is None:
        return "MLflow"
    return f"MLflow, {workers} worker" + ("s" if workers > 1 else "")


def _analyze(bare: Bare) -> None:
    """Statistics for PostgreSQL, which would gather them by itself within a minute; nobody does it on SQLite."""
    if not bare.is_sqlite:
        bare.run("VACUUM ANALYZE")
    bare.close()

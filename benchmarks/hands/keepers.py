"""Where a tool keeps what it is given: a server of its own, or a folder. Fresh for each measurement."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.hands.tools import Tool
from benchmarks.mlflow_server import MLflowServer
from benchmarks.serving import Server
from benchmarks.stores import Home

_REST_SECONDS = 600.0
_NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Without it the server starts half a dozen more processes, for work that nobody asks for here."""


class Keeper:
    """A folder.

    Args:
        data: where points end up.
        url: what the tool is told.
    """

    remote = False
    """Whether points go to another process, which would be on another machine."""

    def __init__(self, data: Path, url: str = "") -> None:
        self.data = data
        self.url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def rest(self) -> None:
        """Wait until what follows from the points is done."""

    def processor(self) -> float:
        """Seconds of processor time of a server."""
        return 0.0

    def stop(self) -> None:
        """End a server."""


class _Muniment(Keeper):
    remote = True

    def __init__(self, data: Path) -> None:
        self._place = Home("sqlite", data).create()
        self._server = Server(self._place)
        super().__init__(data, f"http://127.0.0.1:{self._server.port}")

    def rest(self) -> None:
        self._place.settle(_REST_SECONDS)
        self._place.size()  # writes the log of the database into the database

    def processor(self) -> float:
        return self._server.processor

    def stop(self) -> None:
        self._server.stop()


class _MLflow(Keeper):
    remote = True

    def __init__(self, data: Path, python: Path, environment: dict[str, str]) -> None:
        self._server = MLflowServer(
            python, f"sqlite:///{data / 'mlflow.db'}", data, data.parent / "server.log",
            environment=environment | _NO_JOBS,
        )  # fmt: skip
        super().__init__(data, f"http://127.0.0.1:{self._server.port}")

    def processor(self) -> float:
        return self._server.processor

    def stop(self) -> None:
        self._server.stop()


def keeper(tool: Tool, python: Path, data: Path, environment: dict[str, str]) -> Keeper:
    """A fresh place for one run.

    Args:
        tool: whose.
        python: the interpreter that has the tool.
        data: an empty folder.
        environment: of processes that belong to the tool.
    """
    match tool.keeper:
        case "muniment":
            return _Muniment(data)
        case "mlflow":
            return _MLflow(data, python, environment)
        case "sqlite":
            return Keeper(data, f"sqlite:///{data / 'mlflow.db'}")
        case "files":
            return Keeper(data, (data / "runs").as_uri())
        case "folder":
            return Keeper(data)

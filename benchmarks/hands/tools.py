"""What is measured: each tool with its version, where it keeps what it is given, and what was noticed about it."""

from __future__ import annotations

from typing import Literal

import msgspec

Keeper = Literal["folder", "muniment", "mlflow", "sqlite", "files"]
"""Where points end up: a folder of the tool's own, `muniment serve`, `mlflow server`, or MLflow's SQLite or files."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One way to record a run.

    Attributes:
        name: in the table.
        module: the driver, one of ``with_*`` or any other that can be imported.
        package: what a script imports; nothing for the loop alone.
        requirement: what pip installs; nothing for Muniment, which is installed from this repository.
        keeper: where points end up.
        environment: of the process that logs.
        most: calls in one measurement, where more would take hours.
        noticed: what is surprising about it, of the version above.
    """

    name: str
    module: str
    package: str = ""
    requirement: str = ""
    keeper: Keeper = "folder"
    environment: dict[str, str] = {}
    most: int | None = None
    noticed: str = ""


_MLFLOW = {
    "module": "benchmarks.hands.with_mlflow", "package": "mlflow", "requirement": "mlflow==3.17.2",
}  # fmt: skip
_BUFFER = {"MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS": "1"}

TOOLS = (
    Tool(
        name="nothing", module="benchmarks.hands.with_nothing",
        noticed="An empty function: what the loop, the clock and the machine do to the figures by themselves.",
    ),
    Tool(name="muniment", module="benchmarks.hands.with_muniment", package="muniment", keeper="muniment"),
    Tool(
        name="wandb", module="benchmarks.hands.with_wandb", package="wandb", requirement="wandb==0.31.0",
        noticed="Offline: a process of its own (wandb-core) writes a file, and nothing is sent. Every call repeats its "
        "step, time and runtime as JSON, some 310 bytes for one scalar. Sampling of the machine and capture of the "
        "console are on by default and switched off here.",
    ),
    Tool(
        name="aim", module="benchmarks.hands.with_aim", package="aim", requirement="aim==3.29.1",
        noticed="`track` writes to RocksDB in the calling thread, 20 times for a dict of 20 scalars. A run that was "
        "closed is not found by its own library (`read_only=True`) before `aim storage reindex` or the user interface "
        "has indexed it; reading back does that first here. Sampling of the machine and capture of the console are on "
        "by default and switched off here.",
    ),
    Tool(
        name="mlflow", keeper="mlflow", most=1_000, **_MLFLOW,
        noticed="Asynchronous logging to `mlflow server` with SQLite, as it is by default: every call becomes a "
        "request of its own, ten at a time, so a queue grows in memory (for each call two futures, an event and a "
        "batch) and `flush_async_logging`, or the exit of the process, waits for all of it. It gets few calls here "
        "for that reason. The server has its four workers, but runs no jobs.",
    ),
    Tool(
        name="mlflow, buffered", keeper="mlflow", environment=_BUFFER, most=500_000, **_MLFLOW,
        noticed="The same with MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS=1: up to 1,000 points go into one request.",
    ),
    Tool(
        name="mlflow, sqlite", keeper="sqlite", environment=_BUFFER, most=500_000, **_MLFLOW,
        noticed="No server: threads of the process write to SQLite. Buffered as above.",
    ),
    Tool(
        name="mlflow, files", keeper="files", environment={"MLFLOW_ALLOW_FILE_STORE": "true"}, most=20_000, **_MLFLOW,
        noticed="No server: threads of the process append lines of text and open the file for every point. This "
        "version refuses such a store unless MLFLOW_ALLOW_FILE_STORE is set.",
    ),
)  # fmt: skip


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        repetitions: of everything.
        imports: fresh processes that import the package, after one that warms the machine's files.
        calls: timed one by one, for one scalar; a tenth of it with 20 scalars a call.
        points: logged without a pause while memory is watched.
        seconds: after which logging stops, in each measurement, with fewer points than were asked for.
        patience: seconds until the end of a run is given up.
        share: of the calls that a slow tool gets at the most.
    """

    repetitions: int
    imports: int
    calls: int
    points: int
    seconds: float
    patience: float
    share: float = 1.0


FULL = Amounts(repetitions=3, imports=7, calls=200_000, points=2_000_000, seconds=300, patience=900)
QUICK = Amounts(repetitions=1, imports=3, calls=2_000, points=20_000, seconds=15, patience=60, share=0.1)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One way to log.

    Attributes:
        name: in the table.
        do: what the driver does: every call timed, or many points without a pause.
        keys: scalars a call.
        work: microseconds of work before each call.
    """

    name: str
    do: Literal["latencies", "steady"]
    keys: int = 1
    work: float = 0.0

    def calls(self, amounts: Amounts, tool: Tool) -> int:
        """How many a tool is asked for."""
        wanted = amounts.points if self.do == "steady" else amounts.calls // (10 if self.keys > 1 else 1)
        return wanted if tool.most is None else min(wanted, int(tool.most * amounts.share))


SHAPES = (
    Shape(name="one scalar a call, 20 µs of work between", do="latencies", work=20.0),
    Shape(name="one scalar a call, nothing between", do="latencies"),
    Shape(name="20 scalars a call, 20 µs of work between", do="latencies", keys=20, work=20.0),
    Shape(name="points without a pause", do="steady"),
)

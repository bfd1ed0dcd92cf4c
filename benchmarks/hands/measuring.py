"""One measurement: a fresh place, a fresh process that logs, what it cost, and whether everything is there."""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.hands.driver import TOKEN, sizes
from benchmarks.hands.environments import ROOT
from benchmarks.hands.keepers import Keeper, keeper
from benchmarks.hands.tools import Amounts, Shape, Tool
from benchmarks.hands.watching import Watch
from benchmarks.results import Report

_MARGIN_SECONDS = 120.0  # for starting, and for work that was begun when the time was over
_LINGER_SECONDS = 10.0
_READ_SECONDS = 1_800.0
_CLOSE = 1e-6  # values may be kept as they like; a sum that is further off has lost some
_SAID = 300

_IMPORT = """
import json, time
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
before = resident()
started = time.perf_counter()
import {package}
print(json.dumps([1000 * (time.perf_counter() - started), resident() - before]))
"""


class Failed(RuntimeError):
    """A process of a tool did not do what it was asked for; one line says why."""


class Latencies(msgspec.Struct, kw_only=True):
    """What `driver.latencies` tells; microseconds where nothing else is said."""

    logged: int
    where: str
    start: float
    """Seconds to start a run."""
    finish: float
    """Seconds until a script may end."""
    sent: float | None
    """Seconds until everything has arrived."""
    median: float
    p99: float
    p999: float = msgspec.field(name="p99.9")
    max: float
    whole: float
    clock: float


class Steady(msgspec.Struct, kw_only=True):
    """What `driver.steady` tells."""

    logged: int
    where: str
    start: float
    finish: float
    sent: float | None
    seconds: float
    worst: float
    memory: list[tuple[int, float, float]]
    """(points logged, MiB of the process, MiB of its other processes) at the start and at each quarter."""
    after: tuple[float, float]
    files: list[float]
    """MiB of files on the machine that trains, at the same moments."""
    threads: int
    processor: float


class Read(msgspec.Struct):
    """What came back."""

    points: int
    total: float


class Bench:
    """Measures one tool, again and again.

    Args:
        tool: which.
        python: the interpreter that has it.
        amounts: how much.
        report: where figures go.
    """

    def __init__(self, tool: Tool, python: Path, amounts: Amounts, report: Report) -> None:
        self.tool = tool
        self.python = python
        self.amounts = amounts
        self.report = report
        self.faults: list[str] = []
        """What went wrong: points that are missing, a process that failed."""
        self.remarks: list[str] = []
        """What a reader of the figures must know."""

    def imports(self) -> None:
        """Time and memory of the import, each time in a fresh process."""
        if not self.tool.package:
            return
        command = [str(self.python), "-c", _IMPORT.format(package=self.tool.package)]
        environment = os.environ | self.tool.environment | {"PYTHONPATH": os.pathsep.join(self._inherited())}
        found = []
        for _ in range(self.amounts.imports + 1):
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                raise Failed(f"{self.tool.name} cannot be imported: {_last_line(done.stderr)}")
            found.append(msgspec.json.decode(done.stdout.splitlines()[-1], type=tuple[float, float]))
        shape = "import"
        self._add(shape, "time", "ms", statistics.median(item[0] for item in found[1:]))
        self._add(shape, "memory it adds", "MiB", statistics.median(item[1] for item in found[1:]))

    def log(self, shape: Shape) -> None:
        """Log in one shape to a fresh place, and read everything back."""
        folder = Path(tempfile.mkdtemp(prefix="muniment-hands-"))
        try:
            self._log(shape, folder)
        except RuntimeError as error:  # it failed, or its server did not start: the others go on
            self.faults.append(f"{self.tool.name}, {shape.name}: {error}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _log(self, shape: Shape, folder: Path) -> None:
        data, home = folder / "data", folder / "home"
        data.mkdir()
        home.mkdir()
        environment = self._environment(home)
        token = uuid.uuid4().hex
        with keeper(self.tool, self.python, data, environment) as place, Watch(token) as watch:
            folders = [str(data), str(home)]
            empty, idle = sizes(folders), place.processor()
            order = {
                "module": self.tool.module, "do": shape.do, "folder": str(data), "url": place.url, "token": token,
                "keys": shape.keys, "work": shape.work, "calls": shape.calls(self.amounts, self.tool),
                "seconds": self.amounts.seconds, "patience": self.amounts.patience,
                "local": folders[1:] if place.remote else folders,
            }  # fmt: skip
            try:
                pid, raw = self._drive(order, folder, environment | {TOKEN: token})
                watch.wait(_LINGER_SECONDS)
                others = watch.processor(without=pid, since=raw["began"])
            finally:
                watch.stop()
            place.rest()
            spent, used = place.processor() - idle, sizes([*folders, *raw["waiting"]]) - empty
            told: Latencies | Steady
            if shape.do == "steady":
                told = msgspec.convert(raw, Steady)
                self._add_steady(shape.name, told, others, spent, used)
            else:
                told = msgspec.convert(raw, Latencies)
                self._add_latencies(shape.name, told)
            self._check(shape, told, order, place, folder, environment)
        for waiting in raw["waiting"]:
            shutil.rmtree(waiting, ignore_errors=True)

    def _inherited(self) -> list[str]:
        """Where this process finds packages: for a tool that runs in this very interpreter."""
        given = os.environ.get("PYTHONPATH")
        return [given] if given and self.python == Path(sys.executable) else []

    def _environment(self, home: Path) -> dict[str, str]:
        """A home of its own, so that what a tool keeps there is seen; nothing is told to its makers."""
        places = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
        ours = ("MUNIMENT_URL", "MUNIMENT_PROJECT", "MUNIMENT_SPOOL", "MUNIMENT_FINISH_SECONDS")
        kept = {name: value for name, value in os.environ.items() if name not in {*places, *ours}}
        return kept | {
            "HOME": str(home), "PYTHONPATH": os.pathsep.join([str(ROOT), *self._inherited()]), "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false", "GIT_PYTHON_REFRESH": "quiet",
            **self.tool.environment,
        }  # fmt: skip

    def _drive(
        self, order: dict[str, Any], folder: Path, environment: dict[str, str], seconds: float | None = None
    ) -> tuple[int, dict[str, Any]]:
        out, said = folder / "told.json", folder / "said.log"
        out.unlink(missing_ok=True)
        command = [str(self.python), "-m", "benchmarks.hands.driver", msgspec.json.encode(order).decode(), str(out)]
        longest = seconds or 2 * self.amounts.seconds + 2 * self.amounts.patience + _MARGIN_SECONDS
        with said.open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=folder / "data", stdout=log, stderr=log)
            try:
                process.wait(longest)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Failed(f"did not end within {longest:,.0f} seconds") from None
        if not out.exists():
            raise Failed(f"ended with {process.returncode}: {_last_line(said.read_text(errors='replace'))}")
        return process.pid, msgspec.json.decode(out.read_bytes())

    def _add_latencies(self, shape: str, told: Latencies) -> None:
        for what, value, least in (
            ("median of a call", told.median, 1), ("p99 of a call", told.p99, 200),
            ("p99.9 of a call", told.p999, 2_000), ("longest call", told.max, 1),
            ("whole loop, a call, less the same loop without", told.whole, 1),
        ):  # fmt: skip
            if told.logged >= least:  # of fewer calls, a share like that is but the longest one
                self._add(shape, what, "µs", value)
        self._add_end(shape, told)

    def _add_steady(self, shape: str, told: Steady, others: float, server: float, disk: float) -> None:
        self._add(shape, "points logged", "millions", told.logged / 1e6, more_is_better=True)
        self._add(shape, "rate of the loop", "points/s", told.logged / told.seconds, more_is_better=True)
        self._add(shape, "longest pause", "µs", told.worst)
        moments = [*("at the start", "at ¼", "at ½", "at ¾")[: len(told.memory) - 1], "at the end"]
        for moment, (_, own, _others) in zip(moments, told.memory, strict=True):  # time may be over before a quarter is
            self._add(shape, f"memory of the process, {moment}", "MiB", own)
        self._add(shape, "memory of the process, all sent", "MiB", told.after[0])
        self._add(shape, "memory of its other processes, at the end", "MiB", told.memory[-1][2])
        self._add(shape, "files beside it while it logs, at the most", "MiB", max(told.files) - told.files[0])
        self._add(shape, "threads of the process", "", told.threads)
        self._add_end(shape, told)
        for what, seconds in (("the process", told.processor), ("its other processes", others), ("the server", server)):
            self._add(shape, f"processor time of {what}, a point", "µs", 1e6 * seconds / told.logged)
        self._add(shape, "on disk", "bytes/point", disk * 2**20 / told.logged)

    def _add_end(self, shape: str, told: Latencies | Steady) -> None:
        if not self.tool.package:
            return
        self._add(shape, "start of a run", "s", told.start)
        self._add(shape, "from the last call until the run has ended", "s", told.finish)
        if told.sent is not None:
            self._add(shape, "from the last call until everything has arrived", "s", told.sent)

    def _add(self, shape: str, what: str, unit: str, value: float, *, more_is_better: bool = False) -> None:
        self.report.add(self.tool.name, shape, what, unit, value, more_is_better=more_is_better)

    def _check(
        self, shape: Shape, told: Latencies | Steady, order: dict[str, Any], place: Keeper, folder: Path,
        environment: dict[str, str],
    ) -> None:  # fmt: skip
        """Read everything back: what is missing is a fault, what was not asked for is a remark."""
        wanted = shape.calls(self.amounts, Tool(name="", module=""))
        if told.logged < wanted:
            why = "time was over" if told.logged < order["calls"] else "more would take too long"
            self._remark(f"{self.tool.name}, {shape.name}: {told.logged:,} calls instead of {wanted:,}; {why}")
        if not self.tool.package:
            return
        asked = order | {"do": "read", "where": told.where, "url": place.url}
        found = msgspec.convert(self._drive(asked, folder, environment, _READ_SECONDS)[1], Read)
        points = told.logged * shape.keys
        if found.points != points:
            raise Failed(f"{points - found.points:,} of {points:,} points are missing")
        total = shape.keys * math.fsum(1.0 / (at + 1) for at in range(told.logged))
        if not math.isclose(found.total, total, rel_tol=_CLOSE):
            raise Failed(f"{points:,} points are there, but their values add up to {found.total}, not to {total}")

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:_SAID] if lines else "it said nothing"
